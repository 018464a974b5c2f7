// EXIF data and XMP packets, by themselves and in the files that carry them. The first two bytes
// are the length of the EXIF data; the rest is the XMP packet.
#include "codec/exif.h"
#include "codec/jpeg.h"
#include "codec/png.h"
#include "codec/webp.h"
#include "fuzz.h"

#include <array>
#include <initializer_list>
#include <optional>
#include <string>

namespace vamhash {
namespace {

using namespace fuzz;
using namespace std::string_literals;

/// What fits a segment of a JPEG file, in which an XMP packet lies undivided.
constexpr std::size_t largest_input = 60'000;

using View = std::span<const std::uint8_t>;

View view(std::string_view text) {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

std::string_view text_of(View bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string big_endian(std::size_t value, unsigned count) {
    std::string bytes;
    for (unsigned i = count; i-- > 0;) {
        bytes.push_back(static_cast<char>(value >> (8 * i) & 0xFF));
    }
    return bytes;
}

std::string little_endian(std::size_t value, unsigned count) {
    std::string bytes = big_endian(value, count);
    return {bytes.rbegin(), bytes.rend()};
}

std::string png_chunk(const std::string& type, std::string_view data) {
    return big_endian(data.size(), 4) + type + std::string(data) + "CRC."s;
}

std::string webp_chunk(const std::string& type, std::string_view data) {
    return type + little_endian(data.size(), 4) + std::string(data) +
           std::string(data.size() % 2, '\0');
}

/// A JPEG of nothing but these metadata, the EXIF data in segments of a thousand bytes.
std::string jpeg_with(std::string_view exif, std::string_view xmp) {
    std::string image = "\xFF\xD8"s;
    const auto add_segment = [&](const std::string& data) {
        image += "\xFF\xE1"s + big_endian(data.size() + 2, 2) + data;
    };
    constexpr std::size_t part = 1000;
    for (std::size_t at = 0; at < exif.size(); at += part) {
        add_segment("Exif\0\0"s + std::string(exif.substr(at, part)));
    }
    add_segment("http://ns.adobe.com/xap/1.0/\0"s + std::string(xmp));
    return image + "\xFF\xDA"s;
}

std::string png_with(std::string_view exif, std::string_view xmp) {
    const std::string text = "XML:com.adobe.xmp\0\0\0\0\0"s + std::string(xmp);
    return "\x89PNG\r\n\x1A\n"s + png_chunk("eXIf", exif) + png_chunk("iTXt", text) +
           png_chunk("IEND", {});
}

std::string webp_with(std::string_view exif, std::string_view xmp) {
    const std::string head = "\x0C"s + std::string(9, '\0'); // EXIF and XMP are announced
    const std::string chunks =
        webp_chunk("VP8X", head) + webp_chunk("EXIF", exif) + webp_chunk("XMP ", xmp);
    return "RIFF"s + little_endian(chunks.size() + 4, 4) + "WEBP"s + chunks;
}

void check_orientation(std::optional<Orientation> orientation) {
    require(!orientation || (*orientation >= Orientation::as_stored &&
                             *orientation <= Orientation::rotate_anticlockwise),
            "an orientation that is none");
}

void check_metadata(View exif, View xmp) {
    const auto by_exif = exif_orientation(exif);
    const auto by_xmp = xmp_orientation(text_of(xmp));
    check_orientation(by_exif);
    check_orientation(by_xmp);
    const Orientation expected = by_exif ? *by_exif : by_xmp.value_or(Orientation::as_stored);
    require(image_orientation(exif, text_of(xmp)) == expected, "EXIF counts before XMP");

    const std::string prefixed = "Exif\0\0"s + std::string(text_of(exif));
    require(exif_orientation(view(prefixed)) == by_exif, "a prefix makes a difference");

    require(jpeg_format.orientation(view(jpeg_with(text_of(exif), text_of(xmp)))) == expected,
            "the orientation of a JPEG");
    require(png_format.orientation(view(png_with(text_of(exif), text_of(xmp)))) == expected,
            "the orientation of a PNG");
    if (webp_format.orientation != nullptr) {
        require(webp_format.orientation(view(webp_with(text_of(exif), text_of(xmp)))) == expected,
                "the orientation of a WebP");
    }
    // Whatever they are, they are walked to some end.
    for (const Format* format : {&jpeg_format, &png_format, &webp_format}) {
        if (format->orientation != nullptr) {
            check_orientation(format->orientation(exif));
        }
    }
}

} // namespace
} // namespace vamhash

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size > vamhash::largest_input) {
        return 0;
    }
    vamhash::fuzz::Input input({data, size});
    const std::size_t length = input.take<std::uint16_t>();
    const auto rest = input.rest();
    const auto exif = rest.first(std::min(length, rest.size()));
    vamhash::check_metadata(exif, rest.subspan(exif.size()));
    return 0;
}
