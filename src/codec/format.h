// The image formats known by their content, and who decodes each.
//
// A codec is two functions of an image's bytes: one decodes it, one says how it is turned. A new
// format is a file with these two and a line in format.cpp. A format without them is known only to
// be named in the message that this build cannot read it, and why.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include "codec/exif.h"
#include "codec/image.h"

#include <vector>

namespace vamhash {

struct Format {
    std::string_view name;  // ImageInfo::format: "jpeg"
    std::string_view title; // in messages: "JPEG"

    /// Decodes an image as stored, whatever options.orient says. Throws ImageError.
    ImageInfo (*decode)(std::span<const std::uint8_t> image, const DecodeOptions& options,
                        GreySink& sink) = nullptr;

    /// The orientation that the image asks for. Never throws: what cannot be read is as stored.
    /// A format that has none leaves it out.
    Orientation (*orientation)(std::span<const std::uint8_t> image) = nullptr;

    /// Whether the orientation is applied even unasked, as Pillow does to TIFF.
    bool always_upright = false;

    /// The library that this build lacks to read the format; empty where it is none's fault.
    std::string_view missing_library = {};

    /// Loads the library that the codec otherwise loads at its first image, where it has one that
    /// is too heavy to be linked. Called any number of times; never throws.
    void (*load)() = nullptr;

    /// The file that `load` loads, where it is not one of the system's own libraries, which it may
    /// need besides.
    std::string (*plugin)() = nullptr;
};

/// The format of an image, or nullptr where its first bytes are those of none.
const Format* recognise(std::span<const std::uint8_t> image);

/// Loads what any codec would load at its first image: for a sandbox in which nothing can be opened
/// (engine/sandbox.h).
void load_codecs();

/// The plugins of all codecs: for a sandbox in which little else can be opened.
std::vector<std::string> codec_plugins();

/// An ImageError with a message that names the format, the kind of fault and the fault itself:
/// "JPEG image is truncated: ...".
ImageError format_error(const Format& format, ImageStatus status, std::string_view fault);

/// An ImageError that says that this build cannot read a format, which has no `decode`, and why.
ImageError no_codec_error(const Format& format);

/// Throws where a picture has no pixels or more than are allowed. A row may take many bytes a pixel
/// on its way, so width is bounded apart from the number of pixels.
void check_size(const Format& format, std::uint64_t width, std::uint64_t height,
                const DecodeOptions& options);

} // namespace vamhash
