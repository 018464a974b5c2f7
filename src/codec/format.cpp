#include "codec/format.h"

#include "codec/bmp.h"
#include "codec/gif.h"
#include "codec/jpeg.h"
#include "codec/png.h"
#include "codec/tiff.h"
#include "codec/webp.h"

#include <algorithm>
#include <array>

namespace vamhash {

// The formats whose library was not there when this was built: CMakeLists.txt leaves their files
// out.
#ifndef VAMHASH_HAVE_WEBP
const Format webp_format{.name = "webp", .title = "WebP", .missing_library = "libwebp"};
#endif
#ifndef VAMHASH_HAVE_TIFF
const Format tiff_format{.name = "tiff", .title = "TIFF", .missing_library = "libtiff"};
#endif
#ifndef VAMHASH_HAVE_GIF
const Format gif_format{.name = "gif", .title = "GIF", .missing_library = "giflib"};
#endif

namespace {

using namespace std::string_view_literals;

/// libpng's own default limit, and that of the hasher.
constexpr std::uint64_t max_width = 1'000'000;

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
    {&webp_format, 0, "RIFF"sv, 8, "WEBP"sv},
    {&gif_format, 0, "GIF87a"sv},
    {&gif_format, 0, "GIF89a"sv},
    {&bmp_format, 0, "BM"sv, 15, "\0\0\0"sv}, // no header has 256 bytes or more
    {&heic, 4, "ftyphei"sv},                  // heic, heix, heim, heis
    {&heic, 4, "ftyphev"sv},                  // hevc, hevx, hevm, hevs
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
    {&tiff_format, 0, "II*\0"sv},
    {&tiff_format, 0, "MM\0*"sv},
    {&tiff_format, 0, "II+\0"sv}, // BigTIFF
    {&tiff_format, 0, "MM\0+"sv},
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
    case ImageStatus::out_of_memory:
        return " image could not be decoded: ";
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

void load_codecs() {
    for (const Magic& magic : magics) {
        if (magic.format->load != nullptr) {
            magic.format->load();
        }
    }
}

ImageError format_error(const Format& format, ImageStatus status, std::string_view fault) {
    std::string message(format.title);
    message += kind_of_fault(status);
    message += fault;
    return {status, message};
}

void check_size(const Format& format, std::uint64_t width, std::uint64_t height,
                const DecodeOptions& options) {
    const auto size = [&] {
        return std::to_string(width) + " x " + std::to_string(height) + " pixels";
    };
    if (width == 0 || height == 0) {
        throw format_error(format, ImageStatus::corrupt, size());
    }
    if (width > max_width || height > options.max_pixels / width) {
        throw format_error(format, ImageStatus::too_large, size());
    }
}

} // namespace vamhash
