// Compares a block of 64-bit codes with another block: the innermost loop of every join.
//
// Brute force cuts the whole comparison matrix into such tiles; a bucket of a blocked join is one
// tile or a few. There is one version an instruction set, in tile_<isa>.cpp. This header holds no
// inline function and includes no container: the SIMD files are compiled with flags that must not
// leak into code that other files share.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include <cstddef>
#include <cstdint>

namespace vamhash {

enum class Isa;

/// left[a] and right[b] differ in `distance` bits.
struct Hit {
    std::uint16_t a;
    std::uint16_t b;
    std::uint32_t distance;
};

/// Blocks hold at most this many codes, so that a Hit can name them.
constexpr std::size_t max_block_codes = 65536;

/// The array of hits is this much longer than the hits it may receive: hits are stored by whole
/// vectors.
constexpr std::size_t hit_slack = 8;

/// Writes every pair with hamming(left[a], right[b]) <= threshold (0 .. 64) to `hits`, in no
/// particular order, and returns their number. `hits` has room for left_count * right_count +
/// hit_slack. Groups of up to 256 codes of `right` are prepared once and then meet all of `left`,
/// so that a left block of 64 codes or more is the efficient one.
using CompareTile = std::size_t(const std::uint64_t* left, std::size_t left_count,
                                const std::uint64_t* right, std::size_t right_count, int threshold,
                                Hit* hits);

CompareTile compare_tile_scalar;
CompareTile compare_tile_avx2;
CompareTile compare_tile_avx512;
CompareTile compare_tile_neon;

/// The version for an instruction set, which the machine must have.
CompareTile* compare_tile_for(Isa isa);

} // namespace vamhash
