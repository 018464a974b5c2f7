// The self-join by block combinations: cost nearly proportional to the rows.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include "join/distinct.h"
#include "join/pair_output.h"
#include "join/scheme.h"
#include "join/workers.h"

namespace vamhash {

/// Finds the pairs of rows whose codes, grouped in `distinct`, are within the input's threshold,
/// verifies the other columns and sends the pairs to `output`. `distinct` has been reordered by the
/// plan's order of bits.
void block_join(const JoinInput& input, const Plan& plan, const Distinct& distinct, Isa isa,
                Workers& workers, PairOutput& output);

} // namespace vamhash
