// The resampler's kernels for AVX-512 with VNNI: 8-bit taps, four a lane, vpdpbusd.
#include "hash/resample_kernels.h"

#include <immintrin.h>

namespace vamhash {

namespace {

constexpr std::uint32_t lane_taps = 4;
constexpr std::uint32_t pieces = 3;
constexpr int piece_bits = 8;
constexpr int coefficient_bits = 22;
constexpr std::uint32_t block_taps = 64;
// Long enough for 16 outputs of any short filter, small enough for the first-level cache.
constexpr std::uint32_t strip_pixels = 1024;

inline __m512i load(const void* p) {
    return _mm512_loadu_si512(p);
}

/// The pieces' sums put together, rounded and freed of their fraction; not yet clipped.
inline __m512i join_pieces(const __m512i sums[pieces]) {
    const __m512i half = _mm512_set1_epi32(1 << (coefficient_bits - 1));
    const __m512i upper = _mm512_add_epi32(_mm512_slli_epi32(sums[1], piece_bits),
                                           _mm512_slli_epi32(sums[2], 2 * piece_bits));
    return _mm512_srai_epi32(_mm512_add_epi32(_mm512_add_epi32(sums[0], half), upper),
                             coefficient_bits);
}

/// Transposes the 4x4 32-bit elements of each 128-bit part.
inline void transpose_quads(__m512i v[4]) {
    const __m512i a = _mm512_unpacklo_epi32(v[0], v[1]);
    const __m512i b = _mm512_unpackhi_epi32(v[0], v[1]);
    const __m512i c = _mm512_unpacklo_epi32(v[2], v[3]);
    const __m512i d = _mm512_unpackhi_epi32(v[2], v[3]);
    v[0] = _mm512_unpacklo_epi64(a, c);
    v[1] = _mm512_unpackhi_epi64(a, c);
    v[2] = _mm512_unpacklo_epi64(b, d);
    v[3] = _mm512_unpackhi_epi64(b, d);
}

/// The bytes of a row that the mask selects, zero elsewhere.
inline __m128i load_pixels(const std::uint8_t* pixels, __mmask16 mask) {
    return _mm_maskz_loadu_epi8(mask, pixels);
}

/// Turns 16 rows of 16 pixels: a vector holds 4 neighbouring pixels of every row.
inline void turn_block(const std::uint8_t* rows, std::size_t stride, __mmask16 mask,
                       std::uint8_t* turned) {
    __m512i v[4];
    for (int i = 0; i < 4; ++i) {
        const std::uint8_t* const row = rows + i * stride;
        v[i] = _mm512_castsi128_si512(load_pixels(row, mask));
        v[i] = _mm512_inserti32x4(v[i], load_pixels(row + 4 * stride, mask), 1);
        v[i] = _mm512_inserti32x4(v[i], load_pixels(row + 8 * stride, mask), 2);
        v[i] = _mm512_inserti32x4(v[i], load_pixels(row + 12 * stride, mask), 3);
    }
    transpose_quads(v);
    for (int i = 0; i < 4; ++i)
        _mm512_store_si512(turned + static_cast<std::size_t>(i) * 64, v[i]);
}

constexpr std::size_t lane_bytes = 64; // of 16 rows, turned

/// Turns a strip from column `begin` on, up to the image's width at most.
void turn_strip(const std::uint8_t* rows, std::size_t stride, std::uint32_t begin,
                std::uint32_t width, std::uint8_t* turned) {
    for (std::uint32_t x = 0; x < strip_pixels && begin + x < width; x += 16) {
        const std::uint32_t left = width - begin - x;
        const auto mask = static_cast<__mmask16>(left < 16 ? (1U << left) - 1 : 0xFFFFU);
        turn_block(rows + begin + x, stride, mask, turned + x / lane_taps * lane_bytes);
    }
}

/// One output of 16 rows, as 32-bit numbers in the rows' order. The lanes' number is a template
/// argument where it is small, so that the loop unrolls; 0 where it is not.
template <std::uint32_t fixed_lanes>
__m512i short_output(const std::uint8_t* turned, const std::int32_t* coefficients,
                     std::uint32_t any_lanes) {
    const std::uint32_t lanes = fixed_lanes != 0 ? fixed_lanes : any_lanes;
    __m512i sums[pieces] = {};
#pragma GCC unroll 8
    for (std::uint32_t lane = 0; lane < lanes; ++lane) {
        const __m512i pixels = load(turned + lane * lane_bytes);
        for (std::uint32_t piece = 0; piece < pieces; ++piece) {
            sums[piece] = _mm512_dpbusd_epi32(
                sums[piece], pixels, _mm512_set1_epi32(coefficients[lane * pieces + piece]));
        }
    }
    return join_pieces(sums);
}

/// Writes 16 outputs of 16 rows.
inline void store_outputs(const __m512i outputs[16], std::uint8_t* out, std::size_t out_stride) {
    // In each 128-bit part, bytes 4 o + r become 4 r + o.
    const __m512i by_row =
        _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
    __m512i v[4];
    for (int i = 0; i < 4; ++i) {
        const __m512i bytes =
            _mm512_packus_epi16(_mm512_packs_epi32(outputs[4 * i], outputs[4 * i + 1]),
                                _mm512_packs_epi32(outputs[4 * i + 2], outputs[4 * i + 3]));
        v[i] = _mm512_shuffle_epi8(bytes, by_row);
    }
    transpose_quads(v);
    for (int i = 0; i < 4; ++i) {
        std::uint8_t* const row = out + i * out_stride;
        const auto store = [&](int part, __m128i pixels) {
            _mm_storeu_si128(reinterpret_cast<__m128i*>(row + 4 * part * out_stride), pixels);
        };
        store(0, _mm512_castsi512_si128(v[i]));
        store(1, _mm512_extracti32x4_epi32(v[i], 1));
        store(2, _mm512_extracti32x4_epi32(v[i], 2));
        store(3, _mm512_extracti32x4_epi32(v[i], 3));
    }
}

template <std::uint32_t fixed_lanes>
void short_rows_of(const ShortFilter& filter, const std::uint8_t* rows, std::size_t stride,
                   std::uint32_t width, std::uint8_t* out, std::size_t out_stride) {
    alignas(64) std::uint8_t strip[strip_pixels / lane_taps * lane_bytes];
    std::uint32_t strip_begin = 0;
    std::uint32_t strip_end = 0;
    for (std::uint32_t o = 0; o < filter.outputs; o += 16) {
        const std::uint32_t count = filter.outputs - o < 16 ? filter.outputs - o : 16;
        if (filter.first[o + count - 1] + filter.lanes * lane_taps > strip_end) {
            strip_begin = filter.first[o];
            strip_end = strip_begin + strip_pixels;
            turn_strip(rows, stride, strip_begin, width, strip);
        }
        __m512i outputs[16];
        for (std::uint32_t i = count; i < 16; ++i)
            outputs[i] = _mm512_setzero_si512();
        for (std::uint32_t i = 0; i < count; ++i) {
            outputs[i] = short_output<fixed_lanes>(
                strip + (filter.first[o + i] - strip_begin) / lane_taps * lane_bytes,
                filter.coefficients + static_cast<std::size_t>(o + i) * filter.lanes * pieces,
                filter.lanes);
        }
        store_outputs(outputs, out + o, out_stride);
    }
}

void short_rows(const ShortFilter& filter, const std::uint8_t* rows, std::size_t stride,
                std::uint32_t width, std::uint8_t* out, std::size_t out_stride) {
    // Reductions up to 4, as of most photographs to the square of whash.
    static constexpr decltype(&short_rows) by_lanes[] = {
        short_rows_of<0>, short_rows_of<0>, short_rows_of<2>, short_rows_of<3>,
        short_rows_of<4>, short_rows_of<5>, short_rows_of<6>, short_rows_of<7>};
    const std::uint32_t known = sizeof(by_lanes) / sizeof(by_lanes[0]);
    by_lanes[filter.lanes < known ? filter.lanes : 0](filter, rows, stride, width, out, out_stride);
}

/// One output of 8 rows: a byte each, in the rows' order from the lowest.
inline std::uint64_t long_output(const LongFilter& filter, std::uint32_t output,
                                 const std::uint8_t* rows, std::size_t stride) {
    __m512i low[8] = {};
    __m512i high[8] = {};
    for (std::uint32_t s = filter.output_spans[output]; s < filter.output_spans[output + 1]; ++s) {
        const LongFilter::Span& span = filter.spans[s];
        const std::uint8_t* pixels = rows + span.first;
        const std::uint8_t* coefficients =
            static_cast<const std::uint8_t*>(filter.coefficients) + span.offset;
        for (std::uint32_t block = 0; block < span.blocks; ++block) {
            const __m512i k_low = load(coefficients);
            const __m512i k_high = load(coefficients + block_taps);
            for (int i = 0; i < 8; ++i) {
                const __m512i v = load(pixels + i * stride);
                low[i] = _mm512_dpbusd_epi32(low[i], v, k_low);
                high[i] = _mm512_dpbusd_epi32(high[i], v, k_high);
            }
            pixels += block_taps;
            coefficients += 2 * block_taps;
        }
    }
    // Adds each row's 16 elements up to 4, which transposing then brings into one.
    const auto quarter = [&](int row) {
        const __m512i sum = _mm512_add_epi32(low[row], _mm512_slli_epi32(high[row], piece_bits));
        const __m256i eight =
            _mm256_add_epi32(_mm512_castsi512_si256(sum), _mm512_extracti64x4_epi64(sum, 1));
        return _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
    };
    const auto four_rows = [&](int row) {
        return _mm_hadd_epi32(_mm_hadd_epi32(quarter(row), quarter(row + 1)),
                              _mm_hadd_epi32(quarter(row + 2), quarter(row + 3)));
    };
    const __m128i half = _mm_set1_epi32(1 << (coefficient_bits - 1));
    const __m128i words =
        _mm_packs_epi32(_mm_srai_epi32(_mm_add_epi32(four_rows(0), half), coefficient_bits),
                        _mm_srai_epi32(_mm_add_epi32(four_rows(4), half), coefficient_bits));
    return static_cast<std::uint64_t>(_mm_cvtsi128_si64(_mm_packus_epi16(words, words)));
}

void long_rows(const LongFilter& filter, const std::uint8_t* rows, std::size_t stride,
               std::uint8_t* out, std::size_t out_stride) {
    for (std::uint32_t half = 0; half < rows_per_group; half += 8) {
        for (std::uint32_t o = 0; o < filter.outputs; ++o) {
            std::uint64_t bytes = long_output(filter, o, rows + half * stride, stride);
            for (std::uint32_t row = half; row < half + 8; ++row) {
                out[row * out_stride + o] = static_cast<std::uint8_t>(bytes);
                bytes >>= 8;
            }
        }
    }
}

/// Up to 64 columns of the vertical pass, those that the mask selects.
inline void column_block(const std::int32_t* coefficients, std::uint32_t lanes,
                         const std::uint8_t* rows, std::size_t stride, __mmask64 mask,
                         std::uint8_t* out) {
    __m512i sums[4][pieces] = {};
    for (std::uint32_t lane = 0; lane < lanes; ++lane) {
        const __m512i a = _mm512_maskz_loadu_epi8(mask, rows);
        const __m512i b = _mm512_maskz_loadu_epi8(mask, rows + stride);
        const __m512i c = _mm512_maskz_loadu_epi8(mask, rows + 2 * stride);
        const __m512i d = _mm512_maskz_loadu_epi8(mask, rows + 3 * stride);
        const __m512i ab[2] = {_mm512_unpacklo_epi8(a, b), _mm512_unpackhi_epi8(a, b)};
        const __m512i cd[2] = {_mm512_unpacklo_epi8(c, d), _mm512_unpackhi_epi8(c, d)};
        for (int i = 0; i < 4; ++i) {
            const __m512i pixels = i % 2 == 0 ? _mm512_unpacklo_epi16(ab[i / 2], cd[i / 2])
                                              : _mm512_unpackhi_epi16(ab[i / 2], cd[i / 2]);
            for (std::uint32_t piece = 0; piece < pieces; ++piece) {
                sums[i][piece] = _mm512_dpbusd_epi32(
                    sums[i][piece], pixels, _mm512_set1_epi32(coefficients[lane * pieces + piece]));
            }
        }
        rows += 4 * stride;
    }
    const __m512i bytes =
        _mm512_packus_epi16(_mm512_packs_epi32(join_pieces(sums[0]), join_pieces(sums[1])),
                            _mm512_packs_epi32(join_pieces(sums[2]), join_pieces(sums[3])));
    _mm512_mask_storeu_epi8(out, mask, bytes);
}

void columns(const std::int32_t* coefficients, std::uint32_t lanes, const std::uint8_t* rows,
             std::size_t stride, std::uint32_t width, std::uint8_t* out) {
    for (std::uint32_t x = 0; x < width; x += 64) {
        const std::uint32_t left = width - x;
        const __mmask64 mask = left < 64 ? (std::uint64_t{1} << left) - 1 : ~std::uint64_t{0};
        column_block(coefficients, lanes, rows + x, stride, mask, out + x);
    }
}

} // namespace

const ResampleKernels resample_avx512 = {
    .lane_taps = lane_taps,
    .piece_bits = piece_bits,
    .short_pieces = pieces,
    .long_pieces = 2,
    .long_limit = 32639,
    .long_block = block_taps,
    .short_rows = short_rows,
    .long_rows = long_rows,
    .columns = columns,
};

} // namespace vamhash
