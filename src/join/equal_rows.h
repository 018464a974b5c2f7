// Rows that are equal in all columns: the pairs that a join is sure to find.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include "join/pair_output.h"
#include "join/similar_pairs.h"
#include "join/workers.h"

#include <cstdint>
#include <span>
#include <vector>

namespace vamhash {

/// The pairs of rows that are equal in all columns. Never too many; in the rare case that rows with
/// different hashes hash alike as a whole, their pairs are not counted. Memory: about 35 bytes a
/// row (of the smaller set, and 8 of the other).
std::uint64_t equal_row_pairs(const JoinInput& input, Workers& workers);

/// The hashes that most rows of both columns share, at most five, the heaviest first. Exact for
/// those of more than one in 65,536 rows; lighter ones may be left out.
std::vector<TooManyPairs::Heavy> heaviest_hashes(std::span<const std::uint64_t> left,
                                                 std::span<const std::uint64_t> right);

} // namespace vamhash
