// What the resampler's SIMD kernels are given: plain pointers and numbers, so that a file compiled
// for one instruction set emits no inline function that other code might be linked to.
//
// A kernel multiplies small integers (8-bit pixels by 8- or 16-bit pieces of coefficients) and adds
// neighbouring products into 32-bit lanes. A 23-bit coefficient is therefore split into pieces,
// the lowest first: k = p0 + p1 2^b + p2 2^2b. Each piece has its own sum; shifted and added
// modulo 2^32 they give the very sum that the unsplit coefficients give.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include <cstddef>
#include <cstdint>

namespace vamhash {

/// Rows a horizontal kernel takes at once.
inline constexpr std::uint32_t rows_per_group = 16;

/// Where outputs read few taps each. The kernel turns strips of 16 rows so that a vector holds one
/// lane (2 or 4 neighbouring pixels) of every row.
struct ShortFilter {
    std::uint32_t outputs;
    std::uint32_t lanes;              // lanes each output reads
    const std::uint32_t* first;       // first tap of each output, a multiple of a lane's taps
    const std::int32_t* coefficients; // [output][lane][piece], a lane's taps packed in 32 bits
};

/// Where outputs read many taps each. The kernel runs along the rows, block by block; the few
/// coefficients too large for the pieces have what they exceed them by in further spans.
struct LongFilter {
    struct Span {
        std::uint32_t first; // first tap
        std::uint32_t blocks;
        std::size_t offset; // of the coefficients: [block][piece][tap]
    };
    std::uint32_t outputs;
    const std::uint32_t* output_spans; // spans of output o: output_spans[o] to output_spans[o + 1]
    const Span* spans;
    const void* coefficients;
};

/// One instruction set's kernels and the form of coefficients they read.
struct ResampleKernels {
    std::uint32_t lane_taps;    // taps in a 32-bit lane: 2 of 16 bits, 4 of 8 bits
    std::uint32_t piece_bits;   // b
    std::uint32_t short_pieces; // pieces of a coefficient where any may come
    std::uint32_t long_pieces;  // pieces of a coefficient up to long_limit
    std::int32_t long_limit;
    std::uint32_t long_block; // taps in a block of a long filter

    /// Resamples 16 rows of `width` pixels. Writes up to 15 bytes past the last output of a row.
    void (*short_rows)(const ShortFilter& filter, const std::uint8_t* rows, std::size_t stride,
                       std::uint32_t width, std::uint8_t* out, std::size_t out_stride);

    /// Resamples 16 rows. Reads whole blocks.
    void (*long_rows)(const LongFilter& filter, const std::uint8_t* rows, std::size_t stride,
                      std::uint8_t* out, std::size_t out_stride);

    /// Makes one output row of the vertical pass from lanes * lane_taps rows; coefficients are
    /// [lane][piece]. Reads and writes `width` rounded up to a multiple of 16.
    void (*columns)(const std::int32_t* coefficients, std::uint32_t lanes, const std::uint8_t* rows,
                    std::size_t stride, std::uint32_t width, std::uint8_t* out);
};

extern const ResampleKernels resample_avx2;
extern const ResampleKernels resample_avx512;

} // namespace vamhash
