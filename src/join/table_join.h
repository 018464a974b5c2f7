// The tables of a plan, on a device or on the CPU.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include "join/block_join.h"
#include "join/device_tables.h"
#include "join/distinct.h"
#include "join/group_pairs.h"
#include "join/join_device.h"
#include "join/monitor.h"
#include "join/plan.h"
#include "join/scheme.h"
#include "join/sent_pairs.h"
#include "join/workers.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace vamhash {

/// Runs the tables of a plan, set by set, on a device where the plan is for one. What it leaves
/// because it fails, or has no memory, the CPU does, by the same plan. Each pair of values within
/// the threshold is found once: of different values of one set, or of the values of two.
class TableJoin {
  public:
    /// Keeps up to `most_sent` pairs, 8 bytes each, against the device's failure.
    TableJoin(const Plan& plan, int threshold, Isa isa, std::uint64_t most_sent, JoinDevice& device,
              Workers& workers, Monitor& monitor, GroupPairSink& sink);

    /// The sets are those of table_sets().
    [[nodiscard]] std::size_t sets() const { return sets_.size(); }
    [[nodiscard]] std::size_t tables(std::size_t set) const { return sets_[set].tables.size(); }

    /// The values that the sets are run on from now on, of a self-join twice the same. They have
    /// been reordered by the plan's order of bits.
    void refer_to(const Distinct& left, const Distinct& right);

    /// Runs the tables of one set; when it returns the sink has their pairs.
    void run(std::size_t set);

  private:
    std::size_t run_on_device(std::size_t set);
    void run_on_cpu(const Tables& tables);

    const std::vector<TableSet> sets_;
    const int threshold_;
    const Isa isa_;
    JoinDevice& device_;
    Workers& workers_;
    Monitor& monitor_;
    SentPairs sent_;
    const Distinct* left_ = nullptr;
    const Distinct* right_ = nullptr;
    std::optional<DeviceTables> on_device_;
    std::optional<BlockJoin> on_cpu_;
};

} // namespace vamhash
