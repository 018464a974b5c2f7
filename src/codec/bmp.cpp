// BMP by an own decoder: Windows and OS/2 headers, 1 to 32 bits a pixel, bit fields, RLE4 and RLE8,
// bottom-up and top-down. Alpha is dropped.
//
// It is our own because the format is little more than a header before plain rows, and because
// libnsbmp, a well-kept library that decodes it from memory, is not packaged by Debian.
// Uncompressed rows are taken where they lie, in whichever order; a run-length coded picture is
// gathered first, one byte a pixel.
//
// Where the format leaves freedom, pixels are Pillow's: those that a run-length code passes over
// are index 0, a run that exceeds its row is cut off, an end of line at a row's beginning does not
// pass over a row, and a code that ends before the last row is a truncated image. Pillow loads no
// truncated run-length code, so that of such there is nothing to be kept either.
#include "codec/bmp.h"

#include "codec/early_end.h"
#include "codec/grey.h"
#include "codec/row_groups.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <memory>

namespace vamhash {

namespace {

constexpr std::size_t file_header_size = 14;
constexpr std::uint32_t core_header_size = 12; // OS/2 1.x, with sizes of 16 bits
constexpr std::uint32_t info_header_size = 40; // its bit fields come after it

enum Compression : std::uint32_t { uncompressed = 0, rle8 = 1, rle4 = 2, bit_fields = 3 };

[[noreturn]] void throw_truncated() {
    throw format_error(bmp_format, ImageStatus::truncated, "the data ends before the picture");
}

[[noreturn]] void throw_unsupported(const char* what, std::uint32_t number) {
    throw format_error(bmp_format, ImageStatus::unsupported, what + std::to_string(number));
}

/// Reads little-endian numbers; what lies beyond the end is a truncated image.
class BmpBytes {
  public:
    explicit BmpBytes(std::span<const std::uint8_t> image) : image_(image) {}

    [[nodiscard]] std::uint32_t number(std::size_t at, unsigned count) const {
        const auto bytes = part(at, count);
        std::uint32_t value = 0;
        for (unsigned i = 0; i < count; ++i) {
            value |= std::uint32_t{bytes[i]} << (8 * i);
        }
        return value;
    }
    [[nodiscard]] std::span<const std::uint8_t> part(std::size_t at, std::size_t count) const {
        if (at > image_.size() || image_.size() - at < count) {
            throw_truncated();
        }
        return image_.subspan(at, count);
    }
    [[nodiscard]] std::size_t size_from(std::size_t at) const {
        return image_.size() - std::min(at, image_.size());
    }

  private:
    std::span<const std::uint8_t> image_;
};

/// The bits of a pixel that are one colour channel.
struct Channel {
    std::uint32_t max = 0;
    unsigned shift = 0;

    [[nodiscard]] std::uint8_t byte_of(std::uint32_t pixel) const {
        return static_cast<std::uint8_t>((pixel >> shift & max) * 255 / max);
    }
};

struct Header {
    std::uint32_t size;
    std::uint32_t width;
    std::uint32_t height;
    bool top_down;
    std::uint32_t bits; // a pixel
    std::uint32_t compression;
    std::uint32_t colors; // in the palette
    std::uint32_t bytes_per_color;
    std::size_t palette_at;
    std::size_t pixels_at;
};

Header read_header(const BmpBytes& bytes) {
    Header header{};
    header.size = bytes.number(14, 4);
    header.palette_at = file_header_size + header.size;
    header.bytes_per_color = 4;
    switch (header.size) {
    case core_header_size:
        header.width = bytes.number(18, 2);
        header.height = bytes.number(20, 2);
        header.bits = bytes.number(24, 2);
        header.bytes_per_color = 3;
        break;
    case info_header_size:
    case 52:  // with bit fields
    case 56:  // and alpha
    case 64:  // OS/2 2.x
    case 108: // Windows 4
    case 124: // Windows 5
        header.width = bytes.number(18, 4);
        header.height = bytes.number(22, 4);
        header.top_down = static_cast<std::int32_t>(header.height) < 0;
        if (header.top_down) {
            header.height = 0U - header.height;
        }
        header.bits = bytes.number(28, 2);
        header.compression = bytes.number(30, 4);
        header.colors = bytes.number(46, 4);
        break;
    default:
        throw_unsupported("a header of bytes: ", header.size);
    }
    if (header.colors == 0 && header.bits <= 8) {
        header.colors = 1U << header.bits;
    }
    header.pixels_at = bytes.number(10, 4);
    if (header.bits > 8) {
        header.colors = 0; // those that there may be are of no use
    }
    if (header.pixels_at == header.palette_at) { // some writers give the palette's place
        header.pixels_at += std::size_t{4} * header.colors;
    } else if (header.pixels_at == 0) {
        header.pixels_at = header.palette_at + std::size_t{header.bytes_per_color} * header.colors;
        if (header.size == info_header_size && header.compression == bit_fields) {
            header.pixels_at += 12;
        }
    }
    return header;
}

/// One BMP image being decoded.
class BmpReader {
  public:
    explicit BmpReader(std::span<const std::uint8_t> image)
        : bytes_(image), header_(read_header(bytes_)) {}

    ImageInfo read(const DecodeOptions& options, GreySink& sink);

  private:
    void read_palette();
    void read_channels();
    void check_compression() const;
    void indexed_row(const std::uint8_t* row, std::uint8_t* grey) const;
    void masked_row(const std::uint8_t* row, std::uint8_t* grey) const;
    [[nodiscard]] bool has_whole_bytes() const;
    [[nodiscard]] std::uint32_t count_rows(bool keep_truncated) const;
    void read_rows(std::uint32_t rows_there, GreySink& sink) const;
    void read_runs(GreySink& sink) const;
    [[nodiscard]] std::size_t row_bytes() const { // without padding
        return (std::size_t{header_.width} * header_.bits + 7) / 8;
    }
    [[nodiscard]] std::size_t stride() const {
        return (std::size_t{header_.width} * header_.bits + 31) / 32 * 4;
    }
    [[nodiscard]] std::uint32_t stored_row(std::uint32_t y) const {
        return header_.top_down ? y : header_.height - 1 - y;
    }

    BmpBytes bytes_;
    Header header_;
    std::array<std::uint8_t, 256> greys_{}; // by index
    std::array<Channel, 3> channels_{};     // red, green, blue
};

void BmpReader::read_palette() {
    const std::uint32_t colors = std::min(header_.colors, 256U);
    const auto stored =
        bytes_.part(header_.palette_at, std::size_t{colors} * header_.bytes_per_color);
    std::array<std::uint8_t, 768> palette{};
    for (std::size_t i = 0; i < colors; ++i) {
        for (std::size_t channel = 0; channel < 3; ++channel) { // stored blue first
            palette[3 * i + channel] = stored[i * header_.bytes_per_color + 2 - channel];
        }
    }
    greys_ = palette_or_ramp_to_grey(std::span(palette).first(std::size_t{3} * colors));
}

/// The channels of direct colours: by bit fields or as usual for their number of bits.
void BmpReader::read_channels() {
    std::array<std::uint32_t, 3> masks{0xFF0000, 0xFF00, 0xFF};
    if (header_.bits == 16) {
        masks = {0x7C00, 0x3E0, 0x1F};
    }
    if (header_.compression == bit_fields) {
        std::array<std::uint32_t, 3> stored{};
        for (std::size_t i = 0; i < stored.size(); ++i) {
            stored[i] = bytes_.number(file_header_size + info_header_size + 4 * i, 4);
        }
        if (stored != std::array<std::uint32_t, 3>{} || header_.bits != 32) { // some write none
            masks = stored;
        }
    }
    for (std::size_t i = 0; i < masks.size(); ++i) {
        const auto shift = static_cast<unsigned>(std::countr_zero(masks[i]));
        const std::uint32_t max = masks[i] == 0 ? 0 : masks[i] >> shift;
        const bool contiguous = (max & (max + 1)) == 0;
        if (max == 0 || max > 0xFFFF || !contiguous) {
            throw format_error(bmp_format, ImageStatus::unsupported, "odd bit fields");
        }
        channels_[i] = {.max = max, .shift = shift};
    }
}

void BmpReader::check_compression() const {
    const bool fits = header_.compression == uncompressed ||
                      (header_.compression == rle8 && header_.bits == 8) ||
                      (header_.compression == rle4 && header_.bits == 4) ||
                      (header_.compression == bit_fields && header_.bits >= 16);
    if (!fits) {
        throw_unsupported("compression ", header_.compression);
    }
    constexpr std::array<std::uint32_t, 6> known_bits{1, 4, 8, 16, 24, 32};
    if (std::find(known_bits.begin(), known_bits.end(), header_.bits) == known_bits.end()) {
        throw_unsupported("bits a pixel: ", header_.bits);
    }
}

void BmpReader::indexed_row(const std::uint8_t* row, std::uint8_t* grey) const {
    const std::uint32_t bits = header_.bits;
    const std::uint32_t per_byte = 8 / bits;
    const std::uint32_t mask = (1U << bits) - 1;
    for (std::uint32_t x = 0; x < header_.width; ++x) {
        const std::uint32_t shift = 8 - bits - x % per_byte * bits;
        grey[x] = greys_[row[x / per_byte] >> shift & mask];
    }
}

void BmpReader::masked_row(const std::uint8_t* row, std::uint8_t* grey) const {
    const std::uint32_t size = header_.bits / 8;
    for (std::uint32_t x = 0; x < header_.width; ++x, row += size) {
        std::uint32_t pixel = 0;
        for (std::uint32_t i = 0; i < size; ++i) {
            pixel |= std::uint32_t{row[i]} << (8 * i);
        }
        grey[x] = grey_of_rgb(channels_[0].byte_of(pixel), channels_[1].byte_of(pixel),
                              channels_[2].byte_of(pixel));
    }
}

/// Whether each channel is a byte of the pixel.
bool BmpReader::has_whole_bytes() const {
    return std::all_of(channels_.begin(), channels_.end(), [this](const Channel& channel) {
        return channel.max == 255 && channel.shift % 8 == 0 && channel.shift < header_.bits;
    });
}

/// How many of the uncompressed rows are there. The last stored one may lack its padding.
std::uint32_t BmpReader::count_rows(bool keep_truncated) const {
    const std::size_t whole = stride() * (header_.height - 1) + row_bytes();
    const std::size_t there = bytes_.size_from(header_.pixels_at);
    if (there >= whole) {
        return header_.height;
    }
    if (!keep_truncated || there < row_bytes()) {
        throw_truncated();
    }
    return static_cast<std::uint32_t>((there - row_bytes()) / stride() + 1);
}

/// Gives the sink uncompressed rows. Of those that are not there every byte is 0, as in Pillow.
void BmpReader::read_rows(std::uint32_t rows_there, GreySink& sink) const {
    const auto rows = bytes_.part(header_.pixels_at, stride() * (rows_there - 1) + row_bytes());
    const std::uint8_t missing = header_.bits <= 8 ? greys_[0] : 0;
    const std::size_t pixel_bytes = header_.bits / 8;
    const bool whole_bytes = header_.bits > 8 && has_whole_bytes();
    std::vector<std::uint8_t> rgb(whole_bytes ? std::size_t{3} * header_.width : 0);
    const GreyRow to_grey = rgb_to_grey(best_isa());
    const std::size_t red = channels_[0].shift / 8;
    const std::size_t green = channels_[1].shift / 8;
    const std::size_t blue = channels_[2].shift / 8;
    sink.start(header_.width, header_.height);
    give_rows(sink, header_.width, header_.height, [&](std::uint32_t y, std::uint8_t* grey) {
        if (stored_row(y) >= rows_there) {
            std::memset(grey, missing, header_.width);
            return;
        }
        const std::uint8_t* row = rows.data() + stored_row(y) * stride();
        if (header_.bits <= 8) {
            indexed_row(row, grey);
        } else if (whole_bytes) {
            for (std::size_t x = 0; x < header_.width; ++x, row += pixel_bytes) {
                rgb[3 * x] = row[red];
                rgb[3 * x + 1] = row[green];
                rgb[3 * x + 2] = row[blue];
            }
            to_grey(rgb.data(), grey, header_.width);
        } else {
            masked_row(row, grey);
        }
    });
}

/// A run-length coded picture's indexes, in the order in which they are stored.
class RunReader {
  public:
    RunReader(const BmpBytes& bytes, const Header& header)
        : bytes_(bytes), at_(header.pixels_at), nibbles_(header.bits == 4), width_(header.width),
          pixel_count_(std::size_t{header.width} * header.height),
          // Not zeroed: a small file that claims a large picture should cost no memory.
          pixels_(std::make_unique_for_overwrite<std::uint8_t[]>(pixel_count_)) {}

    /// Reads all of them.
    const std::uint8_t* read() {
        while (filled_ < pixel_count_) {
            const std::uint32_t count = next_byte();
            const std::uint8_t code = next_byte();
            if (count != 0) {
                put_run(count, code);
            } else if (code == 0) { // end of line
                put_zeros((width_ - filled_ % width_) % width_);
            } else if (code == 1) { // end of picture
                throw_truncated();
            } else if (code == 2) { // an offset
                const std::size_t right = next_byte();
                const std::size_t down = next_byte();
                put_zeros(right + down * width_);
            } else {
                put_literals(code);
            }
        }
        return pixels_.get();
    }

  private:
    std::uint8_t next_byte() { return bytes_.part(at_++, 1)[0]; }

    /// What may still be put: in the row of the first pixel, where `in_row`.
    [[nodiscard]] std::size_t room(std::size_t count, bool in_row) const {
        const std::size_t left = pixel_count_ - filled_;
        return std::min(count, in_row ? std::min(left, width_ - column()) : left);
    }

    /// The column after the last pixel: a full row's is its width, until the row is ended.
    [[nodiscard]] std::size_t column() const { return filled_ - row_start_; }

    void put_zeros(std::size_t count) {
        count = room(count, false);
        std::memset(pixels_.get() + filled_, 0, count);
        filled_ += count;
        row_start_ = filled_ / width_ * width_;
    }

    void put_run(std::size_t count, std::uint8_t code) {
        count = room(count, true);
        for (std::size_t i = 0; i < count; ++i) {
            pixels_[filled_ + i] = index_in(code, i);
        }
        filled_ += count;
    }

    /// Puts pixels that are stored one by one, padded to whole words.
    void put_literals(std::size_t count) {
        const std::size_t size = nibbles_ ? (count + 1) / 2 : count;
        const auto literals = bytes_.part(at_, size);
        at_ += size + size % 2;
        count = room(count, true);
        for (std::size_t i = 0; i < count; ++i) {
            pixels_[filled_ + i] = index_in(literals[nibbles_ ? i / 2 : i], i);
        }
        filled_ += count;
    }

    /// The index of the i-th pixel of a run, or of literals, whose byte is this.
    [[nodiscard]] std::uint8_t index_in(std::uint8_t byte, std::size_t i) const {
        if (!nibbles_) {
            return byte;
        }
        return static_cast<std::uint8_t>(i % 2 == 0 ? byte >> 4 : byte & 0x0F);
    }

    BmpBytes bytes_;
    std::size_t at_;
    bool nibbles_;
    std::size_t width_;
    std::size_t pixel_count_;
    std::size_t filled_ = 0;
    std::size_t row_start_ = 0; // the first pixel of the row that the code is in
    std::unique_ptr<std::uint8_t[]> pixels_;
};

/// Gives the sink a run-length coded picture.
void BmpReader::read_runs(GreySink& sink) const {
    RunReader reader(bytes_, header_);
    const std::uint8_t* const indexes = reader.read();
    sink.start(header_.width, header_.height);
    give_rows(sink, header_.width, header_.height, [&](std::uint32_t y, std::uint8_t* grey) {
        const std::uint8_t* row = indexes + std::size_t{stored_row(y)} * header_.width;
        std::transform(row, row + header_.width, grey,
                       [this](std::uint8_t index) { return greys_[index]; });
    });
}

ImageInfo BmpReader::read(const DecodeOptions& options, GreySink& sink) {
    check_size(bmp_format, header_.width, header_.height, options);
    check_compression();
    if (header_.bits <= 8) {
        read_palette();
    } else {
        read_channels();
    }
    std::uint32_t rows_there = header_.height;
    if (header_.compression == rle4 || header_.compression == rle8) {
        read_runs(sink);
    } else {
        rows_there = count_rows(options.keep_truncated);
        read_rows(rows_there, sink);
    }
    return {.width = header_.width,
            .height = header_.height,
            .format = bmp_format.name,
            .truncated = rows_there < header_.height
                             ? ends_in_row(bmp_format, rows_there, header_.height)
                             : std::string()};
}

ImageInfo decode_bmp(std::span<const std::uint8_t> image, const DecodeOptions& options,
                     GreySink& sink) {
    BmpReader reader(image);
    return reader.read(options, sink);
}

} // namespace

const Format bmp_format{.name = "bmp", .title = "BMP", .decode = decode_bmp};

} // namespace vamhash
