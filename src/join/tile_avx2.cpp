// The comparison of two blocks with AVX2, which has no popcount.
//
// A group of 256 right codes is transposed to nibbles: byte i of a vector for place k holds nibble
// k of code i. For a left code with nibble x at place k, a row of a fixed table holds the distances
// of x from the 16 nibbles, and one byte shuffle looks up those of 32 codes at that place. The sum
// over the 16 places is the distance, byte by byte; the smallest of a group is tested once.
//
// For small thresholds the sum over the lower eight places is tested first: it cannot exceed the
// whole distance, and few groups of uniform codes pass by chance (24% at threshold 7).
#include "join/tile.h"

#include <immintrin.h>

#include <cstring>

namespace vamhash {

namespace {

constexpr int places = 16;
constexpr int vector_codes = 32;
constexpr int largest_threshold_for_halves = 7;

// Row x holds popcount(x ^ y) for y = 0 .. 15.
struct NibbleDistances {
    alignas(16) std::uint8_t rows[16][16];
};

constexpr NibbleDistances nibble_distances = [] {
    NibbleDistances table{};
    for (int x = 0; x < 16; ++x) {
        for (int y = 0; y < 16; ++y) {
            const int d = x ^ y;
            table.rows[x][y] = (d & 1) + (d >> 1 & 1) + (d >> 2 & 1) + (d >> 3);
        }
    }
    return table;
}();

// The table's row for nibble x, in both halves of a vector.
__m256i table_row(std::uint64_t x) {
    const auto* row = reinterpret_cast<const __m128i*>(nibble_distances.rows[x]);
    return _mm256_broadcastsi128_si256(_mm_load_si128(row));
}

// Puts nibble k of the 32 codes at `codes` into nibbles[k * stride].
void transpose(const std::uint64_t* codes, __m256i* nibbles, int stride) {
    // Each pass of unpacks moves the highest bit of a byte's position to the vector number and one
    // bit of the vector number to the lowest bit of the position. Four passes turn (code, byte)
    // into (byte, code), if the vectors start in this order.
    __m256i bytes[8];
    for (int i = 0; i < 8; ++i) {
        const std::uint64_t* two = codes + (i & 1) * 8 + (i >> 2) * 4 + (i >> 1 & 1) * 2;
        bytes[i] = _mm256_loadu2_m128i(reinterpret_cast<const __m128i*>(two + 16),
                                       reinterpret_cast<const __m128i*>(two));
    }
    constexpr int bits[] = {1, 4, 2, 1};
    for (const int bit : bits) {
        for (int i = 0; i < 8; ++i) {
            if ((i & bit) == 0) {
                const __m256i low = bytes[i];
                const __m256i high = bytes[i | bit];
                bytes[i] = _mm256_unpacklo_epi8(low, high);
                bytes[i | bit] = _mm256_unpackhi_epi8(low, high);
            }
        }
    }
    const __m256i mask = _mm256_set1_epi8(15);
    for (int i = 0; i < 8; ++i) {
        nibbles[2 * i * stride] = _mm256_and_si256(bytes[i], mask);
        nibbles[(2 * i + 1) * stride] = _mm256_and_si256(_mm256_srli_epi16(bytes[i], 4), mask);
    }
}

// Appends the hits of left code number `a` with `count` codes, the first of which is number `b`.
[[gnu::noinline]] Hit* append_hits(const __m256i* distances, std::size_t a, std::size_t b,
                                   std::size_t count, __m256i limit, Hit* out) {
    for (std::size_t first = 0; first < count; first += vector_codes, ++distances) {
        const __m256i within = _mm256_cmpeq_epi8(_mm256_min_epu8(*distances, limit), *distances);
        auto hit = static_cast<std::uint32_t>(_mm256_movemask_epi8(within));
        if (count - first < vector_codes) {
            hit = _bzhi_u32(hit, count - first);
        }
        alignas(32) std::uint8_t bytes[vector_codes];
        _mm256_store_si256(reinterpret_cast<__m256i*>(bytes), *distances);
        for (; hit != 0; hit &= hit - 1) {
            const std::size_t i = _tzcnt_u32(hit);
            *out++ = {static_cast<std::uint16_t>(a), static_cast<std::uint16_t>(b + first + i),
                      bytes[i]};
        }
    }
    return out;
}

// Whether any byte of the vectors is within the limit.
template <int Vectors>
bool any_within(const __m256i* distances, __m256i limit) {
    __m256i smallest = distances[0];
    for (int i = 1; i < Vectors; ++i) {
        smallest = _mm256_min_epu8(smallest, distances[i]);
    }
    const __m256i within = _mm256_cmpeq_epi8(_mm256_min_epu8(smallest, limit), smallest);
    return _mm256_movemask_epi8(within) != 0;
}

// Adds the distances of the lowest eight nibbles of `code` from the group at as many places.
template <int Vectors>
[[gnu::always_inline]] inline void add_half(std::uint64_t code, const __m256i* nibbles,
                                            __m256i* distances) {
    // GCC 12 spills the sums if it unrolls all eight.
#pragma GCC unroll 2
    for (int place = 0; place < places / 2; ++place, code >>= 4) {
        const __m256i row = table_row(code & 15);
        for (int i = 0; i < Vectors; ++i) {
            const __m256i distance = _mm256_shuffle_epi8(row, nibbles[place * Vectors + i]);
            distances[i] = _mm256_add_epi8(distances[i], distance);
        }
    }
}

// Compares all left codes with the `count` codes at `right`, at most 32 * Vectors, the first of
// which is number `b`.
template <int Vectors, bool Halves>
Hit* compare_group(const std::uint64_t* left, std::size_t left_count, const std::uint64_t* right,
                   std::size_t b, std::size_t count, __m256i limit, Hit* out) {
    __m256i nibbles[places * Vectors];
    for (int i = 0; i < Vectors; ++i) {
        transpose(right + i * vector_codes, nibbles + i, Vectors);
    }
    for (std::size_t a = 0; a < left_count; ++a) {
        __m256i distances[Vectors] = {};
        add_half<Vectors>(left[a], nibbles, distances);
        if (Halves && __builtin_expect(!any_within<Vectors>(distances, limit), 1)) {
            continue;
        }
        add_half<Vectors>(left[a] >> 32, nibbles + places / 2 * Vectors, distances);
        if (__builtin_expect(any_within<Vectors>(distances, limit), 0)) {
            __m256i found[Vectors];
            for (int i = 0; i < Vectors; ++i) {
                found[i] = distances[i];
            }
            out = append_hits(found, a, b, count, limit, out);
        }
    }
    return out;
}

// Compares the blocks group by group.
template <bool Halves>
std::size_t compare_all(const std::uint64_t* left, std::size_t left_count,
                        const std::uint64_t* right, std::size_t right_count, __m256i limit,
                        Hit* hits) {
    constexpr int vectors = 8;
    constexpr std::size_t group = vectors * vector_codes;
    Hit* out = hits;
    std::size_t b = 0;
    for (; b + group <= right_count; b += group) {
        out = compare_group<vectors, Halves>(left, left_count, right + b, b, group, limit, out);
    }
    for (; b + vector_codes <= right_count; b += vector_codes) {
        out = compare_group<1, Halves>(left, left_count, right + b, b, vector_codes, limit, out);
    }
    if (b < right_count) {
        std::uint64_t last[vector_codes] = {};
        std::memcpy(last, right + b, (right_count - b) * sizeof *right);
        out = compare_group<1, Halves>(left, left_count, last, b, right_count - b, limit, out);
    }
    return out - hits;
}

} // namespace

std::size_t compare_tile_avx2(const std::uint64_t* left, std::size_t left_count,
                              const std::uint64_t* right, std::size_t right_count, int threshold,
                              Hit* hits) {
    const __m256i limit = _mm256_set1_epi8(static_cast<char>(threshold));
    return threshold <= largest_threshold_for_halves
               ? compare_all<true>(left, left_count, right, right_count, limit, hits)
               : compare_all<false>(left, left_count, right, right_count, limit, hits);
}

} // namespace vamhash
