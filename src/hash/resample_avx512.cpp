// The resampler's kernels for AVX-512 with VNNI and VBMI: 8-bit taps, four a lane, vpdpbusd.
//
// Short filters: vpermb brings a lane (4 neighbouring pixels) of 16 outputs of a row together from
// the 64 to 256 pixels that they read. Long filters: a vector holds 64 pixels of a row. Zen 4
// does one vpdpbusd a cycle: the long filters and the vertical pass take no longer than that.
#include "hash/resample_kernels.h"

#include <cstring>
#include <immintrin.h>

namespace vamhash {

namespace {

constexpr std::uint32_t lane_taps = 4;
constexpr std::uint32_t pieces = 3;
constexpr int piece_bits = 8;
constexpr int coefficient_bits = 22;
constexpr std::uint32_t short_block = 16;
constexpr std::uint32_t block_taps = 64;

inline __m512i load(const void* p) {
    return _mm512_loadu_si512(p);
}

/// Adds products of 8-bit quads to 32-bit sums. Held in its register at this place: GCC 12 moves
/// the sums of a loop from registers to others and back.
inline __m512i multiply_add(__m512i sum, __m512i pixels, __m512i coefficients) {
    sum = _mm512_dpbusd_epi32(sum, pixels, coefficients);
    asm("" : "+v"(sum));
    return sum;
}

/// The sums of an output's pieces before the first tap: a half, for rounding.
inline void start_pieces(__m512i sums[pieces]) {
    sums[0] = _mm512_set1_epi32(1 << (coefficient_bits - 1));
    sums[1] = sums[2] = _mm512_setzero_si512();
}

/// The pieces' sums put together and freed of their fraction; not yet clipped.
inline __m512i join_pieces(const __m512i sums[pieces]) {
    const __m512i upper = _mm512_add_epi32(_mm512_slli_epi32(sums[1], piece_bits),
                                           _mm512_slli_epi32(sums[2], 2 * piece_bits));
    return _mm512_srai_epi32(_mm512_add_epi32(sums[0], upper), coefficient_bits);
}

/// Four vectors of 32-bit numbers as bytes: in each 128-bit part, four of each vector in turn.
inline __m512i pack(__m512i a, __m512i b, __m512i c, __m512i d) {
    return _mm512_packus_epi16(_mm512_packs_epi32(a, b), _mm512_packs_epi32(c, d));
}

/// The bytes that the indices select of `chunks` times 64 pixels.
template <int chunks>
__m512i select(const __m512i pixels[chunks], __m512i index) {
    if constexpr (chunks == 1)
        return _mm512_permutexvar_epi8(index, pixels[0]);
    const __m512i low = _mm512_permutex2var_epi8(pixels[0], index, pixels[1]);
    if constexpr (chunks == 2)
        return low;
    const __m512i high = _mm512_permutex2var_epi8(pixels[2], index, pixels[3]);
    return _mm512_mask_blend_epi8(_mm512_movepi8_mask(index), low, high);
}

/// Makes a block's outputs of 16 rows from `chunks` times 64 pixels of each.
template <int chunks>
void short_block_outputs(__m512i first, const std::int32_t* coefficients, std::uint32_t lanes,
                         const std::uint8_t* rows, std::size_t stride, std::uint8_t* out,
                         std::size_t out_stride) {
    // The pixels of an output's first lane: in each 32-bit element, the first tap plus 0 to 3.
    const __m512i first_index = _mm512_add_epi32(
        _mm512_mullo_epi32(first, _mm512_set1_epi32(0x01010101)), _mm512_set1_epi32(0x03020100));
    const __m512i next_lane = _mm512_set1_epi8(lane_taps);
    const __m512i by_column =
        _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
    for (std::uint32_t begin = 0; begin < rows_per_group; begin += lane_taps) {
        __m512i pixels[lane_taps][chunks];
        for (std::uint32_t row = 0; row < lane_taps; ++row) {
            for (int chunk = 0; chunk < chunks; ++chunk) {
                pixels[row][chunk] =
                    load(rows + (begin + row) * stride + static_cast<std::ptrdiff_t>(chunk) * 64);
            }
        }
        __m512i index = first_index;
        __m512i sums[lane_taps][pieces];
        for (auto& row_sums : sums)
            start_pieces(row_sums);
        const std::int32_t* k = coefficients;
        for (std::uint32_t lane = 0; lane < lanes; ++lane) {
            for (std::uint32_t row = 0; row < lane_taps; ++row) {
                const __m512i taps = select<chunks>(pixels[row], index);
                for (std::uint32_t piece = 0; piece < pieces; ++piece) {
                    sums[row][piece] =
                        multiply_add(sums[row][piece], taps, load(k + piece * short_block));
                }
            }
            if constexpr (chunks <= 2) {
                index = _mm512_add_epi8(index, next_lane);
            } else { // the indices have no room: the pixels advance
                for (std::uint32_t row = 0; row < lane_taps; ++row) {
                    for (int chunk = 0; chunk < chunks; ++chunk) {
                        pixels[row][chunk] =
                            load(rows + (begin + row) * stride + (lane + 1) * lane_taps +
                                 static_cast<std::ptrdiff_t>(chunk) * 64);
                    }
                }
            }
            k += pieces * short_block;
        }
        const __m512i bytes = pack(join_pieces(sums[0]), join_pieces(sums[1]), join_pieces(sums[2]),
                                   join_pieces(sums[3]));
        _mm512_storeu_si512(out + begin * out_stride, _mm512_shuffle_epi8(bytes, by_column));
    }
}

void short_rows(const ShortFilter& filter, const std::uint8_t* rows, std::size_t stride,
                std::uint32_t width, std::uint8_t* out, std::size_t out_stride) {
    for (std::uint32_t o = 0; o < filter.outputs; o += short_block) {
        const std::uint32_t begin = filter.first[o];
        const std::uint32_t reach =
            filter.first[o + short_block - 1] - begin + filter.lanes * lane_taps;
        const std::uint32_t pixels = reach <= 64    ? 64
                                     : reach <= 128 ? 128
                                                    : 256 + filter.lanes * lane_taps;
        const auto block_outputs = reach <= 64    ? short_block_outputs<1>
                                   : reach <= 128 ? short_block_outputs<2>
                                                  : short_block_outputs<4>;
        const __m512i first = _mm512_sub_epi32(load(filter.first + o),
                                               _mm512_set1_epi32(static_cast<std::int32_t>(begin)));
        const std::int32_t* const coefficients =
            filter.coefficients + std::size_t{o} * filter.lanes * pieces;
        std::uint8_t* const block_out = out + std::size_t{o} * lane_taps;
        if (begin + pixels <= width) {
            block_outputs(first, coefficients, filter.lanes, rows + begin, stride, block_out,
                          out_stride);
        } else {
            constexpr std::size_t edge_pixels = 384; // 256 and 4 for each of at most 25 lanes
            std::uint8_t edge[rows_per_group * edge_pixels] = {};
            for (std::size_t row = 0; row < rows_per_group; ++row)
                std::memcpy(edge + row * edge_pixels, rows + row * stride + begin, width - begin);
            block_outputs(first, coefficients, filter.lanes, edge, edge_pixels, block_out,
                          out_stride);
        }
    }
}

constexpr std::uint32_t long_rows_at_once = 4; // their pixels stay in the first-level cache
constexpr int long_pieces = 2;

/// The sums of an output: of each row and piece.
struct LongSums {
    __m512i of[long_rows_at_once][long_pieces];
};

/// Adds a span's products to the sums of its readers.
template <int readers>
inline void add_products(const LongFilter& filter, const LongFilter::Span& span,
                         const std::uint8_t* rows, std::size_t stride, LongSums sums[readers]) {
    const std::uint8_t* pixels = rows + span.first;
    const std::uint8_t* coefficients = filter.coefficients + span.offset;
    for (std::uint32_t block = 0; block < span.blocks; ++block) {
        __m512i k[readers][long_pieces];
        for (auto& of_reader : k) {
            for (__m512i& piece : of_reader) {
                piece = load(coefficients);
                coefficients += block_taps;
            }
        }
        for (std::uint32_t row = 0; row < long_rows_at_once; ++row) {
            const __m512i v = load(pixels + row * stride);
            for (int reader = 0; reader < readers; ++reader) {
                for (int piece = 0; piece < long_pieces; ++piece) {
                    __m512i& sum = sums[reader].of[row][piece];
                    sum = multiply_add(sum, v, k[reader][piece]);
                }
            }
        }
        pixels += block_taps;
    }
}

/// The sums of 4 vectors' elements, side by side in each 128-bit part, in 4 parts to be added.
inline __m512i add_across(__m512i a, __m512i b, __m512i c, __m512i d) {
    const __m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    const __m512i cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    return _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
}

/// An output of 4 rows: a byte each, the first row's the lowest.
inline std::uint32_t long_output(const LongSums& sums) {
    __m512i joined[long_rows_at_once];
    for (std::uint32_t row = 0; row < long_rows_at_once; ++row) {
        joined[row] =
            _mm512_add_epi32(sums.of[row][0], _mm512_slli_epi32(sums.of[row][1], piece_bits));
    }
    const __m512i parts = add_across(joined[0], joined[1], joined[2], joined[3]);
    const __m256i halves =
        _mm256_add_epi32(_mm512_castsi512_si256(parts), _mm512_extracti64x4_epi64(parts, 1));
    const __m128i sum =
        _mm_add_epi32(_mm256_castsi256_si128(halves), _mm256_extracti128_si256(halves, 1));
    const __m128i half = _mm_set1_epi32(1 << (coefficient_bits - 1));
    const __m128i words =
        _mm_packs_epi32(_mm_srai_epi32(_mm_add_epi32(sum, half), coefficient_bits), sum);
    return static_cast<std::uint32_t>(_mm_cvtsi128_si32(_mm_packus_epi16(words, words)));
}

void long_rows(const LongFilter& filter, const std::uint8_t* rows, std::size_t stride,
               std::uint8_t* out, std::size_t out_stride) {
    static_assert(long_rows_at_once == lane_taps);
    for (std::uint32_t row = 0; row < rows_per_group; row += long_rows_at_once) {
        for (std::uint32_t o = 0; o < filter.outputs; o += 2) {
            LongSums sums[2] = {};
            for (std::uint32_t s = filter.pair_spans[o / 2]; s < filter.pair_spans[o / 2 + 1];
                 ++s) {
                const LongFilter::Span& span = filter.spans[s];
                switch (span.reader) {
                case LongFilter::Reader::first:
                    add_products<1>(filter, span, rows, stride, sums);
                    break;
                case LongFilter::Reader::second:
                    add_products<1>(filter, span, rows, stride, sums + 1);
                    break;
                case LongFilter::Reader::both:
                    add_products<2>(filter, span, rows, stride, sums);
                    break;
                }
            }
            for (std::uint32_t i = 0; i < 2; ++i) {
                const std::uint32_t bytes = long_output(sums[i]);
                std::memcpy(out + std::size_t{o + i} * lane_taps, &bytes, sizeof(bytes));
            }
        }
        rows += long_rows_at_once * stride;
        out += long_rows_at_once * out_stride;
    }
}

/// `vectors` times 16 columns of the vertical pass.
template <int vectors>
inline void column_block(const std::int32_t* coefficients, std::uint32_t lanes,
                         const std::uint8_t* rows, std::size_t stride, std::uint8_t* out) {
    __m512i sums[4][pieces];
    for (auto& vector_sums : sums)
        start_pieces(vector_sums);
    for (std::uint32_t lane = 0; lane < lanes; ++lane) {
        for (int i = 0; i < vectors; ++i) {
            const __m512i pixels = load(rows + static_cast<std::ptrdiff_t>(i) * 64);
            for (std::uint32_t piece = 0; piece < pieces; ++piece) {
                sums[i][piece] = multiply_add(
                    sums[i][piece], pixels, _mm512_set1_epi32(coefficients[lane * pieces + piece]));
            }
        }
        rows += lane_taps * stride;
    }
    const __m512i bytes = pack(join_pieces(sums[0]), join_pieces(sums[1]), join_pieces(sums[2]),
                               join_pieces(sums[3]));
    const __m512i in_order = _mm512_permutexvar_epi32(
        _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), bytes);
    if constexpr (vectors == 4) {
        _mm512_storeu_si512(out, in_order);
    } else {
        _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm512_castsi512_si128(in_order));
    }
}

void columns(const std::int32_t* coefficients, std::uint32_t lanes, const std::uint8_t* rows,
             std::size_t stride, std::uint32_t width, std::uint8_t* out) {
    std::uint32_t x = 0;
    for (; x + 48 < width; x += 64)
        column_block<4>(coefficients, lanes, rows + std::size_t{x} * lane_taps, stride, out + x);
    for (; x < width; x += 16)
        column_block<1>(coefficients, lanes, rows + std::size_t{x} * lane_taps, stride, out + x);
}

} // namespace

const ResampleKernels resample_avx512 = {
    .lane_taps = lane_taps,
    .piece_bits = piece_bits,
    .short_pieces = pieces,
    .short_block = short_block,
    .short_align = 1,
    .long_pieces = long_pieces,
    .long_limit = 32639,
    .long_block = block_taps,
    // 16 outputs' first taps then lie within 256 pixels.
    .long_reduction = 16,
    .short_rows = short_rows,
    .long_rows = long_rows,
    .columns = columns,
};

} // namespace vamhash
