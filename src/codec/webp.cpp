// WebP by libwebp: lossy and lossless, of an animation the first frame, on a canvas that is black
// where the frame does not cover it. Alpha is dropped, never composited, as Pillow does.
//
// The first frame of an animation is found by an own walk over the chunks, so that however many
// frames follow, no time is spent on them. libwebp decodes a picture only as a whole: three bytes a
// pixel beside its own buffers, so max_pixels bounds the memory. Of a truncated picture nothing is
// kept, as in Pillow.
#include "codec/webp.h"

#include "codec/grey.h"
#include "codec/row_groups.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <optional>

#include <webp/decode.h>

namespace vamhash {

namespace {

constexpr std::size_t riff_head_size = 12;
constexpr std::size_t chunk_head_size = 8;

std::uint32_t little_endian(std::span<const std::uint8_t> bytes, std::size_t at, unsigned count) {
    std::uint32_t value = 0;
    for (unsigned i = 0; i < count; ++i) {
        value |= std::uint32_t{bytes[at + i]} << (8 * i);
    }
    return value;
}

struct Chunk {
    std::string_view type;
    std::span<const std::uint8_t> data; // cut off where the file ends
    bool complete;
};

/// Takes the next chunk off the front, or nothing where no whole head is left.
std::optional<Chunk> next_chunk(std::span<const std::uint8_t>& rest) {
    if (rest.size() < chunk_head_size) {
        return std::nullopt;
    }
    const std::size_t size = little_endian(rest, 4, 4);
    const std::size_t there = std::min(size, rest.size() - chunk_head_size);
    const Chunk chunk{.type = {reinterpret_cast<const char*>(rest.data()), 4},
                      .data = rest.subspan(chunk_head_size, there),
                      .complete = there == size};
    const std::size_t padded = chunk_head_size + there + size % 2;
    rest = rest.subspan(std::min(padded, rest.size()));
    return chunk;
}

/// What follows the RIFF head, without what lies beyond the size that it states.
std::span<const std::uint8_t> chunks_of(std::span<const std::uint8_t> image) {
    if (image.size() < riff_head_size) {
        return {};
    }
    const std::size_t riff_size = chunk_head_size + std::size_t{little_endian(image, 4, 4)};
    const std::size_t end = std::clamp(riff_size, riff_head_size, image.size());
    return image.subspan(riff_head_size, end - riff_head_size);
}

/// The extended head (VP8X) that an image with metadata or an animation begins with.
struct ExtendedHead {
    bool animated;
    bool has_exif;
    bool has_xmp;
    std::uint32_t width; // of the canvas
    std::uint32_t height;
};

std::optional<ExtendedHead> extended_head(std::span<const std::uint8_t> image) {
    auto rest = chunks_of(image);
    const auto chunk = next_chunk(rest);
    constexpr std::size_t head_size = 10;
    if (!chunk || chunk->type != "VP8X" || chunk->data.size() < head_size) {
        return std::nullopt;
    }
    const unsigned flags = chunk->data[0];
    return ExtendedHead{.animated = (flags & 0x02U) != 0,
                        .has_exif = (flags & 0x08U) != 0,
                        .has_xmp = (flags & 0x04U) != 0,
                        .width = little_endian(chunk->data, 4, 3) + 1,
                        .height = little_endian(chunk->data, 7, 3) + 1};
}

/// What is decoded, and where on the canvas it lies.
struct Frame {
    std::span<const std::uint8_t> data; // as libwebp takes it
    std::uint32_t x = 0;
    std::uint32_t y = 0;
    std::uint32_t width = 0; // as an animation states it
    std::uint32_t height = 0;
};

/// The status of a fault that may come of missing data: of what the RIFF head promises, some is not
/// there.
ImageStatus damaged_or_truncated(std::span<const std::uint8_t> image) {
    const bool whole = image.size() >= riff_head_size &&
                       image.size() - chunk_head_size >= little_endian(image, 4, 4);
    return whole ? ImageStatus::corrupt : ImageStatus::truncated;
}

/// The first frame of an animation.
Frame first_frame(std::span<const std::uint8_t> image) {
    constexpr std::size_t frame_head_size = 16;
    auto rest = chunks_of(image);
    while (const auto chunk = next_chunk(rest)) {
        if (chunk->type != "ANMF") {
            continue;
        }
        if (chunk->data.size() < frame_head_size) {
            break;
        }
        return {.data = chunk->data.subspan(frame_head_size),
                .x = 2 * little_endian(chunk->data, 0, 3),
                .y = 2 * little_endian(chunk->data, 3, 3),
                .width = little_endian(chunk->data, 6, 3) + 1,
                .height = little_endian(chunk->data, 9, 3) + 1};
    }
    throw format_error(webp_format, damaged_or_truncated(image), "no frame is there");
}

/// Throws what a status other than success means.
void check_status(VP8StatusCode code, std::span<const std::uint8_t> image) {
    switch (code) {
    case VP8_STATUS_OK:
        return;
    case VP8_STATUS_OUT_OF_MEMORY:
        throw std::bad_alloc();
    case VP8_STATUS_NOT_ENOUGH_DATA:
    case VP8_STATUS_SUSPENDED:
        throw format_error(webp_format, ImageStatus::truncated, "the data ends before the picture");
    case VP8_STATUS_UNSUPPORTED_FEATURE:
        throw format_error(webp_format, ImageStatus::unsupported, "an unknown feature");
    default:
        throw format_error(webp_format, damaged_or_truncated(image), "the bitstream is damaged");
    }
}

/// libwebp's settings and the picture that it allocates.
class Decoder {
  public:
    Decoder() {
        if (WebPInitDecoderConfig(&config_) == 0) {
            throw std::bad_alloc(); // a library of another major version; linking rules it out
        }
        config_.output.colorspace = MODE_RGB;
    }
    ~Decoder() { WebPFreeDecBuffer(&config_.output); }
    Decoder(const Decoder&) = delete;
    Decoder& operator=(const Decoder&) = delete;

    VP8StatusCode read_features(std::span<const std::uint8_t> data) {
        return WebPGetFeatures(data.data(), data.size(), &config_.input);
    }
    [[nodiscard]] const WebPBitstreamFeatures& features() const { return config_.input; }

    VP8StatusCode decode(std::span<const std::uint8_t> data) {
        return WebPDecode(data.data(), data.size(), &config_);
    }
    [[nodiscard]] const std::uint8_t* row(std::size_t y) const {
        const WebPRGBABuffer& rgb = config_.output.u.RGBA;
        return rgb.rgba + y * static_cast<std::size_t>(rgb.stride);
    }

  private:
    WebPDecoderConfig config_{};
};

ImageInfo decode_webp(std::span<const std::uint8_t> image, const DecodeOptions& options,
                      GreySink& sink) {
    const auto head = extended_head(image);
    const bool animated = head && head->animated;
    if (animated) {
        check_size(webp_format, head->width, head->height, options);
    }
    const Frame frame = animated ? first_frame(image) : Frame{.data = image};
    Decoder decoder;
    check_status(decoder.read_features(frame.data), image);
    const auto width = static_cast<std::uint32_t>(decoder.features().width);
    const auto height = static_cast<std::uint32_t>(decoder.features().height);
    const std::uint32_t canvas_width = animated ? head->width : width;
    const std::uint32_t canvas_height = animated ? head->height : height;
    check_size(webp_format, canvas_width, canvas_height, options);
    if (animated && (frame.width != width || frame.height != height || width > canvas_width ||
                     frame.x > canvas_width - width || height > canvas_height ||
                     frame.y > canvas_height - height)) {
        throw format_error(webp_format, ImageStatus::corrupt, "the frame contradicts the canvas");
    }
    check_status(decoder.decode(frame.data), image);

    sink.start(canvas_width, canvas_height);
    const GreyRow to_grey = rgb_to_grey(best_isa());
    give_rows(sink, canvas_width, canvas_height, [&](std::uint32_t y, std::uint8_t* grey) {
        std::memset(grey, 0, canvas_width);
        if (y >= frame.y && y - frame.y < height) {
            to_grey(decoder.row(y - frame.y), grey + frame.x, width);
        }
    });
    return {.width = canvas_width,
            .height = canvas_height,
            .format = webp_format.name,
            .truncated = {}};
}

/// Walks the chunks to the first of EXIF and of XMP; those that the head does not announce do not
/// count, as in libwebp's own demultiplexer.
Orientation webp_orientation(std::span<const std::uint8_t> image) {
    const auto head = extended_head(image);
    if (!head) {
        return Orientation::as_stored;
    }
    std::span<const std::uint8_t> exif;
    std::span<const std::uint8_t> xmp;
    auto rest = chunks_of(image);
    while (const auto chunk = next_chunk(rest)) {
        if (!chunk->complete) {
            break;
        }
        if (chunk->type == "EXIF" && head->has_exif && exif.empty()) {
            exif = chunk->data;
        } else if (chunk->type == "XMP " && head->has_xmp && xmp.empty()) {
            xmp = chunk->data;
        }
    }
    return image_orientation(exif, {reinterpret_cast<const char*>(xmp.data()), xmp.size()});
}

} // namespace

const Format webp_format{
    .name = "webp", .title = "WebP", .decode = decode_webp, .orientation = webp_orientation};

} // namespace vamhash
