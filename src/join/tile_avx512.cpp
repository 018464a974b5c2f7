// The comparison of two blocks with AVX-512 VPOPCNTDQ.
//
// A group of 64 right codes stays in eight registers while all left codes pass by. The smallest of
// the 64 distances is reduced to one vector and tested once; the rare group with a hit is looked at
// again, vector by vector.
//
// For small thresholds the test sees the lower halves of the codes only, 16 a register: their
// distance cannot exceed that of the codes, so that no hit is lost, and of uniform codes few groups
// pass by chance (7% at threshold 7, 20% at 8).
#include "join/tile.h"

#include <immintrin.h>

namespace vamhash {

namespace {

constexpr int largest_threshold_for_halves = 7;

// Appends the hits of code `left`, number `a`, with up to 64 codes at `right`, the first of which
// is number `b`; `valid` has a bit for each.
[[gnu::noinline]] Hit* append_hits(std::uint64_t left, std::size_t a, const std::uint64_t* right,
                                   std::size_t b, std::uint64_t valid, int threshold, Hit* out) {
    const __m512i limit = _mm512_set1_epi64(threshold);
    const __m512i row = _mm512_set1_epi64(static_cast<long long>(left));
    // A lane is a Hit: a in the lowest 16 bits, then b, then the distance in the upper half.
    const __m512i eight_b =
        _mm512_set_epi64(7 << 16, 6 << 16, 5 << 16, 4 << 16, 3 << 16, 2 << 16, 1 << 16, 0);
    for (; valid != 0; valid >>= 8, right += 8, b += 8) {
        const auto lanes = static_cast<__mmask8>(valid);
        const __m512i codes = _mm512_maskz_loadu_epi64(lanes, right);
        const __m512i distance = _mm512_popcnt_epi64(_mm512_xor_si512(codes, row));
        const __mmask8 hit = _mm512_mask_cmple_epu64_mask(lanes, distance, limit);
        if (hit != 0) {
            const __m512i first = _mm512_set1_epi64(static_cast<long long>(b << 16 | a));
            // An operator, as GCC 12 warns of the shift intrinsic (its bug 105593).
            const __m512i hits = (distance << 32) | _mm512_add_epi64(eight_b, first);
            _mm512_storeu_si512(out, _mm512_maskz_compress_epi64(hit, hits));
            out += _mm_popcnt_u32(hit);
        }
    }
    return out;
}

// Compares all left codes with a group of 8 * Registers codes at `right`, the first of which is
// number `b`; those without a bit in `valid` are not read.
template <int Registers, bool Halves>
Hit* compare_group(const std::uint64_t* left, std::size_t left_count, const std::uint64_t* right,
                   std::size_t b, std::uint64_t valid, int threshold, Hit* out) {
    const __m512i limit = Halves ? _mm512_set1_epi32(threshold) : _mm512_set1_epi64(threshold);
    constexpr int vectors = Halves ? Registers / 2 : Registers;
    __m512i codes[Registers];
    for (int i = 0; i < Registers; ++i) {
        codes[i] = _mm512_maskz_loadu_epi64(static_cast<__mmask8>(valid >> 8 * i), right + 8 * i);
    }
    if constexpr (Halves) {
        const __m512i lower =
            _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
        for (int i = 0; i < vectors; ++i) {
            codes[i] = _mm512_permutex2var_epi32(codes[2 * i], lower, codes[2 * i + 1]);
        }
    }
    for (std::size_t a = 0; a < left_count; ++a) {
        const __m512i row = Halves ? _mm512_set1_epi32(static_cast<int>(left[a]))
                                   : _mm512_set1_epi64(static_cast<long long>(left[a]));
        __m512i smallest;
        for (int i = 0; i < vectors; ++i) {
            const __m512i difference = _mm512_xor_si512(codes[i], row);
            const __m512i distance =
                Halves ? _mm512_popcnt_epi32(difference) : _mm512_popcnt_epi64(difference);
            smallest = i == 0 ? distance : _mm512_min_epu8(smallest, distance);
        }
        const bool passes = Halves ? _mm512_cmple_epu32_mask(smallest, limit) != 0
                                   : _mm512_cmple_epu64_mask(smallest, limit) != 0;
        if (__builtin_expect(passes, 0)) {
            out = append_hits(left[a], a, right, b, valid, threshold, out);
        }
    }
    return out;
}

// Compares the blocks group by group.
template <bool Halves>
std::size_t compare_all(const std::uint64_t* left, std::size_t left_count,
                        const std::uint64_t* right, std::size_t right_count, int threshold,
                        Hit* hits) {
    Hit* out = hits;
    std::size_t b = 0;
    for (; b + 64 <= right_count; b += 64) {
        out = compare_group<8, Halves>(left, left_count, right + b, b, ~0ULL, threshold, out);
    }
    for (; b < right_count; b += 16) {
        const std::size_t rest = right_count - b;
        const std::uint64_t valid = rest < 16 ? (1ULL << rest) - 1 : 0xffff;
        out = compare_group<2, Halves>(left, left_count, right + b, b, valid, threshold, out);
    }
    return out - hits;
}

} // namespace

std::size_t compare_tile_avx512(const std::uint64_t* left, std::size_t left_count,
                                const std::uint64_t* right, std::size_t right_count, int threshold,
                                Hit* hits) {
    return threshold <= largest_threshold_for_halves
               ? compare_all<true>(left, left_count, right, right_count, threshold, hits)
               : compare_all<false>(left, left_count, right, right_count, threshold, hits);
}

} // namespace vamhash
