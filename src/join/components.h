// Connected components of the graph of similar values, without its edges.
//
// A union-find that all threads of a join change at once, without locks: a root is hooked under a
// smaller one by compare-and-swap, and finds halve their paths. Every parent is smaller than its
// child, so that no race can make a cycle (Jaiganesh and Burtscher, ECL-CC, HPDC 2018).
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include "join/distinct.h"
#include "join/group_pairs.h"
#include "join/large_array.h"
#include "join/workers.h"

#include <cstdint>
#include <span>

namespace vamhash {

/// Takes pairs of groups of equal values, by any threads at once, and connects them; counts each
/// group's similar rows on the way.
class Components : public GroupPairSink {
  public:
    Components(const Distinct& distinct, Workers& workers);

    void take(unsigned worker, std::span<const GroupPair> pairs) override;

    /// The group that stands for a component: the same for all groups in it.
    [[nodiscard]] std::uint32_t root(std::uint32_t group);

    /// The rows of all groups that are similar to one.
    [[nodiscard]] std::uint32_t similar_rows(std::uint32_t group) const {
        return similar_rows_[group];
    }

  private:
    void connect(std::uint32_t a, std::uint32_t b);

    const Distinct& distinct_;
    LargeArray<std::uint32_t> parents_;
    LargeArray<std::uint32_t> similar_rows_;
};

} // namespace vamhash
