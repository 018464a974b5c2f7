// The comparison of two blocks with NEON (join/counts_neon.inc).
//
// A group of right codes stays in registers while all left codes pass by, two at a time. The
// smallest of the group's distances are tested once; the rare group with a hit is looked at again,
// 16 codes at a time.
//
// For small thresholds the test sees the lower halves of the codes only, so that twice as many fit:
// their distance cannot exceed that of the codes, and of uniform codes few groups pass by chance
// (7% at threshold 7, 20% at 8). By the number of instructions this is the shorter way up to 8; at
// 9, where 48% pass, it is the longer one.
#include "join/counts_neon.inc"
#include "join/tile.h"

#include <cstring>

namespace vamhash {

namespace {

constexpr int largest_threshold_for_halves = 8;

// Appends the hits of code `left`, number `a`, with `count` codes at `right`, the first of which is
// number `b`. Whole blocks are read.
[[gnu::noinline]] Hit* append_hits(std::uint64_t left, std::size_t a, const std::uint64_t* right,
                                   std::size_t b, std::size_t count, uint8x16_t limit, Hit* out) {
    const uint8x16_t row = repeat(left);
    for (std::size_t first = 0; first < count; first += block_codes) {
        uint8x16_t block[block_vectors<std::uint64_t>];
        for (int i = 0; i < block_vectors<std::uint64_t>; ++i) {
            block[i] = load(right + first + 2 * i);
        }
        const uint8x16_t distances = block_distances<block_vectors<std::uint64_t>>(block, row);
        std::uint64_t hit = within(distances, limit);
        if (count - first < block_codes) {
            hit &= (1ULL << 4 * (count - first)) - 1;
        }
        std::uint8_t bytes[block_codes];
        vst1q_u8(bytes, distances);
        for (; hit != 0; hit &= hit - 1) {
            const std::size_t i = first_place(hit);
            *out++ = {static_cast<std::uint16_t>(a), static_cast<std::uint16_t>(b + first + i),
                      bytes[i]};
        }
    }
    return out;
}

// Loads a vector of codes, or of the lower halves of twice as many.
void load_column(const std::uint64_t* codes, int vector, uint8x16_t& column, std::uint64_t) {
    column = load(codes + 2 * vector);
}

void load_column(const std::uint64_t* codes, int vector, uint8x16_t& column, std::uint32_t) {
    const uint32x4_t low = vreinterpretq_u32_u64(vld1q_u64(codes + 4 * vector));
    const uint32x4_t high = vreinterpretq_u32_u64(vld1q_u64(codes + 4 * vector + 2));
    column = vreinterpretq_u8_u32(vuzp1q_u32(low, high));
}

// Compares all left codes with `count` codes at `right`, the first of which is number `b`. Blocks
// are read, whole.
template <typename Element, int Blocks>
Hit* compare_group(const std::uint64_t* left, std::size_t left_count, const std::uint64_t* right,
                   std::size_t b, std::size_t count, uint8x16_t limit, Hit* out) {
    constexpr int vectors = Blocks * block_vectors<Element>;
    uint8x16_t columns[vectors];
    for (int i = 0; i < vectors; ++i) {
        load_column(right, i, columns[i], Element());
    }
    for (std::size_t a = 0; a < left_count; a += 2) {
        const std::size_t next = a + 1 < left_count ? a + 1 : a;
        const uint8x16_t smallest =
            smallest_distances<Element, Blocks>(columns, repeat(static_cast<Element>(left[a])));
        const uint8x16_t smallest_next =
            smallest_distances<Element, Blocks>(columns, repeat(static_cast<Element>(left[next])));
        if (__builtin_expect(within(vminq_u8(smallest, smallest_next), limit) != 0, 0)) {
            if (within(smallest, limit) != 0) {
                out = append_hits(left[a], a, right, b, count, limit, out);
            }
            if (next != a && within(smallest_next, limit) != 0) {
                out = append_hits(left[next], next, right, b, count, limit, out);
            }
        }
    }
    return out;
}

// Compares the blocks group by group.
template <typename Element>
std::size_t compare_all(const std::uint64_t* left, std::size_t left_count,
                        const std::uint64_t* right, std::size_t right_count, uint8x16_t limit,
                        Hit* hits) {
    constexpr int blocks = most_blocks<Element>;
    constexpr std::size_t group = blocks * block_codes;
    Hit* out = hits;
    std::size_t b = 0;
    for (; b + group <= right_count; b += group) {
        out = compare_group<Element, blocks>(left, left_count, right + b, b, group, limit, out);
    }
    for (; b + block_codes <= right_count; b += block_codes) {
        out = compare_group<Element, 1>(left, left_count, right + b, b, block_codes, limit, out);
    }
    if (b < right_count) {
        std::uint64_t last[block_codes] = {};
        std::memcpy(last, right + b, (right_count - b) * sizeof *right);
        out = compare_group<Element, 1>(left, left_count, last, b, right_count - b, limit, out);
    }
    return out - hits;
}

} // namespace

std::size_t compare_tile_neon(const std::uint64_t* left, std::size_t left_count,
                              const std::uint64_t* right, std::size_t right_count, int threshold,
                              Hit* hits) {
    const uint8x16_t limit = vdupq_n_u8(static_cast<std::uint8_t>(threshold));
    return threshold <= largest_threshold_for_halves
               ? compare_all<std::uint32_t>(left, left_count, right, right_count, limit, hits)
               : compare_all<std::uint64_t>(left, left_count, right, right_count, limit, hits);
}

} // namespace vamhash
