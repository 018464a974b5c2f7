// JPEG files that are plain enough for decoders of others' making.
#pragma once

#include "codec/image.h"

#include <cstdint>
#include <optional>
#include <span>

namespace vamhash {

struct PlainJpeg {
    std::uint32_t width; // pixels, as stored
    std::uint32_t height;
    std::uint32_t bytes; // up to the end of image; what may be behind it is left out
};

/// The JPEG in these bytes, if it is an 8-bit sequential Huffman one of one scan, grey or YCbCr,
/// whose luma has its full resolution and whose end of image follows its scan. Whether there is any
/// other damage is not looked for.
std::optional<PlainJpeg> plain_jpeg(std::span<const std::uint8_t> image,
                                    const DecodeOptions& options);

} // namespace vamhash
