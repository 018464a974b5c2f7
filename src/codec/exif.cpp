#include "codec/exif.h"

#include <algorithm>
#include <array>
#include <cstddef>

namespace vamhash {

namespace {

constexpr std::uint32_t orientation_tag = 0x0112;

Orientation orientation_of(std::uint32_t value) {
    return value >= 1 && value <= 8 ? static_cast<Orientation>(value) : Orientation::as_stored;
}

/// Reads numbers of a TIFF structure in its byte order; nothing where the data ends before.
class TiffBytes {
  public:
    TiffBytes(std::span<const std::uint8_t> data, bool big_endian)
        : data_(data), big_endian_(big_endian) {}

    [[nodiscard]] std::optional<std::uint32_t> number(std::uint64_t offset,
                                                      unsigned byte_count) const {
        if (offset > data_.size() || data_.size() - offset < byte_count) {
            return std::nullopt;
        }
        std::uint32_t value = 0;
        for (unsigned i = 0; i < byte_count; ++i) {
            const unsigned place = big_endian_ ? i : byte_count - 1 - i;
            value = value << 8 | data_[offset + place];
        }
        return value;
    }

  private:
    std::span<const std::uint8_t> data_;
    bool big_endian_;
};

/// The size of an integer field type, 0 for every other type (Pillow takes those as no number).
unsigned integer_size(std::uint32_t type) {
    switch (type) {
    case 3: // SHORT
    case 8: // SSHORT
        return 2;
    case 4: // LONG
    case 9: // SLONG
        return 4;
    default:
        return 0;
    }
}

/// The first value of a directory entry, in the entry itself where all its values fit 4 bytes.
std::optional<std::uint32_t> entry_value(const TiffBytes& tiff, std::uint64_t entry) {
    const auto type = tiff.number(entry + 2, 2);
    const auto count = tiff.number(entry + 4, 4);
    if (!type || !count || *count == 0 || integer_size(*type) == 0) {
        return std::nullopt;
    }
    const unsigned size = integer_size(*type);
    if (std::uint64_t{*count} * size <= 4) {
        return tiff.number(entry + 8, size);
    }
    const auto offset = tiff.number(entry + 8, 4);
    return offset ? tiff.number(*offset, size) : std::nullopt;
}

} // namespace

std::optional<Orientation> exif_orientation(std::span<const std::uint8_t> exif) {
    constexpr std::array<std::uint8_t, 6> prefix{'E', 'x', 'i', 'f', 0, 0};
    while (exif.size() >= prefix.size() &&
           std::equal(prefix.begin(), prefix.end(), exif.begin())) { // some writers put it twice
        exif = exif.subspan(prefix.size());
    }
    if (exif.size() < 8 || exif[0] != exif[1] || (exif[0] != 'I' && exif[0] != 'M')) {
        return std::nullopt;
    }
    const TiffBytes tiff(exif, exif[0] == 'M');
    // Some writers store the magic number 42 in the wrong byte order.
    const std::uint32_t magic = tiff.number(2, 2).value_or(0);
    if (magic != 0x002A && magic != 0x2A00) {
        return std::nullopt;
    }
    const std::uint64_t directory = tiff.number(4, 4).value_or(0);
    const std::uint32_t entry_count = tiff.number(directory, 2).value_or(0);
    std::optional<Orientation> orientation;
    for (std::uint32_t i = 0; i < entry_count; ++i) {
        const std::uint64_t entry = directory + 2 + 12ULL * i;
        const auto tag = tiff.number(entry, 2);
        if (!tag) {
            break;
        }
        if (*tag == orientation_tag) {
            if (const auto value = entry_value(tiff, entry)) {
                orientation = orientation_of(*value); // of two entries the last one counts
            }
        }
    }
    return orientation;
}

std::optional<Orientation> xmp_orientation(std::string_view xmp) {
    constexpr std::string_view name = "tiff:Orientation";
    for (std::size_t at = xmp.find(name); at != std::string_view::npos; at = xmp.find(name, at)) {
        at += name.size();
        std::string_view rest = xmp.substr(at);
        if (rest.starts_with("=\"")) { // an attribute
            rest.remove_prefix(2);
        } else if (rest.starts_with('>')) { // an element
            rest.remove_prefix(1);
        } else {
            continue;
        }
        if (!rest.empty() && rest.front() >= '0' && rest.front() <= '9') {
            return orientation_of(static_cast<std::uint32_t>(rest.front() - '0'));
        }
    }
    return std::nullopt;
}

Orientation image_orientation(std::span<const std::uint8_t> exif, std::string_view xmp) {
    auto orientation = exif_orientation(exif);
    if (!orientation) {
        orientation = xmp_orientation(xmp);
    }
    return orientation.value_or(Orientation::as_stored);
}

} // namespace vamhash
