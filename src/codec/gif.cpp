// GIF by giflib: the first frame on the logical screen, which is widened where the frame lies
// beyond it. Outside the frame the picture has the transparent index, or index 0, as Pillow fills
// it; transparency itself is dropped.
//
// giflib decodes line by line, and reading stops at the first frame's last line, so that it does
// not matter what follows. An interlaced frame is gathered first, one byte a pixel. The last line
// of data that ends early is used as far as it goes, as Pillow does.
#include "codec/gif.h"

#include "codec/early_end.h"
#include "codec/grey.h"
#include "codec/row_groups.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <new>

#include <gif_lib.h>

namespace vamhash {

namespace {

/// Where giflib reads from.
struct GifSource {
    std::span<const std::uint8_t> rest;
    bool past_end = false; // bytes were asked for that are not there

    /// Throws what an error code of giflib means. Some failed reads leave no code.
    [[noreturn]] void throw_error(int code) const {
        if (code == D_GIF_ERR_NOT_ENOUGH_MEM) {
            throw std::bad_alloc();
        }
        if (past_end || code == D_GIF_ERR_EOF_TOO_SOON) { // or the codes end before the frame does
            throw format_error(gif_format, ImageStatus::truncated,
                               "the data ends before the picture");
        }
        const char* text = GifErrorString(code);
        throw format_error(gif_format, ImageStatus::corrupt,
                           text != nullptr ? text : "its structure is damaged");
    }
};

/// giflib's read callback.
int read_bytes(GifFileType* gif, GifByteType* bytes, int count) {
    auto& source = *static_cast<GifSource*>(gif->UserData);
    const auto wanted = static_cast<std::size_t>(count);
    const std::size_t taken = std::min(source.rest.size(), wanted);
    source.past_end |= taken < wanted;
    if (taken != 0) {
        std::memcpy(bytes, source.rest.data(), taken);
    }
    source.rest = source.rest.subspan(taken);
    return static_cast<int>(taken);
}

/// One GIF image being decoded.
class GifReader {
  public:
    GifReader(std::span<const std::uint8_t> image, const DecodeOptions& options)
        : source_{.rest = image}, early_end_(options) {
        int code = D_GIF_SUCCEEDED;
        gif_ = DGifOpen(&source_, read_bytes, &code);
        if (gif_ == nullptr) {
            source_.throw_error(code);
        }
    }
    ~GifReader() { DGifCloseFile(gif_, nullptr); }
    GifReader(const GifReader&) = delete;
    GifReader& operator=(const GifReader&) = delete;

    ImageInfo read(const DecodeOptions& options, GreySink& sink);

  private:
    void check(int result) const {
        if (result == GIF_ERROR) {
            source_.throw_error(gif_->Error);
        }
    }
    void find_frame();
    void read_extension();
    void choose_greys();
    void read_line(std::uint8_t* grey);
    void read_interlaced(std::uint8_t* picture);

    GifSource source_;
    EarlyEnd early_end_;
    GifFileType* gif_ = nullptr;
    std::uint8_t background_ = 0;           // index outside the frame
    std::array<std::uint8_t, 256> greys_{}; // by index
    std::uint32_t left_ = 0;
    std::uint32_t top_ = 0;
    std::uint32_t frame_width_ = 0;
    std::uint32_t frame_height_ = 0;
};

/// Reads up to the first frame's data. Bytes between blocks that begin none are passed over.
void GifReader::find_frame() {
    for (;;) {
        GifRecordType record = UNDEFINED_RECORD_TYPE;
        if (DGifGetRecordType(gif_, &record) == GIF_ERROR) {
            if (gif_->Error != D_GIF_ERR_WRONG_RECORD) {
                source_.throw_error(gif_->Error);
            }
            continue;
        }
        if (record == EXTENSION_RECORD_TYPE) {
            read_extension();
        } else if (record == IMAGE_DESC_RECORD_TYPE) {
            check(DGifGetImageDesc(gif_));
            return;
        } else if (record == TERMINATE_RECORD_TYPE) {
            throw format_error(gif_format, ImageStatus::corrupt, "no frame is there");
        }
    }
}

/// Reads an extension; of all there are only the transparent index counts.
void GifReader::read_extension() {
    int kind = 0;
    GifByteType* block = nullptr;
    check(DGifGetExtension(gif_, &kind, &block));
    constexpr unsigned has_transparency = 0x01;
    if (kind == GRAPHICS_EXT_FUNC_CODE && block != nullptr && block[0] >= 4 &&
        (block[1] & has_transparency) != 0) {
        background_ = block[4];
    }
    while (block != nullptr) {
        check(DGifGetExtensionNext(gif_, &block));
    }
}

/// The grey of every index, by the frame's own palette or else that of the screen.
void GifReader::choose_greys() {
    const ColorMapObject* map =
        gif_->Image.ColorMap != nullptr ? gif_->Image.ColorMap : gif_->SColorMap;
    static_assert(sizeof(GifColorType) == 3);
    greys_ = palette_or_ramp_to_grey(
        map == nullptr ? std::span<const std::uint8_t>()
                       : std::span(reinterpret_cast<const std::uint8_t*>(map->Colors),
                                   static_cast<std::size_t>(map->ColorCount) * 3));
}

/// Reads the next line of the frame; pixels that the data has no more are the background's.
void GifReader::read_line(std::uint8_t* grey) {
    std::memset(grey, background_, frame_width_);
    early_end_.read_row([&] { check(DGifGetLine(gif_, grey, static_cast<int>(frame_width_))); });
    std::transform(grey, grey + frame_width_, grey,
                   [this](std::uint8_t index) { return greys_[index]; });
}

/// Gathers the four passes of a frame.
void GifReader::read_interlaced(std::uint8_t* picture) {
    struct Pass {
        std::uint32_t first;
        std::uint32_t step;
    };
    constexpr std::array<Pass, 4> passes{{{0, 8}, {4, 8}, {2, 4}, {1, 2}}};
    for (const auto& [first, step] : passes) {
        for (std::uint32_t y = first; y < frame_height_; y += step) {
            read_line(picture + std::size_t{y} * frame_width_);
        }
    }
}

ImageInfo GifReader::read(const DecodeOptions& options, GreySink& sink) {
    find_frame();
    const GifImageDesc& frame = gif_->Image;
    left_ = static_cast<std::uint32_t>(frame.Left);
    top_ = static_cast<std::uint32_t>(frame.Top);
    frame_width_ = static_cast<std::uint32_t>(frame.Width);
    frame_height_ = static_cast<std::uint32_t>(frame.Height);
    const std::uint32_t width =
        std::max(static_cast<std::uint32_t>(gif_->SWidth), left_ + frame_width_);
    const std::uint32_t height =
        std::max(static_cast<std::uint32_t>(gif_->SHeight), top_ + frame_height_);
    check_size(gif_format, frame_width_, frame_height_, options);
    check_size(gif_format, width, height, options);
    choose_greys();

    std::unique_ptr<std::uint8_t[]> picture;
    if (frame.Interlace) {
        // Not zeroed: a small file that claims a large picture should cost no memory before it
        // fails.
        picture = std::make_unique_for_overwrite<std::uint8_t[]>(std::size_t{frame_width_} *
                                                                 frame_height_);
        read_interlaced(picture.get());
    }
    sink.start(width, height);
    give_rows(sink, width, height, [&](std::uint32_t y, std::uint8_t* grey) {
        std::memset(grey, greys_[background_], width);
        if (y < top_ || y - top_ >= frame_height_) {
            return;
        }
        if (picture != nullptr) {
            std::memcpy(grey + left_, picture.get() + std::size_t{y - top_} * frame_width_,
                        frame_width_);
        } else {
            read_line(grey + left_);
        }
    });
    return {.width = width,
            .height = height,
            .format = gif_format.name,
            .truncated = early_end_.ended()
                             ? ends_in_row(gif_format, early_end_.rows(), frame_height_)
                             : std::string()};
}

ImageInfo decode_gif(std::span<const std::uint8_t> image, const DecodeOptions& options,
                     GreySink& sink) {
    GifReader reader(image, options);
    return reader.read(options, sink);
}

} // namespace

const Format gif_format{.name = "gif", .title = "GIF", .decode = decode_gif};

} // namespace vamhash
