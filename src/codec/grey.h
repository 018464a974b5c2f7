// Pixels to grey, as Pillow 11's convert("L"): L = (19595 R + 38470 G + 7471 B + 0x8000) >> 16.
//
// The sum fits 32 bits and has no other rounding, so every instruction set gives the same bytes.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include "simd/isa.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace vamhash {

/// Converts `count` pixels of one scanline to grey.
using GreyRow = void (*)(const std::uint8_t* pixels, std::uint8_t* grey, std::size_t count);

/// The conversion of 3-byte pixels: R, G, B.
GreyRow rgb_to_grey(Isa isa);

/// The conversion of 4-byte pixels: R, G, B and a byte that is ignored.
GreyRow rgbx_to_grey(Isa isa);

/// Converts Adobe's inverted CMYK, as JPEG files store it, by Pillow's CMYK to RGB to L.
void inverted_cmyk_to_grey(const std::uint8_t* pixels, std::uint8_t* grey, std::size_t count);

/// Converts CMYK in amounts of ink, as TIFF files store it.
void cmyk_to_grey(const std::uint8_t* pixels, std::uint8_t* grey, std::size_t count);

/// Converts R, G, B and the alpha that these were multiplied with, by Pillow's division.
void premultiplied_to_grey(const std::uint8_t* pixels, std::uint8_t* grey, std::size_t count);

/// Drops the alpha of 2-byte pixels.
void grey_alpha_to_grey(const std::uint8_t* pixels, std::uint8_t* grey, std::size_t count);

/// The grey of one pixel.
std::uint8_t grey_of_rgb(unsigned red, unsigned green, unsigned blue);

/// The grey of every index of a palette of R, G, B triples; an index beyond its end is black.
std::array<std::uint8_t, 256> palette_to_grey(std::span<const std::uint8_t> palette);

/// The same for formats in which Pillow looks whether each colour is the grey of its own index, and
/// takes such a palette for none: then an index beyond its end is a grey too.
std::array<std::uint8_t, 256> palette_or_ramp_to_grey(std::span<const std::uint8_t> palette);

} // namespace vamhash
