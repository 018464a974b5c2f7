// What an image codec in a library of its own looks like to the engine: one function that decodes a
// picture as a whole.
//
// Such a library brings an image library that is too heavy for the engine to be linked with. It is
// loaded at the first image that needs it, and exports vamhash_image_decoder_plugin, an
// ImageDecoderEntry. No exception crosses this border, and no memory changes hands.
//
// The header holds plain structs and constants, and is included on both sides.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include <cstddef>
#include <cstdint>

namespace vamhash::plugin {

extern "C" {

/// Raised with every change of what follows: a plugin of another version is refused.
constexpr std::uint32_t image_decoder_version = 1;

/// A decoded picture, upright, top row first.
struct Picture {
    const std::uint8_t* pixels;
    std::size_t stride;  // bytes from row to row
    std::uint32_t width; // of the pixels
    std::uint32_t height;
    std::uint32_t channels;   // 1: grey, 3: R, G, B; a byte each
    std::uint32_t full_width; // of the picture, where the pixels are a reduction of it
    std::uint32_t full_height;
};

struct PictureRequest {
    const std::uint8_t* image; // encoded
    std::size_t size;
    std::uint64_t max_pixels;
    /// Told the size that the image claims before anything is decoded; returns 0 to go on, anything
    /// else to stop.
    int (*check_size)(void* context, std::uint64_t width, std::uint64_t height) noexcept;
    /// Takes the picture, which is there until it returns. Returns 0, or anything else to stop.
    int (*take)(void* context, const Picture* picture) noexcept;
    void* context;
};

enum class PictureStatus : std::int32_t {
    done = 0,
    stopped = 1, // by check_size or take
    truncated = 2,
    corrupt = 3,
    unsupported = 4,
    too_large = 5,
    out_of_memory = 6,
};

struct ImageDecoder {
    std::uint32_t version; // image_decoder_version
    /// Decodes on the calling thread. Where it fails it writes the reason, ended by 0 and cut to
    /// fit, to `message`.
    PictureStatus (*decode)(const PictureRequest* request, char* message,
                            std::size_t message_size) noexcept;
};

/// What the library exports.
using ImageDecoderEntry = const ImageDecoder*() noexcept;
constexpr const char* image_decoder_entry = "vamhash_image_decoder_plugin";

} // extern "C"

} // namespace vamhash::plugin
