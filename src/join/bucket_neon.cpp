// The comparison of a bucket's codes with NEON (join/counts_neon.inc).
//
// A strip of 16 rows meets the block of its own place and those to the right, as many at a time as
// stay in registers. The smallest distances of two rows are tested at once. In the block of the
// strip's own place, columns up to the row's own count as far away.
//
// Up to threshold 8 the test sees the windows of the codes (bucket.h), above, whole codes: at 8 a
// group of 64 windows of uniform codes passes by chance in 20% of the cases, at 9 in 48%.
#include "join/bucket.h"
#include "join/counts_neon.inc"

#include <bit>
#include <cstring>

namespace vamhash {

namespace {

constexpr int largest_threshold_for_windows = 8;
// Fewer codes are compared one by one: that takes fewer instructions.
constexpr std::size_t smallest_bucket_for_vectors = 5;
// As many comparisons as such a bucket's.
constexpr std::size_t smallest_rectangle_for_vectors = 10;

// The codes of one side as the kernels below see them.
template <typename Element>
struct Side {
    const std::uint64_t* codes;
    const Element* tested; // the same codes or their windows, padded to whole blocks
};

// Loaded from 15 - r on: ones, which make any distance a far one, up to column r; zeros behind.
struct FarColumns {
    std::uint8_t bytes[2 * block_codes];
};

constexpr FarColumns far_columns = [] {
    FarColumns columns{};
    for (std::size_t i = 0; i < block_codes; ++i) {
        columns.bytes[i] = 0xff;
    }
    return columns;
}();

void append_pair(std::uint64_t left, std::uint64_t right, Candidates& candidates) {
    if (candidates.count == Candidates::capacity) {
        candidates.flush(candidates);
    }
    candidates.left[candidates.count] = left;
    candidates.right[candidates.count] = right;
    ++candidates.count;
}

// Appends the candidates of code `left` with right[begin .. end). Up to 15 codes behind are read.
[[gnu::noinline]] void append(std::uint64_t left, const std::uint64_t* right, std::size_t begin,
                              std::size_t end, uint8x16_t limit, Candidates& candidates) {
    constexpr int vectors = block_vectors<std::uint64_t>;
    const uint8x16_t row = repeat(left);
    for (std::size_t first = begin; first < end; first += block_codes) {
        uint8x16_t block[vectors];
        for (int i = 0; i < vectors; ++i) {
            block[i] = load(right + first + 2 * i);
        }
        std::uint64_t close = within(block_distances<vectors>(block, row), limit);
        if (end - first < block_codes) {
            close &= (1ULL << 4 * (end - first)) - 1;
        }
        for (; close != 0; close &= close - 1) {
            append_pair(left, right[first + first_place(close)], candidates);
        }
    }
}

// The smallest distances of a row's code from the columns. With Diagonal, columns up to number
// `own` are far.
template <typename Element, int Blocks, bool Diagonal>
[[gnu::always_inline]] inline uint8x16_t row_distances(const uint8x16_t* columns, Element code,
                                                       std::size_t own) {
    const uint8x16_t row = repeat(code);
    if constexpr (!Diagonal) {
        return smallest_distances<Element, Blocks>(columns, row);
    } else {
        const uint8x16_t far = vld1q_u8(far_columns.bytes + block_codes - 1 - own);
        const uint8x16_t first =
            vorrq_u8(block_distances<block_vectors<Element>>(columns, row), far);
        if constexpr (Blocks == 1) {
            return first;
        } else {
            return vminq_u8(first, smallest_distances<Element, Blocks, 1>(columns, row));
        }
    }
}

// Compares rows [row, row_end) of the left side with `Blocks` blocks of the right one from
// `column`, of which codes before column_end count. With Diagonal, both sides are one, the rows are
// those of the first block, and only pairs with the column behind the row count.
template <typename Element, int Blocks, bool Diagonal>
[[gnu::noinline]] void compare_strip(const Side<Element>& left, std::size_t row,
                                     std::size_t row_end, const Side<Element>& right,
                                     std::size_t column, std::size_t column_end, uint8x16_t limit,
                                     Candidates& candidates) {
    constexpr int vectors = Blocks * block_vectors<Element>;
    uint8x16_t columns[vectors];
    for (int i = 0; i < vectors; ++i) {
        columns[i] = load(right.tested + column + i * (16 / sizeof(Element)));
    }
    const std::size_t first = row;
    for (; row < row_end; row += 2) {
        const uint8x16_t smallest0 =
            row_distances<Element, Blocks, Diagonal>(columns, left.tested[row], row - first);
        const uint8x16_t smallest1 = row_distances<Element, Blocks, Diagonal>(
            columns, left.tested[row + 1], row + 1 - first);
        if (__builtin_expect(within(vminq_u8(smallest0, smallest1), limit) != 0, 0)) {
            const std::size_t width = Blocks * block_codes;
            const std::size_t end = column_end - column < width ? column_end : column + width;
            if (within(smallest0, limit) != 0) {
                append(left.codes[row], right.codes, Diagonal ? row + 1 : column, end, limit,
                       candidates);
            }
            if (row + 1 < row_end && within(smallest1, limit) != 0) {
                append(left.codes[row + 1], right.codes, Diagonal ? row + 2 : column, end, limit,
                       candidates);
            }
        }
    }
}

// compare_strip with a number of blocks known only now, up to `Blocks`.
template <typename Element, bool Diagonal, int Blocks = most_blocks<Element>>
void compare_blocks(std::size_t blocks, const Side<Element>& left, std::size_t row,
                    std::size_t row_end, const Side<Element>& right, std::size_t column,
                    std::size_t column_end, uint8x16_t limit, Candidates& candidates) {
    if constexpr (Blocks > 1) {
        if (blocks < Blocks) {
            compare_blocks<Element, Diagonal, Blocks - 1>(blocks, left, row, row_end, right, column,
                                                          column_end, limit, candidates);
            return;
        }
    }
    compare_strip<Element, Blocks, Diagonal>(left, row, row_end, right, column, column_end, limit,
                                             candidates);
}

// The blocks of columns [column, column_end) that stay in registers together.
template <typename Element>
std::size_t blocks_at_once(std::size_t column, std::size_t column_end) {
    const std::size_t rest = (column_end - column + block_codes - 1) / block_codes;
    return rest < most_blocks<Element> ? rest : most_blocks<Element>;
}

// Compares rows with columns [column, column_end).
template <typename Element>
void compare_rows(const Side<Element>& left, std::size_t row, std::size_t row_end,
                  const Side<Element>& right, std::size_t column, std::size_t column_end,
                  uint8x16_t limit, Candidates& candidates) {
    while (column < column_end) {
        const std::size_t blocks = blocks_at_once<Element>(column, column_end);
        compare_blocks<Element, false>(blocks, left, row, row_end, right, column, column_end, limit,
                                       candidates);
        column += blocks * block_codes;
    }
}

// The triangle of a bucket, whose last row has no column behind it.
template <typename Element>
void compare_bucket(const Side<Element>& side, std::size_t size, uint8x16_t limit,
                    Candidates& candidates) {
    for (std::size_t row = 0; row + 1 < size; row += block_codes) {
        const std::size_t row_end = size - 1 - row < block_codes ? size - 1 : row + block_codes;
        const std::size_t own = blocks_at_once<Element>(row, size);
        compare_blocks<Element, true>(own, side, row, row_end, side, row, size, limit, candidates);
        compare_rows<Element>(side, row, row_end, side, row + own * block_codes, size, limit,
                              candidates);
    }
}

// Codes as the test sees them. What pads them to whole blocks is far from the first one.
template <typename Element>
class Tested {
  public:
    Side<Element> take(const std::uint64_t* codes, std::size_t size, int window);

  private:
    // Padding is written by whole blocks, too.
    alignas(16) Element elements_[largest_bucket + block_codes];
};

// Reads up to three codes behind.
template <>
Side<std::uint32_t> Tested<std::uint32_t>::take(const std::uint64_t* codes, std::size_t size,
                                                int window) {
    const int64x2_t down = vdupq_n_s64(-window);
    const int64x2_t up = vdupq_n_s64(64 - window);
    const auto turned = [&](const std::uint64_t* two) {
        const uint64x2_t loaded = vld1q_u64(two);
        return vreinterpretq_u32_u64(vorrq_u64(vshlq_u64(loaded, down), vshlq_u64(loaded, up)));
    };
    for (std::size_t i = 0; i < size; i += 4) {
        vst1q_u32(elements_ + i, vuzp1q_u32(turned(codes + i), turned(codes + i + 2)));
    }
    const uint32x4_t opposite = vdupq_n_u32(~elements_[0]);
    for (std::size_t i = 0; i < block_codes; i += 4) {
        vst1q_u32(elements_ + size + i, opposite);
    }
    return {codes, elements_};
}

template <>
Side<std::uint64_t> Tested<std::uint64_t>::take(const std::uint64_t* codes, std::size_t size, int) {
    std::memcpy(elements_, codes, size * sizeof *codes);
    const uint64x2_t opposite = vdupq_n_u64(~elements_[0]);
    for (std::size_t i = 0; i < block_codes; i += 2) {
        vst1q_u64(elements_ + size + i, opposite);
    }
    return {codes, elements_};
}

void compare_one_by_one(const std::uint64_t* bucket, std::size_t size, int threshold,
                        Candidates& candidates) {
    for (std::size_t a = 0; a < size; ++a) {
        for (std::size_t b = a + 1; b < size; ++b) {
            if (std::popcount(bucket[a] ^ bucket[b]) <= threshold) {
                append_pair(bucket[a], bucket[b], candidates);
            }
        }
    }
}

template <typename Element>
void compare_all_buckets(const std::uint64_t* codes, const std::uint32_t* borders,
                         std::size_t buckets, const Comparison& comparison,
                         Candidates& candidates) {
    const uint8x16_t limit = vdupq_n_u8(static_cast<std::uint8_t>(comparison.threshold));
    Tested<Element> tested;
    for (std::size_t i = 0; i < buckets; ++i) {
        const std::size_t size = borders[i + 1] - borders[i];
        const std::uint64_t* bucket = codes + borders[i];
        if (size < smallest_bucket_for_vectors) {
            compare_one_by_one(bucket, size, comparison.threshold, candidates);
        } else if (size <= largest_bucket) {
            compare_bucket(tested.take(bucket, size, comparison.window), size, limit, candidates);
        }
    }
}

void compare_buckets(const std::uint64_t* codes, const std::uint32_t* borders, std::size_t buckets,
                     const Comparison& comparison, Candidates& candidates) {
    if (comparison.threshold <= largest_threshold_for_windows) {
        compare_all_buckets<std::uint32_t>(codes, borders, buckets, comparison, candidates);
    } else {
        compare_all_buckets<std::uint64_t>(codes, borders, buckets, comparison, candidates);
    }
}

template <typename Element>
void compare_all_rectangles(const std::uint64_t* left, const std::uint32_t* left_borders,
                            const std::uint64_t* right, const std::uint32_t* right_borders,
                            std::size_t buckets, const Comparison& comparison,
                            Candidates& candidates) {
    const uint8x16_t limit = vdupq_n_u8(static_cast<std::uint8_t>(comparison.threshold));
    Tested<Element> left_tested;
    Tested<Element> right_tested;
    for (std::size_t i = 0; i < buckets; ++i) {
        const std::uint64_t* rows = left + left_borders[i];
        const std::uint64_t* columns = right + right_borders[i];
        const std::size_t row_count = left_borders[i + 1] - left_borders[i];
        const std::size_t column_count = right_borders[i + 1] - right_borders[i];
        if (row_count * column_count < smallest_rectangle_for_vectors) {
            for (std::size_t a = 0; a < row_count; ++a) {
                for (std::size_t b = 0; b < column_count; ++b) {
                    if (std::popcount(rows[a] ^ columns[b]) <= comparison.threshold) {
                        append_pair(rows[a], columns[b], candidates);
                    }
                }
            }
        } else if (row_count <= largest_bucket && column_count <= largest_bucket) {
            compare_rows<Element>(left_tested.take(rows, row_count, comparison.window), 0,
                                  row_count,
                                  right_tested.take(columns, column_count, comparison.window), 0,
                                  column_count, limit, candidates);
        }
    }
}

void compare_bucket_rectangles(const std::uint64_t* left, const std::uint32_t* left_borders,
                               const std::uint64_t* right, const std::uint32_t* right_borders,
                               std::size_t buckets, const Comparison& comparison,
                               Candidates& candidates) {
    if (comparison.threshold <= largest_threshold_for_windows) {
        compare_all_rectangles<std::uint32_t>(left, left_borders, right, right_borders, buckets,
                                              comparison, candidates);
    } else {
        compare_all_rectangles<std::uint64_t>(left, left_borders, right, right_borders, buckets,
                                              comparison, candidates);
    }
}

void compare_rectangle(const std::uint64_t* left, std::size_t left_count,
                       const std::uint64_t* right, std::size_t right_count,
                       const Comparison& comparison, Candidates& candidates) {
    const std::uint32_t left_borders[2] = {0, static_cast<std::uint32_t>(left_count)};
    const std::uint32_t right_borders[2] = {0, static_cast<std::uint32_t>(right_count)};
    compare_bucket_rectangles(left, left_borders, right, right_borders, 1, comparison, candidates);
}

// Candidates looked at together, in vectors of two; the buffer's slack is as long.
constexpr std::size_t together = 8;
static_assert(together <= Candidates::slack);

// All ones for each of the differences that the rule lets through.
[[gnu::always_inline]] inline void find_new(const uint64x2_t* difference, const EmissionRule& rule,
                                            uint64x2_t* fresh) {
    for (std::size_t i = 0; i < together / 2; ++i) {
        fresh[i] = vdupq_n_u64(~0ULL);
    }
    for (int j = 0; j < rule.must_differ_count; ++j) {
        const uint64x2_t block = vdupq_n_u64(rule.must_differ[j]);
        for (std::size_t i = 0; i < together / 2; ++i) {
            fresh[i] = vandq_u64(fresh[i], vtstq_u64(difference[i], block));
        }
    }
    for (int j = 0; j < rule.earlier_parts; ++j) {
        const EmissionRule::EarlierPart& part = rule.earlier_part[j];
        // Each block in which the codes differ counts -1.
        int64x2_t counts[together / 2] = {};
        for (int k = part.first_block; k < part.end_block; ++k) {
            const uint64x2_t block = vdupq_n_u64(rule.earlier_blocks[k]);
            for (std::size_t i = 0; i < together / 2; ++i) {
                counts[i] =
                    vaddq_s64(counts[i], vreinterpretq_s64_u64(vtstq_u64(difference[i], block)));
            }
        }
        // Fewer than `selected` blocks are equal.
        const int64x2_t most = vdupq_n_s64(
            -static_cast<std::int64_t>(part.end_block - part.first_block) + part.selected);
        for (std::size_t i = 0; i < together / 2; ++i) {
            fresh[i] = vandq_u64(fresh[i], vcltq_s64(counts[i], most));
        }
    }
}

std::size_t select_new(Candidates& candidates, const EmissionRule& rule) {
    std::size_t kept = 0;
    for (std::size_t first = 0; first < candidates.count; first += together) {
        uint64x2_t difference[together / 2];
        for (std::size_t i = 0; i < together / 2; ++i) {
            difference[i] = veorq_u64(vld1q_u64(candidates.left + first + 2 * i),
                                      vld1q_u64(candidates.right + first + 2 * i));
        }
        uint64x2_t found[together / 2];
        find_new(difference, rule, found);
        std::uint64_t fresh[together];
        for (std::size_t i = 0; i < together / 2; ++i) {
            vst1q_u64(fresh + 2 * i, found[i]);
        }
        // No branch that depends on what is found: it could not be foretold.
        const std::size_t rest = candidates.count - first;
        for (std::size_t i = 0; i < (rest < together ? rest : together); ++i) {
            candidates.left[kept] = candidates.left[first + i];
            candidates.right[kept] = candidates.right[first + i];
            kept += fresh[i] & 1;
        }
    }
    return kept;
}

} // namespace

const BucketKernels bucket_neon{compare_buckets, compare_bucket_rectangles, compare_rectangle,
                                select_new};

} // namespace vamhash
