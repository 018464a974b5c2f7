// How many pairs a join will find, from a sample.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include "join/pair_output.h"
#include "join/workers.h"

namespace vamhash {

/// Joins a sample of n of the N rows (and m of the M of the other set) by brute force: its pairs
/// times N (N - 1) / (n (n - 1)), or N M / (n m). The standard error is about the square root of
/// the sample's pairs, times that factor. -1 where the sample has no pair. Takes a few
/// milliseconds.
double estimate_pairs(const JoinInput& input, Isa isa, Workers& workers);

} // namespace vamhash
