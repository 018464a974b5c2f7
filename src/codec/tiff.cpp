// TIFF by libtiff: the first picture of the file, in strips or tiles, its samples interleaved or in
// planes; 1 to 16 bits a sample, of more than 8 bits the high byte. Read are grey (either way
// round), palette, RGB, CMYK and YCbCr, in whatever compression libtiff was built with. Alpha and
// other extra samples are dropped; only RGB that was multiplied with its alpha is divided by it, as
// Pillow does. Signed and floating-point samples and CIE L*a*b* are refused: they have no one grey.
//
// Pillow turns TIFF pictures upright on loading, so hashes are of the upright picture whether or
// not that was asked for.
//
// Rows are decoded one by one, tiles a band at a time; PackBits strip by strip, as its runs may go
// on into the next row, which libtiff forgets between rows. Where a picture is in planes, each has
// a TiffFile of its own: libtiff decodes a strip from its beginning, and so would have to again and
// again if it went from plane to plane in each row.
//
// Of truncated pictures Pillow keeps the rows of uncompressed ones: each of a strip, tile or plane
// that is whole; the samples of others are 0. So do we, where that is asked for: libtiff, which
// would give up a strip for its last byte, is given zeros in place of what is missing. Pillow keeps
// nothing of compressed pictures.
#include "codec/tiff.h"

#include "codec/early_end.h"
#include "codec/grey.h"
#include "codec/row_groups.h"
#include "codec/tiff_file.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace vamhash {

namespace {

/// More extra samples than anything writes; Pillow's own limit is 6.
constexpr std::uint32_t max_samples_per_pixel = 16;

enum class Colour { grey, inverted_grey, palette, rgb, premultiplied_rgb, cmyk, ycbcr };

struct Layout {
    std::uint32_t width;
    std::uint32_t height;
    std::uint32_t bits; // a sample
    std::uint32_t samples_per_pixel;
    bool in_planes;
    bool tiled;
    bool whole_strips; // must be decoded at once
    bool keep_rows;    // of an uncompressed picture that is truncated
    Colour colour;

    /// How many samples of a pixel are looked at.
    [[nodiscard]] std::uint32_t channels() const {
        switch (colour) {
        case Colour::rgb:
        case Colour::ycbcr:
            return 3;
        case Colour::premultiplied_rgb:
        case Colour::cmyk:
            return 4;
        default:
            return 1;
        }
    }
};

[[noreturn]] void throw_unsupported(const std::string& what) {
    throw format_error(tiff_format, ImageStatus::unsupported, what);
}

/// Whether RGB was multiplied with alpha.
bool is_premultiplied(const TiffFile& file, const Layout& layout) {
    std::uint16_t count = 0;
    const std::uint16_t* kinds = nullptr;
    return layout.samples_per_pixel > 3 &&
           TIFFGetFieldDefaulted(file.get(), TIFFTAG_EXTRASAMPLES, &count, &kinds) == 1 &&
           count > 0 && kinds[0] == EXTRASAMPLE_ASSOCALPHA;
}

[[noreturn]] void throw_no_palette() {
    throw format_error(tiff_format, ImageStatus::corrupt, "its palette is missing");
}

Colour colour_of(const TiffFile& file, const Layout& layout) {
    // Pillow takes pictures without the tag for white on black.
    const auto photometric = file.field<std::uint16_t>(TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_MINISWHITE);
    if (file.is_indexed() && photometric != PHOTOMETRIC_PALETTE) {
        throw_no_palette();
    }
    switch (photometric) {
    case PHOTOMETRIC_MINISWHITE:
        return Colour::inverted_grey;
    case PHOTOMETRIC_MINISBLACK:
        return Colour::grey;
    case PHOTOMETRIC_RGB:
        return is_premultiplied(file, layout) ? Colour::premultiplied_rgb : Colour::rgb;
    case PHOTOMETRIC_PALETTE:
        return Colour::palette;
    case PHOTOMETRIC_SEPARATED:
        return Colour::cmyk;
    case PHOTOMETRIC_YCBCR:
        return layout.samples_per_pixel == 1 ? Colour::grey : Colour::ycbcr;
    default:
        throw_unsupported("photometric interpretation " + std::to_string(photometric));
    }
}

void check_samples(const TiffFile& file, const Layout& layout) {
    const auto format = file.field<std::uint16_t>(TIFFTAG_SAMPLEFORMAT, SAMPLEFORMAT_UINT);
    if (format != SAMPLEFORMAT_UINT && format != SAMPLEFORMAT_VOID) {
        throw_unsupported(format == SAMPLEFORMAT_IEEEFP ? "floating-point samples"
                          : format == SAMPLEFORMAT_INT  ? "signed samples"
                                                        : "complex samples");
    }
    const std::uint32_t max_bits =
        layout.colour == Colour::palette || layout.colour == Colour::ycbcr ? 8 : 16;
    if (layout.bits == 0 || layout.bits > max_bits) {
        throw_unsupported(std::to_string(layout.bits) + " bits a sample");
    }
    if (layout.samples_per_pixel < layout.channels() ||
        layout.samples_per_pixel > max_samples_per_pixel) {
        throw_unsupported(std::to_string(layout.samples_per_pixel) + " samples a pixel");
    }
}

Layout read_layout(const TiffFile& file, const DecodeOptions& options) {
    Layout layout{};
    layout.width = file.field<std::uint32_t>(TIFFTAG_IMAGEWIDTH, 0);
    layout.height = file.field<std::uint32_t>(TIFFTAG_IMAGELENGTH, 0);
    check_size(tiff_format, layout.width, layout.height, options);
    layout.bits = file.field<std::uint16_t>(TIFFTAG_BITSPERSAMPLE, 1);
    layout.samples_per_pixel = file.field<std::uint16_t>(TIFFTAG_SAMPLESPERPIXEL, 1);
    layout.in_planes = layout.samples_per_pixel > 1 &&
                       file.field<std::uint16_t>(TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG) ==
                           PLANARCONFIG_SEPARATE;
    layout.tiled = TIFFIsTiled(file.get()) != 0;
    layout.colour = colour_of(file, layout);
    check_samples(file, layout);
    const auto compression = file.field<std::uint16_t>(TIFFTAG_COMPRESSION, COMPRESSION_NONE);
    layout.whole_strips = compression == COMPRESSION_PACKBITS;
    layout.keep_rows =
        options.keep_truncated && compression == COMPRESSION_NONE && layout.colour != Colour::ycbcr;
    if (TIFFIsCODECConfigured(compression) == 0) {
        const TIFFCodec* const codec = TIFFFindCODEC(compression);
        throw_unsupported("compression " + (codec != nullptr ? std::string(codec->name)
                                                             : std::to_string(compression)));
    }
    return layout;
}

/// What lies side by side in a row: a tile's part of it, or all of it where there are strips.
struct Segment {
    const std::uint8_t* samples;
    std::uint32_t x;
    std::uint32_t width;
};

/// One plane's rows from top to bottom, or those of all samples where they are interleaved.
class PlaneReader {
  public:
    PlaneReader(std::span<const std::uint8_t> image, const Layout& layout, std::uint16_t plane,
                const DecodeOptions& options)
        : file_(image), file_size_(image.size()), layout_(layout), plane_(plane),
          width_(layout.width), tiled_(layout.tiled), keep_rows_(layout.keep_rows),
          // Pillow leaves 0 in its own terms: black, the first colour of a palette, no ink.
          missing_sample_byte_(layout.colour == Colour::inverted_grey ? 0xFF : 0) {
        if (layout.colour == Colour::ycbcr) {
            TIFFSetField(file_.get(), TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
        }
        if (layout.tiled) {
            start_tiles(layout, options);
        } else {
            start_strips(layout);
        }
        if (keep_rows_) {
            file_.append_zeros();
        }
    }

    [[nodiscard]] std::size_t segment_count() const { return (width_ - 1) / segment_width_ + 1; }

    /// Decodes the next row. False where a part of it is missing that may be.
    bool read_row(std::uint32_t y) {
        decode_row(y);
        if (!keep_rows_) {
            return true;
        }
        std::size_t missing = 0;
        for (std::size_t i = 0; i < segment_count(); ++i) {
            if (!is_there(y, i)) {
                std::memset(samples_.get() + i * tile_size_ + row_in_band_ * tile_row_size_,
                            missing_sample_byte_, tile_row_size_);
                ++missing;
            }
        }
        any_there_ = any_there_ || missing < segment_count();
        return missing == 0;
    }

    /// Whether any segment of the rows read was there.
    [[nodiscard]] bool any_there() const { return any_there_; }

    /// Whether anything was missing, be it beyond the picture's edge.
    [[nodiscard]] bool read_beyond_end() const { return file_.read_beyond_end(); }

    [[nodiscard]] Segment segment(std::size_t i) const {
        const auto x = static_cast<std::uint32_t>(i * segment_width_);
        return {.samples = samples_.get() + i * tile_size_ + row_in_band_ * tile_row_size_,
                .x = x,
                .width = std::min(segment_width_, width_ - x)};
    }

  private:
    void decode_row(std::uint32_t y) {
        if (band_height_ == 0) {
            file_.check(TIFFReadScanline(file_.get(), samples_.get(), y, plane_) == 1);
            return;
        }
        row_in_band_ = y % band_height_;
        if (row_in_band_ != 0) {
            return;
        }
        if (tiled_) {
            for (std::size_t i = 0; i < segment_count(); ++i) {
                const auto x = static_cast<std::uint32_t>(i * segment_width_);
                file_.check(TIFFReadTile(file_.get(), samples_.get() + i * tile_size_, x, y, 0,
                                         plane_) >= 0);
            }
        } else {
            file_.check(TIFFReadEncodedStrip(file_.get(), TIFFComputeStrip(file_.get(), y, plane_),
                                             samples_.get(),
                                             static_cast<tmsize_t>(tile_size_)) >= 0);
        }
    }

    /// Whether the file has all of a segment of a row, where the picture is uncompressed.
    [[nodiscard]] bool is_there(std::uint32_t y, std::size_t i) const {
        const auto x = static_cast<std::uint32_t>(i * segment_width_);
        const std::uint32_t rows =
            tiled_ ? band_height_
                   : file_.field<std::uint32_t>(TIFFTAG_ROWSPERSTRIP, layout_.height);
        const std::uint32_t block = tiled_ ? TIFFComputeTile(file_.get(), x, y, 0, plane_)
                                           : TIFFComputeStrip(file_.get(), y, plane_);
        const std::uint64_t begin = TIFFGetStrileOffset(file_.get(), block);
        const std::uint64_t end =
            begin + std::uint64_t{y % rows} * tile_row_size_ + row_bytes(layout_, segment(i).width);
        return begin <= file_size_ && end <= file_size_;
    }

    [[nodiscard]] static std::size_t row_bytes(const Layout& layout, std::uint32_t width) {
        const std::size_t samples = layout.in_planes ? 1 : layout.samples_per_pixel;
        return (width * samples * layout.bits + 7) / 8;
    }

    void start_strips(const Layout& layout) {
        segment_width_ = width_;
        const tmsize_t size = TIFFScanlineSize(file_.get());
        file_.check(size > 0 && static_cast<std::size_t>(size) >= row_bytes(layout, width_));
        tile_row_size_ = static_cast<std::size_t>(size);
        std::size_t rows = 1;
        if (layout.whole_strips) {
            band_height_ = std::clamp(
                file_.field<std::uint32_t>(TIFFTAG_ROWSPERSTRIP, layout.height), 1U, layout.height);
            rows = band_height_;
        }
        tile_size_ = tile_row_size_ * rows;
        samples_ = std::make_unique_for_overwrite<std::uint8_t[]>(tile_size_);
    }

    /// Makes room for one band of tiles: no more than the whole picture, tile for tile.
    void start_tiles(const Layout& layout, const DecodeOptions& options) {
        // Tiles of width or height 0 are found by their size.
        segment_width_ = std::max(1U, file_.field<std::uint32_t>(TIFFTAG_TILEWIDTH, 0));
        band_height_ = std::max(1U, file_.field<std::uint32_t>(TIFFTAG_TILELENGTH, 0));
        check_size(tiff_format, segment_width_, band_height_, options);
        const std::uint64_t band_width = std::uint64_t{segment_width_} * segment_count();
        if (band_width > options.max_pixels / band_height_) {
            throw format_error(tiff_format, ImageStatus::too_large,
                               "tiles of " + std::to_string(segment_width_) + " x " +
                                   std::to_string(band_height_) + " pixels");
        }
        const tmsize_t size = TIFFTileSize(file_.get());
        const tmsize_t row_size = TIFFTileRowSize(file_.get());
        file_.check(size > 0 && row_size > 0 &&
                    static_cast<std::size_t>(row_size) >= row_bytes(layout, segment_width_) &&
                    size / row_size >= static_cast<tmsize_t>(band_height_));
        tile_size_ = static_cast<std::size_t>(size);
        tile_row_size_ = static_cast<std::size_t>(row_size);
        samples_ = std::make_unique_for_overwrite<std::uint8_t[]>(tile_size_ * segment_count());
    }

    TiffFile file_;
    std::size_t file_size_;
    Layout layout_;
    std::uint16_t plane_;
    std::uint32_t width_;
    std::uint32_t segment_width_ = 0;
    bool tiled_;
    bool keep_rows_;
    std::uint8_t missing_sample_byte_;
    bool any_there_ = false;
    std::uint32_t band_height_ = 0; // of tiles or of a strip; 0: row by row
    std::uint32_t row_in_band_ = 0;
    std::size_t tile_size_ = 0;
    std::size_t tile_row_size_ = 0;
    std::unique_ptr<std::uint8_t[]> samples_; // a row, a strip, or a band's tiles one after another
};

/// Samples of other than 8 bits as bytes: of more bits the high byte; fewer are spread over 0 to
/// 255, but for the indexes of a palette.
class SampleBytes {
  public:
    explicit SampleBytes(const Layout& layout)
        : bits_(layout.bits), spread_(layout.colour != Colour::palette) {}

    void convert(const std::uint8_t* samples, std::uint8_t* bytes, std::size_t count) const {
        if (bits_ == 16) { // in the machine's byte order
            for (std::size_t i = 0; i < count; ++i) {
                std::uint16_t value = 0;
                std::memcpy(&value, samples + 2 * i, sizeof value);
                bytes[i] = static_cast<std::uint8_t>(value >> 8U);
            }
            return;
        }
        const std::uint32_t max = (1U << bits_) - 1;
        std::uint32_t pending = 0; // the lowest bits are not yet taken
        unsigned pending_bits = 0;
        for (std::size_t i = 0; i < count; ++i) {
            while (pending_bits < bits_) {
                pending = pending << 8U | *samples++;
                pending_bits += 8;
            }
            pending_bits -= bits_;
            const std::uint32_t value = pending >> pending_bits & max;
            bytes[i] = static_cast<std::uint8_t>(bits_ > 8 ? value >> (bits_ - 8)
                                                 : spread_ ? value * 255 / max
                                                           : value);
        }
    }

  private:
    unsigned bits_;
    bool spread_;
};

/// The grey of every index, by the high bytes of the colour map.
std::array<std::uint8_t, 256> read_palette(const TiffFile& file, const Layout& layout) {
    std::array<std::uint16_t*, 3> map{};
    if (TIFFGetField(file.get(), TIFFTAG_COLORMAP, map.data(), &map[1], &map[2]) != 1) {
        throw_no_palette();
    }
    std::array<std::uint8_t, 768> palette{};
    for (std::size_t i = 0; i < std::size_t{3} << layout.bits; ++i) {
        palette[i] = static_cast<std::uint8_t>(map[i % 3][i / 3] >> 8U);
    }
    return palette_to_grey(palette);
}

/// Makes grey of a layout's pixels whose samples are bytes.
class PixelGrey {
  public:
    PixelGrey(const TiffFile& file, const Layout& layout) : colour_(layout.colour) {
        if (colour_ == Colour::palette) {
            greys_ = read_palette(file, layout);
        }
    }

    /// Converts pixels of exactly as many bytes as the colour has channels.
    void convert(const std::uint8_t* pixels, std::uint8_t* grey, std::size_t count) const {
        switch (colour_) {
        case Colour::grey:
            std::memcpy(grey, pixels, count);
            break;
        case Colour::inverted_grey:
            std::transform(pixels, pixels + count, grey,
                           [](std::uint8_t value) { return static_cast<std::uint8_t>(~value); });
            break;
        case Colour::palette:
            std::transform(pixels, pixels + count, grey,
                           [this](std::uint8_t index) { return greys_[index]; });
            break;
        case Colour::premultiplied_rgb:
            premultiplied_to_grey(pixels, grey, count);
            break;
        case Colour::cmyk:
            cmyk_to_grey(pixels, grey, count);
            break;
        default:
            rgb_to_grey_(pixels, grey, count);
        }
    }

  private:
    Colour colour_;
    GreyRow rgb_to_grey_ = rgb_to_grey(best_isa());
    std::array<std::uint8_t, 256> greys_{};
};

/// Gives the sink all rows of a picture whose samples libtiff hands out as they are. What it
/// returns is ImageInfo::truncated.
std::string read_samples(std::span<const std::uint8_t> image, const TiffFile& file,
                         const Layout& layout, const DecodeOptions& options, GreySink& sink) {
    const std::size_t channels = layout.channels();
    std::vector<std::unique_ptr<PlaneReader>> planes;
    for (std::size_t plane = 0; plane < (layout.in_planes ? channels : 1); ++plane) {
        planes.push_back(std::make_unique<PlaneReader>(image, layout,
                                                       static_cast<std::uint16_t>(plane), options));
    }
    const std::size_t stride = layout.in_planes ? 1 : layout.samples_per_pixel;
    const SampleBytes sample_bytes(layout);
    const PixelGrey pixel_grey(file, layout);
    std::vector<std::uint8_t> bytes(layout.bits == 8 ? 0 : layout.width * stride);
    const bool gathered = layout.in_planes ? channels > 1 : stride != channels;
    std::vector<std::uint8_t> pixels(gathered ? layout.width * channels : 0);

    const auto bytes_of = [&](const Segment& segment) {
        if (layout.bits == 8) {
            return segment.samples;
        }
        sample_bytes.convert(segment.samples, bytes.data(), segment.width * stride);
        return static_cast<const std::uint8_t*>(bytes.data());
    };
    const auto gather = [&](const std::uint8_t* from, std::size_t first, std::size_t count,
                            std::size_t width) {
        for (std::size_t x = 0; x < width; ++x) {
            for (std::size_t i = 0; i < count; ++i) {
                pixels[x * channels + first + i] = from[x * stride + i];
            }
        }
    };
    std::uint32_t first_missing = layout.height;
    sink.start(layout.width, layout.height);
    give_rows(sink, layout.width, layout.height, [&](std::uint32_t y, std::uint8_t* grey) {
        for (const auto& plane : planes) {
            if (!plane->read_row(y)) {
                first_missing = std::min(first_missing, y);
            }
        }
        for (std::size_t i = 0; i < planes.front()->segment_count(); ++i) {
            const Segment first = planes.front()->segment(i);
            if (!gathered) {
                pixel_grey.convert(bytes_of(first), grey + first.x, first.width);
                continue;
            }
            for (std::size_t plane = 0; plane < planes.size(); ++plane) {
                gather(bytes_of(planes[plane]->segment(i)), plane, layout.in_planes ? 1 : channels,
                       first.width);
            }
            pixel_grey.convert(pixels.data(), grey + first.x, first.width);
        }
    });
    if (!layout.keep_rows || std::none_of(planes.begin(), planes.end(), [](const auto& plane) {
            return plane->read_beyond_end();
        })) {
        return {};
    }
    if (std::none_of(planes.begin(), planes.end(),
                     [](const auto& plane) { return plane->any_there(); })) {
        throw format_error(tiff_format, ImageStatus::truncated, "the data ends before the picture");
    }
    return ends_in_row(tiff_format, std::min(first_missing, layout.height - 1), layout.height);
}

/// libtiff's own conversion to RGBA.
class RgbaImage {
  public:
    explicit RgbaImage(const TiffFile& file) : file_(file) {
        std::array<char, 1024> fault{};
        if (TIFFRGBAImageOK(file.get(), fault.data()) == 0 ||
            TIFFRGBAImageBegin(&image_, file.get(), 1, fault.data()) == 0) {
            throw_unsupported(fault.data());
        }
        image_.orientation = ORIENTATION_TOPLEFT;
        image_.req_orientation = ORIENTATION_TOPLEFT;
    }
    ~RgbaImage() { TIFFRGBAImageEnd(&image_); }
    RgbaImage(const RgbaImage&) = delete;
    RgbaImage& operator=(const RgbaImage&) = delete;

    /// Decodes `count` rows from row y on.
    void read(std::uint32_t y, std::uint32_t count, std::uint32_t* raster) {
        image_.row_offset = static_cast<int>(y);
        file_.check(TIFFRGBAImageGet(&image_, raster, image_.width, count) == 1);
    }

  private:
    const TiffFile& file_;
    TIFFRGBAImage image_{};
};

/// Gives the sink all rows of a YCbCr picture, which may be subsampled, strip by strip or band by
/// band of tiles.
void read_ycbcr(const TiffFile& file, const Layout& layout, GreySink& sink) {
    const auto wanted = file.field<std::uint32_t>(
        layout.tiled ? TIFFTAG_TILELENGTH : TIFFTAG_ROWSPERSTRIP, layout.height);
    const std::uint32_t block = std::clamp(wanted, 1U, layout.height);
    RgbaImage rgba(file);
    const auto raster =
        std::make_unique_for_overwrite<std::uint32_t[]>(std::size_t{layout.width} * block);
    sink.start(layout.width, layout.height);
    give_rows(sink, layout.width, layout.height, [&](std::uint32_t y, std::uint8_t* grey) {
        if (y % block == 0) {
            rgba.read(y, std::min(block, layout.height - y), raster.get());
        }
        const std::uint32_t* const row = raster.get() + std::size_t{y % block} * layout.width;
        std::transform(row, row + layout.width, grey, [](std::uint32_t pixel) {
            return grey_of_rgb(TIFFGetR(pixel), TIFFGetG(pixel), TIFFGetB(pixel));
        });
    });
}

/// Whether libjpeg makes RGB of a YCbCr picture, row by row.
bool libjpeg_converts(const TiffFile& file, const Layout& layout) {
    return !layout.in_planes && layout.samples_per_pixel == 3 &&
           file.field<std::uint16_t>(TIFFTAG_COMPRESSION, COMPRESSION_NONE) == COMPRESSION_JPEG;
}

ImageInfo decode_tiff(std::span<const std::uint8_t> image, const DecodeOptions& options,
                      GreySink& sink) {
    const TiffFile file(image);
    const Layout layout = read_layout(file, options);
    std::string truncated;
    if (layout.colour == Colour::ycbcr && !libjpeg_converts(file, layout)) {
        read_ycbcr(file, layout, sink);
    } else {
        truncated = read_samples(image, file, layout, options, sink);
    }
    return {.width = layout.width,
            .height = layout.height,
            .format = tiff_format.name,
            .truncated = truncated};
}

/// The orientation tag, or else that of the XMP packet.
Orientation tiff_orientation(std::span<const std::uint8_t> image) {
    try {
        const TiffFile file(image);
        std::uint16_t orientation = 0;
        if (TIFFGetField(file.get(), TIFFTAG_ORIENTATION, &orientation) == 1) {
            return static_cast<Orientation>(orientation); // libtiff lets only 1 to 8 through
        }
        std::uint32_t size = 0;
        const char* xmp = nullptr;
        if (TIFFGetField(file.get(), TIFFTAG_XMLPACKET, &size, &xmp) == 1) {
            return image_orientation({}, {xmp, size});
        }
    } catch (const ImageError&) {
        // Decoding says what is wrong.
    }
    return Orientation::as_stored;
}

} // namespace

const Format tiff_format{.name = "tiff",
                         .title = "TIFF",
                         .decode = decode_tiff,
                         .orientation = tiff_orientation,
                         .always_upright = true};

} // namespace vamhash
