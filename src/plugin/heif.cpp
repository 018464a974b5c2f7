// vamhash_heif.so: HEIC and AVIF by libheif: the primary picture, its rotation, mirroring and clean
// aperture applied, as 8-bit RGB. Of 10 and 12 bits libheif leaves the high 8; alpha it drops.
//
// libheif has the file in memory and gives the picture as a whole. What a file says of its size is
// looked at before anything is decoded; what its coded data or the canvas of a grid then turn out
// to be is bounded by libheif's own limits and the engine's memory.
#include "plugin/image_decoder_entry.h"

#include <libheif/heif.h>

#include <algorithm>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <string_view>

namespace vamhash::plugin {

namespace {

using Bytes = std::span<const std::uint8_t>;

template <auto free>
struct FreeBy {
    template <typename Thing>
    void operator()(Thing* thing) const {
        free(thing);
    }
};
using Context = std::unique_ptr<heif_context, FreeBy<heif_context_free>>;
using Handle = std::unique_ptr<heif_image_handle, FreeBy<heif_image_handle_release>>;
using Image = std::unique_ptr<heif_image, FreeBy<heif_image_release>>;
using Options = std::unique_ptr<heif_decoding_options, FreeBy<heif_decoding_options_free>>;

std::uint64_t big_endian(Bytes bytes, std::size_t at, unsigned count) {
    std::uint64_t value = 0;
    for (unsigned i = 0; i < count; ++i) {
        value = value << 8U | bytes[at + i];
    }
    return value;
}

/// What the boxes that a file is made of say of it as a whole.
struct Boxes {
    bool whole = true; // none is longer than what is there
    bool has_tracks = false;
};

Boxes look_at_boxes(Bytes image) {
    constexpr std::size_t head_size = 8;
    constexpr std::size_t long_head_size = 16;
    Boxes boxes;
    while (!image.empty()) {
        std::uint64_t size = image.size() < head_size ? head_size : big_endian(image, 0, 4);
        if (size == 0) { // to the end of the file
            break;
        }
        if (size == 1) { // a long one
            size = image.size() < long_head_size ? long_head_size : big_endian(image, head_size, 8);
        }
        if (size < head_size) {
            break; // no box
        }
        if (size > image.size()) {
            boxes.whole = false;
            break;
        }
        const std::string_view type(reinterpret_cast<const char*>(image.data()) + 4, 4);
        boxes.has_tracks = boxes.has_tracks || type == "moov";
        image = image.subspan(size);
    }
    return boxes;
}

PictureStatus status_of(const heif_error& error, Bytes image) {
    if (error.code == heif_error_Memory_allocation_error) {
        return error.subcode == heif_suberror_Security_limit_exceeded
                   ? PictureStatus::too_large
                   : PictureStatus::out_of_memory;
    }
    const Boxes boxes = look_at_boxes(image);
    if (!boxes.whole || error.subcode == heif_suberror_End_of_data) {
        return PictureStatus::truncated;
    }
    if (error.subcode == heif_suberror_No_meta_box) {
        // A sequence without a picture beside its tracks, or a file cut off between two boxes.
        return boxes.has_tracks ? PictureStatus::unsupported : PictureStatus::truncated;
    }
    switch (error.code) {
    case heif_error_Unsupported_filetype:
    case heif_error_Unsupported_feature:
    case heif_error_Plugin_loading_error:
        return PictureStatus::unsupported;
    default:
        return PictureStatus::corrupt;
    }
}

/// libheif's codecs, which from 1.16 on are plugins of its own: looked for once.
void initialise() {
    static const heif_error error = heif_init(nullptr);
    static_cast<void>(error); // a codec that is missing is told of by the image that needs it
}

class Decoder {
  public:
    explicit Decoder(const PictureRequest& request)
        : request_(request), image_(request.image, request.size) {
        initialise();
        context_.reset(heif_context_alloc());
        if (context_ == nullptr) {
            throw std::bad_alloc();
        }
        // Tiles one after the other, on this thread.
        heif_context_set_max_decoding_threads(context_.get(), 0);
#if LIBHEIF_HAVE_VERSION(1, 19, 0)
        heif_context_get_security_limits(context_.get())->max_image_size_pixels =
            request.max_pixels;
#endif
    }

    PictureStatus run() {
        check(heif_context_read_from_memory_without_copy(context_.get(), image_.data(),
                                                         image_.size(), nullptr));
        heif_image_handle* primary = nullptr;
        check(heif_context_get_primary_image_handle(context_.get(), &primary));
        const Handle handle(primary);
        if (!accepts_size(handle.get())) {
            return PictureStatus::stopped;
        }
        const Image decoded = decode(handle.get());
        const Picture picture = picture_in(decoded.get());
        return request_.take(request_.context, &picture) == 0 ? PictureStatus::done
                                                              : PictureStatus::stopped;
    }

  private:
    void check(const heif_error& error) const {
        if (error.code == heif_error_Ok) {
            return;
        }
        const std::string message = error.message == nullptr ? "" : error.message;
        throw Fault{.status = status_of(error, image_),
                    .what = message.empty() ? "its data is damaged" : message};
    }

    /// Asks for the size that is shown, and for that before a clean aperture is cut out of it.
    bool accepts_size(const heif_image_handle* handle) const {
        const auto accepts = [this](int width, int height) {
            return request_.check_size(request_.context,
                                       static_cast<std::uint64_t>(std::max(width, 0)),
                                       static_cast<std::uint64_t>(std::max(height, 0))) == 0;
        };
        const int width = heif_image_handle_get_ispe_width(handle);
        const int height = heif_image_handle_get_ispe_height(handle);
#if !LIBHEIF_HAVE_VERSION(1, 19, 0)
        // The canvas of a grid has a size of its own. This is the only limit on it, and one on each
        // side; the canvas must be smaller.
        heif_context_set_maximum_image_size_limit(context_.get(), std::max(width, height) + 1);
#endif
        return accepts(heif_image_handle_get_width(handle), heif_image_handle_get_height(handle)) &&
               accepts(width, height);
    }

    Image decode(const heif_image_handle* handle) const {
        const Options options(heif_decoding_options_alloc());
        if (options == nullptr) {
            throw std::bad_alloc();
        }
        options->convert_hdr_to_8bit = 1;
#if LIBHEIF_HAVE_VERSION(1, 21, 0)
        options->num_codec_threads = 1;
#endif
        heif_image* decoded = nullptr;
        check(heif_decode_image(handle, &decoded, heif_colorspace_RGB, heif_chroma_interleaved_RGB,
                                options.get()));
        return Image(decoded);
    }

    static Picture picture_in(const heif_image* image) {
        int stride = 0;
        const std::uint8_t* const pixels =
            heif_image_get_plane_readonly(image, heif_channel_interleaved, &stride);
        constexpr int bits_per_pixel = 24;
        if (pixels == nullptr ||
            heif_image_get_bits_per_pixel(image, heif_channel_interleaved) != bits_per_pixel) {
            throw Fault{.status = PictureStatus::unsupported, .what = "its pixels are not RGB"};
        }
        const auto width =
            static_cast<std::uint32_t>(heif_image_get_width(image, heif_channel_interleaved));
        const auto height =
            static_cast<std::uint32_t>(heif_image_get_height(image, heif_channel_interleaved));
        return {.pixels = pixels,
                .stride = static_cast<std::size_t>(stride),
                .width = width,
                .height = height,
                .channels = 3,
                .full_width = width,
                .full_height = height};
    }

    const PictureRequest& request_;
    Bytes image_;
    Context context_;
};

} // namespace

extern "C" [[gnu::visibility("default")]] ImageDecoderEntry vamhash_image_decoder_plugin;

const ImageDecoder* vamhash_image_decoder_plugin() noexcept {
    return image_decoder_by<Decoder>();
}

} // namespace vamhash::plugin
