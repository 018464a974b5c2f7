// What the resampler's SIMD kernels are given: plain pointers and numbers, so that a file compiled
// for one instruction set emits no inline function that other code might be linked to.
//
// A kernel multiplies small integers (8-bit pixels by 8- or 16-bit pieces of coefficients) and adds
// neighbouring products into 32-bit lanes. A 23-bit coefficient is therefore split into pieces,
// the lowest first: k = p0 + p1 2^b + p2 2^2b. Each piece has its own sum; shifted and added
// modulo 2^32 they give the very sum that the unsplit coefficients give.
//
// The neighbours in a lane are pixels of a row in the horizontal pass, of a column in the vertical
// pass. So that the latter need not gather them, the rows between the passes are interleaved by
// lanes: of lane_taps rows, first every row's pixel 0, then every row's pixel 1, and so on.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include <cstddef>
#include <cstdint>

namespace vamhash {

/// Rows a horizontal kernel takes at once.
inline constexpr std::uint32_t rows_per_group = 16;

/// Where outputs read few taps each. The number of outputs is rounded up to whole blocks; those
/// added have coefficients of 0.
struct ShortFilter {
    std::uint32_t outputs;
    std::uint32_t lanes;        // lanes each output reads
    const std::uint32_t* first; // first tap of each output
    // [block][lane][piece][output of the block], a lane's taps packed in 32 bits
    const std::int32_t* coefficients;
};

/// Where outputs read many taps each. The kernel runs along the rows, block by block, for two
/// neighbouring outputs at once where both read a block; the few coefficients too large for the
/// pieces have what they exceed them by in further spans.
struct LongFilter {
    enum class Reader : std::uint8_t { first, second, both }; // of a pair of outputs
    struct Span {
        std::uint32_t first; // first tap
        std::uint32_t blocks;
        Reader reader;
        std::size_t offset; // of the coefficients: [block][output][piece][tap]
    };
    std::uint32_t outputs;
    const std::uint32_t* pair_spans; // spans of pair p: pair_spans[p] to pair_spans[p + 1]
    const Span* spans;
    const std::uint8_t* coefficients;
};

/// One instruction set's kernels and the form of coefficients they read.
struct ResampleKernels {
    std::uint32_t lane_taps;    // taps in a 32-bit lane: 2 of 16 bits, 4 of 8 bits
    std::uint32_t piece_bits;   // b
    std::uint32_t short_pieces; // pieces of a coefficient where any may come
    std::uint32_t short_block;  // outputs in a block of a short filter
    std::uint32_t short_align;  // its outputs' first taps are multiples of this
    std::uint32_t long_pieces;  // pieces of a coefficient up to long_limit
    std::int32_t long_limit;
    std::uint32_t long_block;     // taps in a block of a long filter
    std::uint32_t long_reduction; // reduction from which on a filter is a long one

    /// Resamples 16 rows of `width` pixels to interleaved rows, out_stride pixels apart. Writes
    /// `outputs` rounded up to a multiple of 16.
    void (*short_rows)(const ShortFilter& filter, const std::uint8_t* rows, std::size_t stride,
                       std::uint32_t width, std::uint8_t* out, std::size_t out_stride);

    /// Resamples 16 rows to interleaved rows, out_stride pixels apart. Reads whole blocks.
    void (*long_rows)(const LongFilter& filter, const std::uint8_t* rows, std::size_t stride,
                      std::uint8_t* out, std::size_t out_stride);

    /// Makes one output row of the vertical pass from lanes * lane_taps interleaved rows, `stride`
    /// pixels apart; coefficients are [lane][piece]. Reads and writes `width` rounded up to a
    /// multiple of 16.
    void (*columns)(const std::int32_t* coefficients, std::uint32_t lanes, const std::uint8_t* rows,
                    std::size_t stride, std::uint32_t width, std::uint8_t* out);
};

extern const ResampleKernels resample_avx2;
extern const ResampleKernels resample_avx512;

} // namespace vamhash
