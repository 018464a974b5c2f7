// The comparison of a bucket's codes in portable C++: the answer that the other versions must give.
#include "join/bucket.h"
#include "join/select_new.inc"

#include <bit>

namespace vamhash {

namespace {

void compare_row(std::uint64_t row, const std::uint64_t* right, std::size_t count, int threshold,
                 Candidates& candidates) {
    for (std::size_t i = 0; i < count; ++i) {
        if (std::popcount(row ^ right[i]) <= threshold) {
            if (candidates.count == Candidates::capacity) {
                candidates.flush(candidates);
            }
            candidates.left[candidates.count] = row;
            candidates.right[candidates.count] = right[i];
            ++candidates.count;
        }
    }
}

void compare_rectangle(const std::uint64_t* left, std::size_t left_count,
                       const std::uint64_t* right, std::size_t right_count,
                       const Comparison& comparison, Candidates& candidates) {
    for (std::size_t a = 0; a < left_count; ++a) {
        compare_row(left[a], right, right_count, comparison.threshold, candidates);
    }
}

void compare_buckets(const std::uint64_t* codes, const std::uint32_t* borders, std::size_t buckets,
                     const Comparison& comparison, Candidates& candidates) {
    for (std::size_t i = 0; i < buckets; ++i) {
        const std::size_t end = borders[i + 1];
        if (end - borders[i] > largest_bucket) {
            continue;
        }
        for (std::size_t a = borders[i]; a < end; ++a) {
            compare_row(codes[a], codes + a + 1, end - a - 1, comparison.threshold, candidates);
        }
    }
}

void compare_bucket_rectangles(const std::uint64_t* left, const std::uint32_t* left_borders,
                               const std::uint64_t* right, const std::uint32_t* right_borders,
                               std::size_t buckets, const Comparison& comparison,
                               Candidates& candidates) {
    for (std::size_t i = 0; i < buckets; ++i) {
        const std::size_t left_size = left_borders[i + 1] - left_borders[i];
        const std::size_t right_size = right_borders[i + 1] - right_borders[i];
        if (left_size <= largest_bucket && right_size <= largest_bucket) {
            compare_rectangle(left + left_borders[i], left_size, right + right_borders[i],
                              right_size, comparison, candidates);
        }
    }
}

} // namespace

const BucketKernels bucket_scalar{compare_buckets, compare_bucket_rectangles, compare_rectangle,
                                  select_new};

} // namespace vamhash
