// Pairs of distinct values within a Hamming distance: the self-join below pairs of rows and groups.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include "join/distinct.h"
#include "join/join_device.h"
#include "join/monitor.h"
#include "join/plan.h"
#include "join/similar_pairs.h"
#include "join/workers.h"

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>

namespace vamhash {

/// Two groups of equal rows (join/distinct.h), the values of which differ in `distance` bits.
struct GroupPair {
    std::uint32_t left;
    std::uint32_t right;
    std::uint32_t distance;
};

/// Takes pairs of groups, batch by batch. Several threads call at the same time, `worker` says
/// which; what a call throws ends the join.
class GroupPairSink {
  public:
    virtual ~GroupPairSink() = default;
    virtual void take(unsigned worker, std::span<const GroupPair> pairs) = 0;
};

/// How pairs were found, as in JoinReport.
struct SchemeUsed {
    std::string words;
    std::uint64_t tables = 0;
};

/// Finds every pair of different groups whose values differ in at most `threshold` bits; each pair
/// is given once, in no particular order, and either group may be the left one. Plans, moves the
/// bits of the values (Distinct::reorder), and joins by block combinations, or compares all values
/// where that is cheaper, on the CPU or on the device. Of the options, `isa` and `method` are
/// looked at. Passes through the monitor's phases planning and comparing; leaves the counting of
/// pairs to the sink. `most_sent` is TableJoin's.
SchemeUsed find_group_pairs(Distinct& distinct, int threshold, const JoinOptions& options,
                            std::uint64_t most_sent, JoinDevice& device, Workers& workers,
                            Monitor& monitor, GroupPairSink& sink);

/// Finds the pairs of a value of `left` and one of `right` by a plan; of a self-join, where both
/// are the same, as find_group_pairs. The left one had better be the smaller. `most_sent` is
/// TableJoin's.
SchemeUsed run_plan(const Plan& plan, Distinct& left, Distinct& right, int threshold, Isa isa,
                    std::uint64_t most_sent, JoinDevice& device, Workers& workers, Monitor& monitor,
                    GroupPairSink& sink);

/// How many pairs a join of so many values should keep as most_sent, in so much memory: few tables
/// have more.
constexpr std::uint64_t pairs_to_keep(std::uint64_t values, std::uint64_t bytes) {
    constexpr std::uint64_t bytes_per_pair = 16; // while a vector of them grows
    return std::min(std::max(values, std::uint64_t{1} << 20), bytes / bytes_per_pair);
}

} // namespace vamhash
