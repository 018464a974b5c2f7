// The low frequencies of a 32x32 picture, exactly.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include <array>
#include <cstdint>
#include <span>

namespace vamhash {

inline constexpr std::size_t dct_size = 32;
inline constexpr std::size_t dct_kept = 8;

/// The top left 8x8 coefficients (DC first, rows are vertical frequencies) of the two-dimensional
/// DCT-II of 32x32 pixels, times 2^43; magnitudes stay within 2^61.
std::array<std::int64_t, dct_kept * dct_kept>
low_frequencies(std::span<const std::uint8_t, dct_size * dct_size> pixels);

} // namespace vamhash
