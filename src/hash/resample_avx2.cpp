// The resampler's kernels for AVX2: 16-bit taps, two a lane, vpmaddwd.
//
// Short filters: strips of 16 rows are turned so that a vector holds one lane (2 neighbouring
// pixels) of 8 rows, for all outputs that read it. Long filters: a vector holds 16 pixels of a row.
#include "hash/resample_kernels.h"

#include <cstring>
#include <immintrin.h>

namespace vamhash {

namespace {

constexpr std::uint32_t lane_taps = 2;
constexpr std::uint32_t pieces = 2;
constexpr int piece_bits = 9;
constexpr int coefficient_bits = 22;
constexpr std::uint32_t block_taps = 16;
// Long enough for 8 outputs of any short filter, small enough for the first-level cache.
constexpr std::uint32_t strip_pixels = 768;

inline __m256i load(const void* p) {
    return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}
inline __m128i load_half(const void* p) {
    return _mm_loadu_si128(static_cast<const __m128i*>(p));
}

/// Two 16-byte halves as one vector.
inline __m256i load_halves(const std::uint8_t* low, const std::uint8_t* high) {
    return _mm256_inserti128_si256(_mm256_castsi128_si256(load_half(low)), load_half(high), 1);
}

/// Holds a vector in a register at this place. GCC 12 reorders the additions of unrolled loops
/// until it has more sums than there are registers, and the time doubles.
inline __m256i pinned(__m256i v) {
    asm("" : "+x"(v));
    return v;
}

/// Adds products of 16-bit pairs to 32-bit sums.
inline __m256i multiply_add(__m256i sum, __m256i a, __m256i b) {
    return pinned(_mm256_add_epi32(sum, _mm256_madd_epi16(a, b)));
}

/// The pieces' sums put together, rounded and freed of their fraction; not yet clipped.
inline __m256i join_pieces(__m256i low, __m256i high) {
    const __m256i half = _mm256_set1_epi32(1 << (coefficient_bits - 1));
    const __m256i sum =
        _mm256_add_epi32(_mm256_add_epi32(low, half), _mm256_slli_epi32(high, piece_bits));
    return _mm256_srai_epi32(sum, coefficient_bits);
}

/// Turns 16 rows of 16 pixels: for each pair of pixels two vectors, of rows 0-3 and 8-11 and of
/// rows 4-7 and 12-15, with a row's pair in each 32-bit lane.
inline void turn_block(const std::uint8_t* rows, std::size_t stride, std::uint8_t* turned) {
    __m256i row[8];
    for (int i = 0; i < 8; ++i)
        row[i] = load_halves(rows + i * stride, rows + (i + 8) * stride);
    __m256i a[8]; // 16-bit units: a pixel pair of a row
    for (int i = 0; i < 4; ++i) {
        a[2 * i] = _mm256_unpacklo_epi16(row[2 * i], row[2 * i + 1]);
        a[2 * i + 1] = _mm256_unpackhi_epi16(row[2 * i], row[2 * i + 1]);
    }
    __m256i b[8];
    for (int i = 0; i < 2; ++i) {
        for (int j = 0; j < 2; ++j) {
            b[4 * i + 2 * j] = _mm256_unpacklo_epi32(a[4 * i + j], a[4 * i + j + 2]);
            b[4 * i + 2 * j + 1] = _mm256_unpackhi_epi32(a[4 * i + j], a[4 * i + j + 2]);
        }
    }
    const __m256i zero = _mm256_setzero_si256();
    for (int i = 0; i < 4; ++i) {
        const __m256i even = _mm256_unpacklo_epi64(b[i], b[i + 4]);
        const __m256i odd = _mm256_unpackhi_epi64(b[i], b[i + 4]);
        auto* const out = reinterpret_cast<__m256i*>(turned + static_cast<std::size_t>(i) * 128);
        _mm256_store_si256(out, _mm256_unpacklo_epi8(even, zero));
        _mm256_store_si256(out + 1, _mm256_unpackhi_epi8(even, zero));
        _mm256_store_si256(out + 2, _mm256_unpacklo_epi8(odd, zero));
        _mm256_store_si256(out + 3, _mm256_unpackhi_epi8(odd, zero));
    }
}

constexpr std::size_t pair_bytes = 64; // of 16 rows, turned

/// Turns a strip from column `begin` on, up to the image's width at most.
void turn_strip(const std::uint8_t* rows, std::size_t stride, std::uint32_t begin,
                std::uint32_t width, std::uint8_t* turned) {
    for (std::uint32_t x = 0; x < strip_pixels && begin + x < width; x += 16) {
        std::uint8_t* const out = turned + x / 2 * pair_bytes;
        if (begin + x + 16 <= width) {
            turn_block(rows + begin + x, stride, out);
        } else {
            alignas(32) std::uint8_t edge[16 * 16] = {};
            for (std::size_t row = 0; row < 16; ++row)
                std::memcpy(edge + row * 16, rows + row * stride + begin + x, width - begin - x);
            turn_block(edge, 16, out);
        }
    }
}

/// One output of 16 rows, as 16-bit numbers in the rows' order. The lanes' number is a template
/// argument where it is small, so that the loop unrolls; 0 where it is not.
template <std::uint32_t fixed_lanes>
__m256i short_output(const std::uint8_t* turned, const std::int32_t* coefficients,
                     std::uint32_t any_lanes) {
    const std::uint32_t lanes = fixed_lanes != 0 ? fixed_lanes : any_lanes;
    __m256i low0 = _mm256_setzero_si256();
    __m256i low1 = low0;
    __m256i high0 = low0;
    __m256i high1 = low0;
#pragma GCC unroll 16
    for (std::uint32_t lane = 0; lane < lanes; ++lane) {
        const __m256i pixels0 = pinned(load(turned + lane * pair_bytes));
        const __m256i pixels1 = pinned(load(turned + lane * pair_bytes + 32));
        const __m256i low = _mm256_set1_epi32(coefficients[2 * lane]);
        const __m256i high = _mm256_set1_epi32(coefficients[2 * lane + 1]);
        low0 = multiply_add(low0, pixels0, low);
        low1 = multiply_add(low1, pixels1, low);
        high0 = multiply_add(high0, pixels0, high);
        high1 = multiply_add(high1, pixels1, high);
    }
    return _mm256_packs_epi32(join_pieces(low0, high0), join_pieces(low1, high1));
}

/// Writes 8 outputs of 16 rows, pairs of rows interleaved.
inline void store_outputs(const __m256i outputs[8], std::uint8_t* out, std::size_t out_stride) {
    __m256i quads[4]; // 16-bit units: of outputs 0-3, row pairs 0, 1, 4, 5 and 2, 3, 6, 7; of 4-7
    for (int i = 0; i < 2; ++i) {
        const __m256i a = _mm256_packus_epi16(outputs[4 * i], outputs[4 * i + 1]);
        const __m256i b = _mm256_packus_epi16(outputs[4 * i + 2], outputs[4 * i + 3]);
        const __m256i even = _mm256_unpacklo_epi16(a, b);
        const __m256i odd = _mm256_unpackhi_epi16(a, b);
        quads[2 * i] = _mm256_unpacklo_epi16(even, odd);
        quads[2 * i + 1] = _mm256_unpackhi_epi16(even, odd);
    }
    for (std::size_t pair = 0; pair < 4; ++pair) {
        const __m256i rows = pair % 2 == 0
                                 ? _mm256_unpacklo_epi64(quads[pair / 2], quads[2 + pair / 2])
                                 : _mm256_unpackhi_epi64(quads[pair / 2], quads[2 + pair / 2]);
        _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 2 * pair * out_stride),
                         _mm256_castsi256_si128(rows));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 2 * (pair + 4) * out_stride),
                         _mm256_extracti128_si256(rows, 1));
    }
}

template <std::uint32_t fixed_lanes>
void short_rows_of(const ShortFilter& filter, const std::uint8_t* rows, std::size_t stride,
                   std::uint32_t width, std::uint8_t* out, std::size_t out_stride) {
    alignas(32) std::uint8_t strip[strip_pixels / lane_taps * pair_bytes];
    std::uint32_t strip_begin = 0;
    std::uint32_t strip_end = 0;
    for (std::uint32_t o = 0; o < filter.outputs; o += 8) {
        const std::uint32_t count = filter.outputs - o < 8 ? filter.outputs - o : 8;
        if (filter.first[o + count - 1] + filter.lanes * lane_taps > strip_end) {
            strip_begin = filter.first[o];
            strip_end = strip_begin + strip_pixels;
            turn_strip(rows, stride, strip_begin, width, strip);
        }
        __m256i outputs[8];
        for (std::uint32_t i = count; i < 8; ++i)
            outputs[i] = _mm256_setzero_si256();
        for (std::uint32_t i = 0; i < count; ++i) {
            outputs[i] = short_output<fixed_lanes>(
                strip + (filter.first[o + i] - strip_begin) / lane_taps * pair_bytes,
                filter.coefficients + static_cast<std::size_t>(o + i) * filter.lanes * pieces,
                filter.lanes);
        }
        store_outputs(outputs, out + std::size_t{o} * lane_taps, out_stride);
    }
}

void short_rows(const ShortFilter& filter, const std::uint8_t* rows, std::size_t stride,
                std::uint32_t width, std::uint8_t* out, std::size_t out_stride) {
    // Reductions up to 4, as of most photographs to the square of whash.
    static constexpr decltype(&short_rows) by_lanes[] = {
        short_rows_of<0>,  short_rows_of<0>,  short_rows_of<0>,  short_rows_of<0>, short_rows_of<4>,
        short_rows_of<5>,  short_rows_of<6>,  short_rows_of<7>,  short_rows_of<8>, short_rows_of<9>,
        short_rows_of<10>, short_rows_of<11>, short_rows_of<12>, short_rows_of<13>};
    const std::uint32_t known = sizeof(by_lanes) / sizeof(by_lanes[0]);
    by_lanes[filter.lanes < known ? filter.lanes : 0](filter, rows, stride, width, out, out_stride);
}

/// The sums of 8 vectors' elements.
inline __m256i add_across(const __m256i sums[8]) {
    const __m256i a =
        _mm256_hadd_epi32(_mm256_hadd_epi32(sums[0], sums[1]), _mm256_hadd_epi32(sums[2], sums[3]));
    const __m256i b =
        _mm256_hadd_epi32(_mm256_hadd_epi32(sums[4], sums[5]), _mm256_hadd_epi32(sums[6], sums[7]));
    return _mm256_add_epi32(_mm256_permute2x128_si256(a, b, 0x20),
                            _mm256_permute2x128_si256(a, b, 0x31));
}

constexpr std::uint32_t long_rows_at_once = 4;

/// Adds a span's products to the sums of its readers, 4 rows each.
template <int readers>
inline void add_products(const LongFilter& filter, const LongFilter::Span& span,
                         const std::uint8_t* rows, std::size_t stride,
                         __m256i sums[readers * long_rows_at_once]) {
    const std::uint8_t* pixels = rows + span.first;
    const std::uint8_t* coefficients = filter.coefficients + span.offset;
    for (std::uint32_t block = 0; block < span.blocks; ++block) {
        for (std::uint32_t row = 0; row < long_rows_at_once; ++row) {
            const __m256i v = pinned(_mm256_cvtepu8_epi16(load_half(pixels + row * stride)));
            for (int reader = 0; reader < readers; ++reader) {
                __m256i& sum = sums[reader * long_rows_at_once + row];
                sum = multiply_add(sum, v,
                                   load(coefficients + static_cast<std::ptrdiff_t>(reader) * 32));
            }
        }
        pixels += block_taps;
        coefficients += readers * block_taps * sizeof(std::int16_t);
    }
}

/// Two outputs of 4 rows: a byte each, the first output's lowest.
inline std::uint64_t long_outputs(const LongFilter& filter, std::uint32_t pair,
                                  const std::uint8_t* rows, std::size_t stride) {
    __m256i sums[2 * long_rows_at_once] = {};
    for (std::uint32_t s = filter.pair_spans[pair]; s < filter.pair_spans[pair + 1]; ++s) {
        const LongFilter::Span& span = filter.spans[s];
        switch (span.reader) {
        case LongFilter::Reader::first:
            add_products<1>(filter, span, rows, stride, sums);
            break;
        case LongFilter::Reader::second:
            add_products<1>(filter, span, rows, stride, sums + long_rows_at_once);
            break;
        case LongFilter::Reader::both:
            add_products<2>(filter, span, rows, stride, sums);
            break;
        }
    }
    const __m256i joined = join_pieces(add_across(sums), _mm256_setzero_si256());
    const __m128i words =
        _mm_packs_epi32(_mm256_castsi256_si128(joined), _mm256_extracti128_si256(joined, 1));
    return static_cast<std::uint64_t>(_mm_cvtsi128_si64(_mm_packus_epi16(words, words)));
}

void long_rows(const LongFilter& filter, const std::uint8_t* rows, std::size_t stride,
               std::uint8_t* out, std::size_t out_stride) {
    for (std::uint32_t begin = 0; begin < rows_per_group; begin += long_rows_at_once) {
        for (std::uint32_t o = 0; o < filter.outputs; o += 2) {
            std::uint64_t bytes = long_outputs(filter, o / 2, rows + begin * stride, stride);
            for (std::uint32_t i = 0; i < 2; ++i) {
                for (std::uint32_t row = begin; row < begin + long_rows_at_once; ++row) {
                    out[(row / lane_taps * out_stride + o + i) * lane_taps + row % lane_taps] =
                        static_cast<std::uint8_t>(bytes);
                    bytes >>= 8;
                }
            }
        }
    }
}

/// `vectors` times 16 columns of the vertical pass.
template <int vectors>
inline void column_block(const std::int32_t* coefficients, std::uint32_t lanes,
                         const std::uint8_t* rows, std::size_t stride, std::uint8_t* out) {
    const __m256i zero = _mm256_setzero_si256();
    __m256i low[4] = {};
    __m256i high[4] = {};
    for (std::uint32_t lane = 0; lane < lanes; ++lane) {
        const __m256i k_low = _mm256_set1_epi32(coefficients[2 * lane]);
        const __m256i k_high = _mm256_set1_epi32(coefficients[2 * lane + 1]);
        for (int i = 0; i < 2 * vectors; ++i) {
            const __m256i bytes = load(rows + static_cast<std::ptrdiff_t>(i / 2) * 32);
            const __m256i pairs =
                i % 2 == 0 ? _mm256_unpacklo_epi8(bytes, zero) : _mm256_unpackhi_epi8(bytes, zero);
            low[i] = multiply_add(low[i], pairs, k_low);
            high[i] = multiply_add(high[i], pairs, k_high);
        }
        rows += lane_taps * stride;
    }
    const __m256i bytes = _mm256_permute4x64_epi64(
        _mm256_packus_epi16(
            _mm256_packs_epi32(join_pieces(low[0], high[0]), join_pieces(low[1], high[1])),
            _mm256_packs_epi32(join_pieces(low[2], high[2]), join_pieces(low[3], high[3]))),
        _MM_SHUFFLE(3, 1, 2, 0));
    if constexpr (vectors == 2) {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), bytes);
    } else {
        _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm256_castsi256_si128(bytes));
    }
}

void columns(const std::int32_t* coefficients, std::uint32_t lanes, const std::uint8_t* rows,
             std::size_t stride, std::uint32_t width, std::uint8_t* out) {
    std::uint32_t x = 0;
    for (; x + 16 < width; x += 32)
        column_block<2>(coefficients, lanes, rows + std::size_t{x} * lane_taps, stride, out + x);
    if (x < width)
        column_block<1>(coefficients, lanes, rows + std::size_t{x} * lane_taps, stride, out + x);
}

} // namespace

const ResampleKernels resample_avx2 = {
    .lane_taps = lane_taps,
    .piece_bits = piece_bits,
    .short_pieces = pieces,
    .short_block = 1,
    .short_align = lane_taps,
    .long_pieces = 1,
    .long_limit = 32767,
    .long_block = block_taps,
    // From here on running along the rows is faster than turning them: about 5 of 6 coefficients
    // then fit the one piece of a long filter.
    .long_reduction = 28,
    .short_rows = short_rows,
    .long_rows = long_rows,
    .columns = columns,
};

} // namespace vamhash
