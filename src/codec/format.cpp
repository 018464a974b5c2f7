#include "codec/format.h"

#include "codec/jpeg.h"
#include "codec/png.h"

#include <algorithm>
#include <array>

namespace vamhash {

namespace {

using namespace std::string_view_literals;

constexpr Format webp{.name = "webp", .title = "WebP"};
constexpr Format tiff{.name = "tiff", .title = "TIFF"};
constexpr Format gif{.name = "gif", .title = "GIF"};
constexpr Format bmp{.name = "bmp", .title = "BMP"};
constexpr Format heic{.name = "heic", .title = "HEIC"};
constexpr Format avif{.name = "avif", .title = "AVIF"};
constexpr Format raw{.name = "raw", .title = "camera RAW"};

/// Bytes that a format has at fixed places; the second piece is empty where one is enough.
struct Magic {
    const Format* format;
    std::size_t offset;
    std::string_view bytes;
    std::size_t second_offset = 0;
    std::string_view second_bytes = {};
};

// RAW formats with a signature of their own come before TIFF, whose signature some share. DNG, NEF,
// ARW and PEF files have no other signature than TIFF's.
constexpr auto magics = std::to_array<Magic>({
    {&jpeg_format, 0, "\xFF\xD8\xFF"sv},
    {&png_format, 0, "\x89PNG\r\n\x1A\n"sv},
    {&webp, 0, "RIFF"sv, 8, "WEBP"sv},
    {&gif, 0, "GIF87a"sv},
    {&gif, 0, "GIF89a"sv},
    {&bmp, 0, "BM"sv, 6, "\0\0\0\0"sv}, // reserved bytes
    {&heic, 4, "ftyphei"sv},            // heic, heix, heim, heis
    {&heic, 4, "ftyphev"sv},            // hevc, hevx, hevm, hevs
    {&heic, 4, "ftypmif1"sv},
    {&heic, 4, "ftypmsf1"sv},
    {&avif, 4, "ftypavi"sv},           // avif, avis
    {&raw, 4, "ftypcrx "sv},           // Canon CR3
    {&raw, 0, "II*\0"sv, 8, "CR\2"sv}, // Canon CR2
    {&raw, 0, "IIRO"sv},               // Olympus ORF
    {&raw, 0, "IIRS"sv},
    {&raw, 0, "MMOR"sv},
    {&raw, 0, "IIU\0"sv},            // Panasonic RW2
    {&raw, 0, "FUJIFILMCCD-RAW "sv}, // Fujifilm RAF
    {&raw, 0, "FOVb"sv},             // Sigma X3F
    {&raw, 0, "\0MRM"sv},            // Minolta MRW
    {&tiff, 0, "II*\0"sv},
    {&tiff, 0, "MM\0*"sv},
    {&tiff, 0, "II+\0"sv}, // BigTIFF
    {&tiff, 0, "MM\0+"sv},
});

bool has_bytes(std::span<const std::uint8_t> image, std::size_t offset, std::string_view bytes) {
    return image.size() >= offset + bytes.size() &&
           std::equal(bytes.begin(), bytes.end(), image.begin() + offset,
                      [](char a, std::uint8_t b) { return static_cast<std::uint8_t>(a) == b; });
}

std::string_view kind_of_fault(ImageStatus status) {
    switch (status) {
    case ImageStatus::truncated:
        return " image is truncated: ";
    case ImageStatus::too_large:
        return " image is too large: ";
    case ImageStatus::unsupported:
        return " image cannot be read by this build: ";
    default:
        return " image is corrupt: ";
    }
}

} // namespace

const Format* recognise(std::span<const std::uint8_t> image) {
    const auto* found = std::find_if(magics.begin(), magics.end(), [&](const Magic& magic) {
        return has_bytes(image, magic.offset, magic.bytes) &&
               has_bytes(image, magic.second_offset, magic.second_bytes);
    });
    return found == magics.end() ? nullptr : found->format;
}

ImageError format_error(const Format& format, ImageStatus status, std::string_view fault) {
    std::string message(format.title);
    message += kind_of_fault(status);
    message += fault;
    return {status, message};
}

} // namespace vamhash
