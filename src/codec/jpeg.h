// JPEG, by libjpeg-turbo.
#pragma once

#include "codec/format.h"
#include "simd/isa.h"

namespace vamhash {

extern const Format jpeg_format;

/// Decodes as jpeg_format does. The instruction set decides how the grey of the usual pictures
/// comes about: by the scalar one from libjpeg's RGB, by others from its planes.
ImageInfo decode_jpeg(std::span<const std::uint8_t> image, const DecodeOptions& options,
                      GreySink& sink, Isa isa);

} // namespace vamhash
