// JPEG, by libjpeg-turbo.
#pragma once

#include "codec/format.h"
#include "simd/isa.h"

namespace vamhash {

extern const Format jpeg_format;

/// Fast decoding never scales the smaller side below this: twice the 32 pixels that pHash needs, so
/// that every hash still has several decoded pixels under each of its own.
constexpr std::uint32_t jpeg_min_scaled_side = 64;

/// Fast decoding gives a picture this many times smaller in both directions: 1, 2, 4 or 8.
unsigned jpeg_fast_scale(std::uint32_t width, std::uint32_t height,
                         std::uint32_t min_scaled_side = jpeg_min_scaled_side);

/// Decodes as jpeg_format does. The instruction set decides how the grey of the usual pictures
/// comes about: by the scalar one all is libjpeg's, and exact grey is made from its RGB; by others
/// exact grey comes from its planes, and an eighth of the size from jpeg_dc.h. Tests have small
/// images scaled.
ImageInfo decode_jpeg(std::span<const std::uint8_t> image, const DecodeOptions& options,
                      GreySink& sink, Isa isa,
                      std::uint32_t min_scaled_side = jpeg_min_scaled_side);

} // namespace vamhash
