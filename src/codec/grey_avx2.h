// The AVX2 grey conversions: declarations only, so that no inline function is compiled with AVX2.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include <cstddef>
#include <cstdint>

namespace vamhash {

/// Converts `count` R, G, B pixels to grey; reads no byte beyond them.
void rgb_to_grey_avx2(const std::uint8_t* pixels, std::uint8_t* grey, std::size_t count);

/// Converts `count` R, G, B, X pixels to grey.
void rgbx_to_grey_avx2(const std::uint8_t* pixels, std::uint8_t* grey, std::size_t count);

} // namespace vamhash
