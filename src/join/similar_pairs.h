// Exact self-join within a Hamming distance: arrays of 64-bit hashes in, pairs of row numbers out.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include "simd/isa.h"

#include <cstdint>
#include <functional>
#include <span>

namespace vamhash {

/// Rows a and b (a < b, counted from 0) whose distance in the first column is `distance`.
struct Pair {
    std::uint32_t a;
    std::uint32_t b;
    std::uint32_t distance;
};

/// Takes found pairs, batch by batch. Called by any thread of the join, but by one at a time; a
/// slow sink slows the join. What it throws ends the join: similar_pairs throws it again, and the
/// sink is not called any more.
using PairSink = std::function<void(std::span<const Pair>)>;

enum class JoinMethod {
    automatic, // by expected cost
    blocks,    // by block combinations
    brute,     // compares every row with every other
};

struct JoinOptions {
    unsigned threads = 0; // 0: all cores this process may use
    Isa isa = best_isa();
    JoinMethod method = JoinMethod::automatic;
};

/// Finds every pair of rows a < b with hamming(columns[i][a], columns[i][b]) <= thresholds[i] for
/// all i. The columns are of one length, at least one and at most 8; the thresholds lie in 0 .. 64.
/// Each pair is given once, in no particular order, as it is found. Memory: about 30 bytes a row,
/// and buffers for each thread, besides what the sink keeps. A join of few rows runs on the calling
/// thread; the threads of larger ones block all signals. Throws std::invalid_argument for arguments
/// out of these limits and for more than 2^32 - 1 rows.
void similar_pairs(std::span<const std::span<const std::uint64_t>> columns,
                   std::span<const int> thresholds, const JoinOptions& options,
                   const PairSink& sink);

} // namespace vamhash
