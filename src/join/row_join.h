// The join of rows: chooses how, and does it.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include "join/monitor.h"
#include "join/pair_output.h"
#include "join/similar_pairs.h"
#include "join/workers.h"

#include <cstddef>

namespace vamhash {

/// The bytes of a thread's buffers, and of plans and samples: what most joins take, rounded up.
constexpr std::size_t bytes_per_thread = std::size_t{3} << 20;
constexpr std::size_t bytes_of_plan = std::size_t{6} << 20;

/// Finds the pairs of the input and sends them to `output`; writes to the report what the monitor
/// does not know. Of the options, threads has been heeded. Throws what similar_pairs throws, and
/// TooManyPairsFound instead of TooManyPairs if the options have no max_pairs, but the output has.
void join_rows(const JoinInput& input, const JoinOptions& options, Workers& workers,
               Monitor& monitor, PairOutput& output, JoinReport& report);

} // namespace vamhash
