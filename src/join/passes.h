// A join whose groups do not fit into memory at once: in passes over ranges of keys.
//
// The pairs that a set of tables finds agree in the bits that all its keys share. So these tables
// find the same pairs if they run on the rows with one value of those bits after another, or on a
// range of such values at a time: as many as memory allows to group. Equal rows share every key:
// their pairs are sent in the passes of the first set.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include "join/distinct.h"
#include "join/join_device.h"
#include "join/monitor.h"
#include "join/pair_output.h"
#include "join/plan.h"
#include "join/row_pairs.h"
#include "join/workers.h"

#include <cstdint>
#include <optional>
#include <vector>

namespace vamhash {

/// The passes of a plan for the codes of a join. The plan has tables.
class Passes {
  public:
    /// Counts the rows by key and cuts the keys into ranges such that grouping the rows of each
    /// takes at most `bytes`.
    Passes(const JoinInput& input, Plan plan, std::size_t bytes, Isa isa, Workers& workers);

    /// The bytes that grouping the passes takes. More than asked for where the rows of a single key
    /// are too many: then it must not be run.
    [[nodiscard]] std::size_t most_bytes() const { return bytes_of(most_); }

    [[nodiscard]] std::uint64_t count() const;

    /// Finds the pairs of groups and hands them to `rows`; the monitor's phase is comparing. The
    /// device and most_sent are TableJoin's.
    void run(JoinDevice& device, std::uint64_t most_sent, Monitor& monitor, RowPairs& rows);

  private:
    // Numbers of rows, of a self-join without right ones.
    struct Rows {
        std::size_t left = 0;
        std::size_t right = 0;
    };

    // The rows with keys [first, end).
    struct Pass {
        std::uint32_t first;
        std::uint32_t end;
        Rows rows;
    };

    // The passes of a set of tables.
    struct SetPasses {
        KeyBits key; // of codes as they are in the columns
        std::vector<Pass> passes;
    };

    [[nodiscard]] std::size_t bytes_of(const Rows& rows) const;
    void count_rows();
    [[nodiscard]] std::vector<std::uint32_t> left_histogram(const KeyBits& key);
    [[nodiscard]] std::vector<std::uint32_t> right_histogram(const KeyBits& key);
    [[nodiscard]] Rows most_rows(std::size_t bytes) const;
    void cut(SetPasses& set);
    std::vector<std::uint32_t> histogram(std::span<const std::uint64_t> codes, const KeyBits& key);

    const JoinInput& input_;
    Plan plan_;
    Isa isa_;
    const PartitionKernels& partition_;
    Workers& workers_;
    std::vector<SetPasses> sets_;
    Rows most_; // of a pass
};

} // namespace vamhash
