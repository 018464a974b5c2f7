// Joins by FAISS, where its plugin is installed beside the engine: every code with every other, for
// those who want to compare answers.
//
// A join of rows hands the rows to FAISS, a join of distinct values the values; in a self-join
// FAISS finds each pair twice, and one of them is dropped. Progress counts codes of the left set.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include "join/distinct.h"
#include "join/group_pairs.h"
#include "join/monitor.h"
#include "join/pair_output.h"
#include "join/workers.h"

#include <cstdint>

namespace vamhash {

/// What the report calls this method.
constexpr const char* faiss_scheme = "FAISS";

/// What a search takes in most cases: FAISS's own copy of the codes of the right set, its threads'
/// buffers, and the hits of the queries made at once.
constexpr std::uint64_t faiss_bytes(std::uint64_t right_codes, unsigned threads) {
    return right_codes * sizeof(std::uint64_t) + threads * (std::uint64_t{4} << 20) +
           (std::uint64_t{40} << 20);
}

/// Sends all pairs of rows within the thresholds to the output. Throws JoinMethodMissing without
/// the plugin.
void faiss_join(const JoinInput& input, Workers& workers, Monitor& monitor, PairOutput& output);

/// As find_group_pairs. Throws JoinMethodMissing without the plugin.
SchemeUsed faiss_group_pairs(const Distinct& distinct, int threshold, Workers& workers,
                             Monitor& monitor, GroupPairSink& sink);

} // namespace vamhash
