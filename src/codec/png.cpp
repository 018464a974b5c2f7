// PNG by libpng: every colour type and bit depth to Pillow's grey, 16-bit samples by their high
// byte (Pillow clips 16-bit grey, which loses the picture). Alpha and transparency are dropped,
// never composited; gamma and colour profiles are ignored; of an animation the default image is
// read.
//
// Errors. libpng reports an error by a callback that must not return. An exception may not cross
// its C frames, so the callback jumps (longjmp) to the setjmp in PngReader::guard, which then
// throws. Each guarded call is a lambda with no object that has a destructor, and the sink is never
// called inside one.
//
// Hostile chunks. libpng is told to skip every ancillary chunk unread, so text and profile bombs
// cost nothing. The orientation is found by an own walk over the chunks. Reading stops at the last
// row: a missing end chunk or rubbish after the picture does no harm. libpng itself would inflate
// all that follows the last row in the image data, which may be gigabytes; so its read callback
// leaves it, as for an error, where that is more than the end of an honest stream.
//
// Truncated images. libpng reads a chunk of image data in pieces and gives up at one that is not
// all there. So where the file ends within such a chunk, libpng is told that the chunk has only as
// many bytes as there are, and so gives every row that these hold.
#include "codec/png.h"

#include "codec/early_end.h"
#include "codec/grey.h"
#include "codec/row_groups.h"

#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstring>
#include <memory>
#include <new>
#include <optional>
#include <vector>

#include <png.h>

namespace vamhash {

namespace {

constexpr std::size_t signature_size = 8;
constexpr std::size_t chunk_head_size = 8; // length, type
constexpr std::size_t crc_size = 4;

struct Chunk {
    std::string_view type;
    std::size_t length; // of its data, as stated
    std::size_t at;     // of the data
};

/// The chunk whose head begins here, or nothing where the head is not all there.
std::optional<Chunk> chunk_at(std::span<const std::uint8_t> image, std::size_t at) {
    if (at > image.size() || image.size() - at < chunk_head_size) {
        return std::nullopt;
    }
    const std::uint8_t* const head = image.data() + at;
    return Chunk{.type = {reinterpret_cast<const char*>(head) + 4, 4},
                 .length = png_get_uint_32(head),
                 .at = at + chunk_head_size};
}

/// The data of a chunk of image data that the file ends in, or nullptr.
const std::uint8_t* find_cut_data(std::span<const std::uint8_t> image) {
    std::size_t at = signature_size;
    while (const auto chunk = chunk_at(image, at)) {
        if (chunk->length > image.size() - chunk->at) {
            return chunk->type == "IDAT" ? image.data() + chunk->at : nullptr;
        }
        at = chunk->at + chunk->length + crc_size;
    }
    return nullptr;
}

/// Bytes that libpng may read behind the last row: a checksum or two, and what careless encoders
/// leave there. They inflate to no more than a thousand times as much.
constexpr std::size_t max_surplus = 16 << 10;

/// Where libpng reads from, and the fault that made it jump; none where the picture is complete.
struct PngSource {
    std::span<const std::uint8_t> rest;
    std::uint64_t rows_left = ~std::uint64_t{0}; // of all passes, once their number is known
    std::size_t surplus = 0;                     // bytes read after the last of them
    const std::uint8_t* cut_data = nullptr;      // image data shorter than its chunk's head states
    std::jmp_buf escape;
    ImageStatus status;
    std::array<char, 200> fault;
};

[[noreturn]] void leave_library(PngSource& source, ImageStatus status, const char* fault) {
    source.status = status;
    std::strncpy(source.fault.data(), fault, source.fault.size() - 1);
    std::longjmp(source.escape, 1);
}

/// Which status an error of libpng means. It has no codes, so the few messages that do not mean
/// corrupt data are known by their text.
ImageStatus status_of(const char* message) {
    if (std::strcmp(message, "Not enough image data") == 0) {
        return ImageStatus::truncated;
    }
    if (std::strcmp(message, "Out of memory") == 0 || // libpng's own, and zlib's
        std::strcmp(message, "insufficient memory") == 0) {
        return ImageStatus::out_of_memory;
    }
    return ImageStatus::corrupt;
}

/// libpng's error callback.
[[noreturn]] void on_error(png_structp png, png_const_charp message) {
    auto& source = *static_cast<PngSource*>(png_get_error_ptr(png));
    leave_library(source, status_of(message), message);
}

/// libpng's warning callback: what libpng can pass over costs no pixel.
void on_warning(png_structp /*png*/, png_const_charp /*message*/) {}

/// libpng's callback for each row, once that is inflated: before libpng reads on.
void count_row(png_structp png, png_row_infop /*info*/, png_bytep /*row*/) {
    --static_cast<PngSource*>(png_get_io_ptr(png))->rows_left;
}

/// libpng's read callback.
void read_bytes(png_structp png, png_bytep bytes, std::size_t count) {
    auto& source = *static_cast<PngSource*>(png_get_io_ptr(png));
    if (source.rows_left == 0 && (source.surplus += count) > max_surplus) {
        leave_library(source, ImageStatus::ok, "");
    }
    if (source.rest.size() < count) {
        leave_library(source, ImageStatus::truncated, "the data ends before the picture");
    }
    std::memcpy(bytes, source.rest.data(), count);
    source.rest = source.rest.subspan(count);
    if (count == chunk_head_size && source.rest.data() == source.cut_data) {
        png_save_uint_32(bytes, static_cast<png_uint_32>(source.rest.size()));
    }
}

/// One PNG image being decoded.
class PngReader {
  public:
    PngReader(std::span<const std::uint8_t> image, const DecodeOptions& options);
    ~PngReader() { png_destroy_read_struct(&png_, &info_, nullptr); }
    PngReader(const PngReader&) = delete;
    PngReader& operator=(const PngReader&) = delete;

    ImageInfo read(const DecodeOptions& options, GreySink& sink);

  private:
    template <typename Call>
    void guard(const Call& call);
    void read_header(const DecodeOptions& options);
    void choose_transforms();
    void read_row_to_grey(std::uint8_t* grey, std::size_t width);
    [[nodiscard]] std::uint32_t rows_of_pass(int pass) const {
        return PNG_PASS_COLS(width_, pass) == 0 ? 0 : PNG_PASS_ROWS(height_, pass);
    }
    void read_interlaced(GreySink& sink);
    [[nodiscard]] std::string what_is_missing() const;

    PngSource source_{};
    bool keep_truncated_;
    EarlyEnd early_end_;
    bool end_missing_ = false; // of the image data, behind the last row
    png_structp png_ = nullptr;
    png_infop info_ = nullptr;
    std::uint32_t width_ = 0;
    std::uint32_t height_ = 0;
    bool interlaced_ = false;
    int pass_ = 0;              // of an interlaced picture
    GreyRow to_grey_ = nullptr; // neither this nor a palette: libpng's rows are grey already
    bool indexed_ = false;
    std::array<std::uint8_t, 256> palette_grey_{};
    std::vector<std::uint8_t> row_; // one scanline as libpng gives it
};

PngReader::PngReader(std::span<const std::uint8_t> image, const DecodeOptions& options)
    : keep_truncated_(options.keep_truncated), early_end_(options) {
    source_.rest = image;
    source_.cut_data = options.keep_truncated ? find_cut_data(image) : nullptr;
    guard([this] {
        png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, &source_, on_error, on_warning);
        info_ = png_ == nullptr ? nullptr : png_create_info_struct(png_);
    });
    if (info_ == nullptr) {
        png_destroy_read_struct(&png_, nullptr, nullptr);
        throw std::bad_alloc();
    }
    png_set_read_fn(png_, &source_, read_bytes);
    png_set_read_user_transform_fn(png_, count_row);
}

/// Runs calls of libpng and throws what they report.
template <typename Call>
void PngReader::guard(const Call& call) {
    if (setjmp(source_.escape) == 0) {
        call();
    } else if (source_.status != ImageStatus::ok) {
        throw format_error(png_format, source_.status, source_.fault.data());
    }
}

/// Reads up to the first image data. Nothing is allocated by the picture's size yet.
void PngReader::read_header(const DecodeOptions& options) {
    guard([this] {
        png_set_user_limits(png_, PNG_UINT_31_MAX, PNG_UINT_31_MAX); // ours are checked below
        png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
        png_set_crc_action(png_, PNG_CRC_ERROR_QUIT, PNG_CRC_QUIET_USE);
        png_read_info(png_, info_);
    });
    width_ = png_get_image_width(png_, info_);
    height_ = png_get_image_height(png_, info_);
    interlaced_ = png_get_interlace_type(png_, info_) == PNG_INTERLACE_ADAM7;
    check_size(png_format, width_, height_, options);
    source_.rows_left = interlaced_ ? 0 : height_;
    for (int pass = 0; interlaced_ && pass < PNG_INTERLACE_ADAM7_PASSES; ++pass) {
        source_.rows_left += rows_of_pass(pass);
    }
}

/// Makes libpng give bytes: samples of 8 bits, or palette indexes, one a byte.
void PngReader::choose_transforms() {
    const int color_type = png_get_color_type(png_, info_);
    switch (color_type) {
    case PNG_COLOR_TYPE_PALETTE: {
        png_colorp palette = nullptr;
        int entries = 0;
        png_get_PLTE(png_, info_, &palette, &entries);
        static_assert(sizeof(png_color) == 3);
        palette_grey_ = palette_to_grey({reinterpret_cast<const std::uint8_t*>(palette),
                                         static_cast<std::size_t>(entries) * 3});
        indexed_ = true;
        break;
    }
    case PNG_COLOR_TYPE_GRAY_ALPHA:
        to_grey_ = grey_alpha_to_grey;
        break;
    case PNG_COLOR_TYPE_RGB:
        to_grey_ = rgb_to_grey(best_isa());
        break;
    case PNG_COLOR_TYPE_RGB_ALPHA:
        to_grey_ = rgbx_to_grey(best_isa());
        break;
    default:
        break;
    }
    guard([this, color_type] {
        if (color_type == PNG_COLOR_TYPE_GRAY) {
            png_set_expand_gray_1_2_4_to_8(png_);
        }
        png_set_packing(png_);
        png_set_strip_16(png_);
        png_read_update_info(png_, info_);
    });
    row_.resize(png_get_rowbytes(png_, info_));
}

/// Reads the next scanline of `width` pixels; those that the data has no more are as Pillow leaves
/// them.
void PngReader::read_row_to_grey(std::uint8_t* grey, std::size_t width) {
    const bool complete = early_end_.read_row([this] {
        try {
            guard([this] { png_read_row(png_, row_.data(), nullptr); });
        } catch (const ImageError& error) {
            // After the last row libpng reads to the end of the image data.
            if (!keep_truncated_ || error.status() != ImageStatus::truncated ||
                source_.rows_left > 0) {
                throw;
            }
            end_missing_ = true;
        }
    });
    if (!complete) {
        std::memset(grey, indexed_ ? palette_grey_[0] : 0, width);
    } else if (to_grey_ != nullptr) {
        to_grey_(row_.data(), grey, width);
    } else if (indexed_) {
        std::transform(row_.data(), row_.data() + width, grey,
                       [this](std::uint8_t index) { return palette_grey_[index]; });
    } else {
        std::memcpy(grey, row_.data(), width);
    }
}

/// Gathers the seven passes in a grey picture, one byte a pixel, then gives it to the sink. (libpng
/// itself would gather them in full pixels.)
void PngReader::read_interlaced(GreySink& sink) {
    const std::size_t width = width_;
    // Not zeroed: a small file that claims a large picture should cost no memory before it fails.
    const auto picture = std::make_unique_for_overwrite<std::uint8_t[]>(width * height_);
    std::vector<std::uint8_t> grey(width);
    for (int pass = 0; pass < PNG_INTERLACE_ADAM7_PASSES; ++pass) {
        pass_ = early_end_.ended() ? pass_ : pass;
        const std::uint32_t columns = PNG_PASS_COLS(width_, pass);
        const std::uint32_t lines = rows_of_pass(pass);
        for (std::uint32_t line = 0; line < lines; ++line) {
            read_row_to_grey(grey.data(), columns);
            std::uint8_t* row =
                picture.get() + width * PNG_ROW_FROM_PASS_ROW(std::size_t{line}, pass);
            for (std::uint32_t column = 0; column < columns; ++column) {
                row[PNG_COL_FROM_PASS_COL(column, pass)] = grey[column];
            }
        }
    }
    sink.rows(picture.get(), width, height_);
}

/// ImageInfo::truncated.
std::string PngReader::what_is_missing() const {
    const auto message = [](const std::string& fault) {
        return std::string(format_error(png_format, ImageStatus::truncated, fault).what());
    };
    if (end_missing_) {
        return message("the end of the image data is missing");
    }
    if (!early_end_.ended()) {
        return {};
    }
    return interlaced_ ? message("the data ends in pass " + std::to_string(pass_ + 1) + " of 7")
                       : ends_in_row(png_format, early_end_.rows(), height_);
}

ImageInfo PngReader::read(const DecodeOptions& options, GreySink& sink) {
    read_header(options);
    choose_transforms();
    sink.start(width_, height_);
    if (interlaced_) {
        read_interlaced(sink);
    } else {
        give_rows(sink, width_, height_, [this](std::uint32_t /*y*/, std::uint8_t* grey) {
            read_row_to_grey(grey, width_);
        });
    }
    return {.width = width_,
            .height = height_,
            .format = png_format.name,
            .truncated = what_is_missing()};
}

ImageInfo decode_png(std::span<const std::uint8_t> image, const DecodeOptions& options,
                     GreySink& sink) {
    PngReader reader(image, options);
    return reader.read(options, sink);
}

/// The XMP packet of an iTXt chunk, empty where it holds another text or a compressed one.
std::string_view xmp_of(std::string_view text) {
    using namespace std::string_view_literals;
    constexpr auto keyword = "XML:com.adobe.xmp\0\0\0"sv; // then: not compressed, method 0
    if (!text.starts_with(keyword)) {
        return {};
    }
    text.remove_prefix(keyword.size());
    for (int field = 0; field < 2; ++field) { // language tag, translated keyword
        const std::size_t end = text.find('\0');
        if (end == std::string_view::npos) {
            return {};
        }
        text.remove_prefix(end + 1);
    }
    return text;
}

/// Walks the chunks, those after the image data too, to an eXIf or XMP chunk. EXIF that old
/// versions of ImageMagick wrote as text ("Raw profile type exif") is not read, nor compressed XMP.
Orientation png_orientation(std::span<const std::uint8_t> image) {
    std::span<const std::uint8_t> exif;
    std::string_view xmp;
    std::size_t at = signature_size;
    while (const auto chunk = chunk_at(image, at)) {
        if (chunk->at + chunk->length + crc_size > image.size() || chunk->type == "IEND") {
            break;
        }
        const auto data = image.subspan(chunk->at, chunk->length);
        if (chunk->type == "eXIf") {
            exif = data;
        } else if (chunk->type == "iTXt") {
            const auto packet = xmp_of({reinterpret_cast<const char*>(data.data()), data.size()});
            xmp = packet.empty() ? xmp : packet;
        }
        at = chunk->at + chunk->length + crc_size;
    }
    return image_orientation(exif, xmp);
}

} // namespace

const Format png_format{
    .name = "png", .title = "PNG", .decode = decode_png, .orientation = png_orientation};

} // namespace vamhash
