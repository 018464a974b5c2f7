// The comparison of two blocks with AVX2, by nibbles (join/nibbles_avx2.inc).
//
// A group of 256 right codes is transposed once and meets all left codes; the smallest distance of
// a group is tested once.
//
// For small thresholds the sum over the lower eight places is tested first: it cannot exceed the
// whole distance, and few groups of uniform codes pass by chance (24% at threshold 7).
#include "join/nibbles_avx2.inc"
#include "join/tile.h"

#include <immintrin.h>

#include <cstring>

namespace vamhash {

namespace {

constexpr int largest_threshold_for_halves = 7;

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
        add_places<Vectors, places / 2>(left[a], nibbles, distances);
        if (Halves && __builtin_expect(!any_within<Vectors>(distances, limit), 1)) {
            continue;
        }
        add_places<Vectors, places / 2>(left[a] >> 32, nibbles + places / 2 * Vectors, distances);
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
