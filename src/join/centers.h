// Groups around centres: star and complete.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include "join/pair_list.h"
#include "join/workers.h"

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace vamhash {

/// The distinct values that are to be grouped, numbered by their first row's rank.
struct RankedValues {
    std::vector<std::uint64_t> codes;
    std::vector<std::uint32_t> rows; // of each value, at least one
};

/// In place of a value's number: there is none.
constexpr std::uint32_t no_value = std::numeric_limits<std::uint32_t>::max();

/// A value's centre, for each: its own number for a centre, no_value for one that is in no group.
struct Centers {
    std::vector<std::uint32_t> of;
    std::uint64_t row_pairs = 0; // neighbours among all rows
};

/// Groups values around centres as similar_groups defines star, or where `complete`, complete.
/// `pairs`, all of similar values by their numbers, is used up.
Centers group_around_centers(const RankedValues& values, PairList& pairs, int threshold,
                             bool complete, Workers& workers);

/// Bytes that group_around_centers takes for a pair, besides the list, and for a value.
constexpr std::uint64_t center_bytes_per_pair = 4;
constexpr std::uint64_t center_bytes_per_value = 28;

} // namespace vamhash
