#include "codec/format.h"

#include "codec/bmp.h"
#include "codec/camera_tiff.h"
#include "codec/gif.h"
#include "codec/heif.h"
#include "codec/jpeg.h"
#include "codec/png.h"
#include "codec/raw.h"
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
#ifndef VAMHASH_HAVE_HEIF
const Format heic_format{.name = "heic", .title = "HEIC", .missing_library = "libheif"};
const Format avif_format{.name = "avif", .title = "AVIF", .missing_library = "libheif"};
#endif
#ifndef VAMHASH_HAVE_RAW
const Format raw_format{.name = "raw", .title = "camera RAW", .missing_library = "LibRaw"};
#endif

namespace {

using namespace std::string_view_literals;

/// libpng's own default limit, and that of the hasher.
constexpr std::uint64_t max_width = 1'000'000;

bool has_avif_brand(std::span<const std::uint8_t> image);

/// Bytes that a format has at fixed places; the second piece is empty where one is enough. Where
/// formats share them, a further look decides.
struct Magic {
    const Format* format;
    std::size_t offset;
    std::string_view bytes;
    std::size_t second_offset = 0;
    std::string_view second_bytes = {};
    bool (*is_that)(std::span<const std::uint8_t> image) = nullptr;
};

// RAW formats with a signature of their own come before TIFF, whose signature some share. DNG, NEF,
// ARW and PEF files have no other signature than TIFF's.
constexpr Magic camera_tiff(std::string_view signature) {
    return {.format = &raw_format, .offset = 0, .bytes = signature, .is_that = is_camera_tiff};
}

constexpr auto magics = std::to_array<Magic>({
    {&jpeg_format, 0, "\xFF\xD8\xFF"sv},
    {&png_format, 0, "\x89PNG\r\n\x1A\n"sv},
    {&webp_format, 0, "RIFF"sv, 8, "WEBP"sv},
    {&gif_format, 0, "GIF87a"sv},
    {&gif_format, 0, "GIF89a"sv},
    {&bmp_format, 0, "BM"sv, 15, "\0\0\0"sv}, // no header has 256 bytes or more
    {&heic_format, 4, "ftyphei"sv},           // heic, heix, heim, heis
    {&heic_format, 4, "ftyphev"sv},           // hevc, hevx, hevm, hevs
    {&avif_format, 4, "ftypavi"sv},           // avif, avis
    {&avif_format, 4, "ftypmif1"sv, 0, {}, has_avif_brand},
    {&avif_format, 4, "ftypmsf1"sv, 0, {}, has_avif_brand},
    {&heic_format, 4, "ftypmif1"sv},
    {&heic_format, 4, "ftypmsf1"sv},
    {&raw_format, 4, "ftypcrx "sv},           // Canon CR3
    {&raw_format, 0, "II*\0"sv, 8, "CR\2"sv}, // Canon CR2
    {&raw_format, 0, "IIRO"sv},               // Olympus ORF
    {&raw_format, 0, "IIRS"sv},
    {&raw_format, 0, "MMOR"sv},
    {&raw_format, 0, "IIU\0"sv},                // Panasonic RW2
    {&raw_format, 0, "FUJIFILMCCD-RAW "sv},     // Fujifilm RAF
    {&raw_format, 0, "FOVb"sv},                 // Sigma X3F
    {&raw_format, 0, "\0MRM"sv},                // Minolta MRW
    {&raw_format, 0, "II\x1A\0\0\0HEAPCCDR"sv}, // Canon CRW
    // Phase One IIQ, in which the first directory is another picture's.
    {&raw_format, 0, "II*\0"sv, 8, "IIIITwaR"sv},
    {&raw_format, 0, "II*\0"sv, 8, "IIIICwaR"sv},
    {&raw_format, 0, "MM\0*"sv, 8, "MMMMRawT"sv},
    camera_tiff("II*\0"sv),
    camera_tiff("MM\0*"sv),
    camera_tiff("II+\0"sv),
    camera_tiff("MM\0+"sv),
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

/// Whether the brands that a HEIF file of no codec's own brand says it is compatible with have
/// AV1's before any of HEVC's.
bool has_avif_brand(std::span<const std::uint8_t> image) {
    constexpr std::size_t brands_at = 16; // after the box's size and type, a brand and its version
    constexpr std::size_t most_brands = 64;
    std::size_t end = 0; // of the box
    for (std::size_t i = 0; i < 4; ++i) {
        end = end << 8U | image[i];
    }
    end = std::min({end, image.size(), brands_at + 4 * most_brands});
    for (std::size_t at = brands_at; at + 4 <= end; at += 4) {
        if (has_bytes(image, at, "avif") || has_bytes(image, at, "avis")) {
            return true;
        }
        if (has_bytes(image, at, "hei") || has_bytes(image, at, "hev")) {
            return false;
        }
    }
    return false;
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
               has_bytes(image, magic.second_offset, magic.second_bytes) &&
               (magic.is_that == nullptr || magic.is_that(image));
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

std::vector<std::string> codec_plugins() {
    std::vector<std::string> paths;
    for (const Magic& magic : magics) {
        if (magic.format->plugin != nullptr) {
            paths.push_back(magic.format->plugin());
        }
    }
    std::sort(paths.begin(), paths.end());
    paths.erase(std::unique(paths.begin(), paths.end()), paths.end());
    return paths;
}

ImageError format_error(const Format& format, ImageStatus status, std::string_view fault) {
    std::string message(format.title);
    message += kind_of_fault(status);
    message += fault;
    return {status, message};
}

ImageError no_codec_error(const Format& format) {
    std::string message(format.title);
    message += " images cannot be read by this build";
    if (!format.missing_library.empty()) {
        message += ": it was made without ";
        message += format.missing_library;
    }
    return {ImageStatus::unsupported, message};
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
