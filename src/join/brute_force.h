// The join by brute force: every row is compared with every other.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include "join/pair_output.h"
#include "join/workers.h"

namespace vamhash {

/// Finds the pairs of rows within the input's threshold, verifies the other columns and sends the
/// pairs to `output`. The monitor's phase is comparing.
void brute_force(const JoinInput& input, Isa isa, Workers& workers, Monitor& monitor,
                 PairOutput& output);

} // namespace vamhash
