// The comparison of a bucket's codes with AVX2, by nibbles (join/nibbles_avx2.inc).
//
// A group of up to 64 columns is transposed once and meets the rows up to its own end; in the rows
// that are its own, columns up to the row count as far away. Codes are turned so that the window
// (bucket.h) is their lowest bits, which are tested first: as many places as let few groups of
// uniform codes pass by chance.
#include "join/bucket.h"
#include "join/nibbles_avx2.inc"
#include "join/select_new.inc"

#include <immintrin.h>

#include <cstring>

namespace vamhash {

namespace {

// Fewer codes are compared one by one.
constexpr std::size_t smallest_bucket_for_vectors = 12;
// To transpose a group of columns pays from so many rows.
constexpr std::size_t fewest_rows_for_vectors = 3;

// Loaded from 255 - r on, as many bytes as a group has columns: a distance that stays above any
// threshold, and below 256, whatever is added, up to column r; 0 behind.
struct FarColumns {
    std::uint8_t bytes[512];
};

constexpr FarColumns far_columns = [] {
    FarColumns columns{};
    for (int i = 0; i < 256; ++i) {
        columns.bytes[i] = 0x80;
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

// Appends the candidates of code `left` with `count` codes at `right`.
[[gnu::noinline]] void append(std::uint64_t left, const std::uint64_t* right, std::size_t count,
                              const __m256i* distances, __m256i limit, Candidates& candidates) {
    for (std::size_t first = 0; first < count; first += vector_codes, ++distances) {
        const __m256i within = _mm256_cmpeq_epi8(_mm256_min_epu8(*distances, limit), *distances);
        auto hit = static_cast<std::uint32_t>(_mm256_movemask_epi8(within));
        if (count - first < vector_codes) {
            hit = _bzhi_u32(hit, count - first);
        }
        for (; hit != 0; hit &= hit - 1) {
            append_pair(left, right[first + _tzcnt_u32(hit)], candidates);
        }
    }
}

// The codes of one side and the same ones turned.
struct Side {
    const std::uint64_t* codes;
    const std::uint64_t* turned;
};

// The distances to start from in a group's row number `row`.
template <int Vectors>
void keep_columns_behind(std::size_t row, __m256i* distances) {
    const std::uint8_t* mask = far_columns.bytes + 255 - row;
    for (int i = 0; i < Vectors; ++i) {
        const auto* far = reinterpret_cast<const __m256i*>(mask + i * vector_codes);
        distances[i] = _mm256_loadu_si256(far);
    }
}

// Compares rows [row, row_end) with a group of columns. With Diagonal, both sides are one, row is
// the group's first column, and only pairs with the column behind the row count.
template <int Vectors, int Window, bool Diagonal>
void compare_rows(const Side& left, std::size_t row, std::size_t row_end, const __m256i* nibbles,
                  const std::uint64_t* right, std::size_t count, __m256i limit,
                  Candidates& candidates) {
    for (std::size_t r = row; r < row_end; ++r) {
        __m256i distances[Vectors] = {};
        if constexpr (Diagonal) {
            keep_columns_behind<Vectors>(r - row, distances);
        }
        add_places<Vectors, Window>(left.turned[r], nibbles, distances);
        if constexpr (Window < places) {
            if (__builtin_expect(!any_within<Vectors>(distances, limit), 1)) {
                continue;
            }
            add_places<Vectors, places - Window>(left.turned[r] >> 4 * Window,
                                                 nibbles + Window * Vectors, distances);
        }
        if (__builtin_expect(any_within<Vectors>(distances, limit), 0)) {
            __m256i found[Vectors];
            for (int i = 0; i < Vectors; ++i) {
                found[i] = distances[i];
            }
            append(left.codes[r], right, count, found, limit, candidates);
        }
    }
}

// Compares a group of `count` columns, at most 32 * Vectors, with rows [0, row_end); with those
// from `diagonal` on, as with codes of its own.
template <int Vectors, int Window>
void compare_group(const Side& left, std::size_t diagonal, std::size_t row_end, const Side& right,
                   std::size_t column, std::size_t count, __m256i limit, Candidates& candidates) {
    __m256i nibbles[places * Vectors];
    std::uint64_t padded[vector_codes * Vectors];
    const std::uint64_t* turned = right.turned + column;
    if (count < vector_codes * Vectors) {
        std::memcpy(padded, turned, count * sizeof *turned);
        for (std::size_t i = count; i < vector_codes * Vectors; ++i) {
            padded[i] = ~turned[0]; // far from the others
        }
        turned = padded;
    }
    for (int i = 0; i < Vectors; ++i) {
        transpose(turned + i * vector_codes, nibbles + i, Vectors);
    }
    const std::uint64_t* codes = right.codes + column;
    compare_rows<Vectors, Window, false>(left, 0, diagonal, nibbles, codes, count, limit,
                                         candidates);
    compare_rows<Vectors, Window, true>(left, diagonal, row_end, nibbles, codes, count, limit,
                                        candidates);
}

// The triangle of a bucket.
template <int Window>
void compare_bucket(const Side& side, std::size_t size, __m256i limit, Candidates& candidates) {
    std::size_t column = 0;
    for (; column + vector_codes < size; column += 2 * vector_codes) {
        const std::size_t end = size - column < 2 * vector_codes ? size : column + 2 * vector_codes;
        compare_group<2, Window>(side, column, end, side, column, end - column, limit, candidates);
    }
    if (column < size) {
        compare_group<1, Window>(side, column, size, side, column, size - column, limit,
                                 candidates);
    }
}

template <int Window>
void compare_all(const Side& left, std::size_t left_count, const Side& right,
                 std::size_t right_count, __m256i limit, Candidates& candidates) {
    constexpr std::size_t group = 8 * vector_codes;
    std::size_t b = 0;
    for (; b + group <= right_count; b += group) {
        compare_group<8, Window>(left, left_count, left_count, right, b, group, limit, candidates);
    }
    for (; b < right_count; b += vector_codes) {
        const std::size_t count = right_count - b < vector_codes ? right_count - b : vector_codes;
        compare_group<1, Window>(left, left_count, left_count, right, b, count, limit, candidates);
    }
}

template <int Window>
struct Places {};

// Calls compare with the number of places to test first.
template <typename Compare>
void with_window(int threshold, const Compare& compare) {
    if (threshold <= 7) {
        compare(Places<8>());
    } else if (threshold <= 8) {
        compare(Places<10>());
    } else if (threshold <= 11) {
        compare(Places<12>());
    } else {
        compare(Places<places>());
    }
}

void turn(const std::uint64_t* codes, std::size_t size, int window, std::uint64_t* turned) {
    for (std::size_t i = 0; i < size; ++i) {
        turned[i] = codes[i] >> window | codes[i] << (-window & 63);
    }
}

void compare_buckets(const std::uint64_t* codes, const std::uint32_t* borders, std::size_t buckets,
                     const Comparison& comparison, Candidates& candidates) {
    const __m256i limit = _mm256_set1_epi8(static_cast<char>(comparison.threshold));
    std::uint64_t turned[largest_bucket];
    for (std::size_t i = 0; i < buckets; ++i) {
        const std::size_t size = borders[i + 1] - borders[i];
        const std::uint64_t* bucket = codes + borders[i];
        if (size > largest_bucket) {
            continue;
        }
        if (size < smallest_bucket_for_vectors) {
            for (std::size_t a = 0; a < size; ++a) {
                for (std::size_t b = a + 1; b < size; ++b) {
                    if (_mm_popcnt_u64(bucket[a] ^ bucket[b]) <= comparison.threshold) {
                        append_pair(bucket[a], bucket[b], candidates);
                    }
                }
            }
            continue;
        }
        turn(bucket, size, comparison.window, turned);
        with_window(comparison.threshold, [&]<int Window>(Places<Window>) {
            compare_bucket<Window>({bucket, turned}, size, limit, candidates);
        });
    }
}

void compare_rectangle(const std::uint64_t* left, std::size_t left_count,
                       const std::uint64_t* right, std::size_t right_count,
                       const Comparison& comparison, Candidates& candidates) {
    const __m256i limit = _mm256_set1_epi8(static_cast<char>(comparison.threshold));
    std::uint64_t left_turned[largest_bucket];
    std::uint64_t right_turned[largest_bucket];
    turn(left, left_count, comparison.window, left_turned);
    turn(right, right_count, comparison.window, right_turned);
    with_window(comparison.threshold, [&]<int Window>(Places<Window>) {
        compare_all<Window>({left, left_turned}, left_count, {right, right_turned}, right_count,
                            limit, candidates);
    });
}

void compare_bucket_rectangles(const std::uint64_t* left, const std::uint32_t* left_borders,
                               const std::uint64_t* right, const std::uint32_t* right_borders,
                               std::size_t buckets, const Comparison& comparison,
                               Candidates& candidates) {
    for (std::size_t i = 0; i < buckets; ++i) {
        const std::uint64_t* rows = left + left_borders[i];
        const std::uint64_t* columns = right + right_borders[i];
        const std::size_t row_count = left_borders[i + 1] - left_borders[i];
        const std::size_t column_count = right_borders[i + 1] - right_borders[i];
        if (row_count == 0 || column_count == 0 || row_count > largest_bucket ||
            column_count > largest_bucket) {
            continue;
        }
        if (row_count < fewest_rows_for_vectors || column_count < smallest_bucket_for_vectors) {
            for (std::size_t a = 0; a < row_count; ++a) {
                for (std::size_t b = 0; b < column_count; ++b) {
                    if (_mm_popcnt_u64(rows[a] ^ columns[b]) <= comparison.threshold) {
                        append_pair(rows[a], columns[b], candidates);
                    }
                }
            }
            continue;
        }
        compare_rectangle(rows, row_count, columns, column_count, comparison, candidates);
    }
}

} // namespace

const BucketKernels bucket_avx2{compare_buckets, compare_bucket_rectangles, compare_rectangle,
                                select_new};

} // namespace vamhash
