// Multiplies pairs of groups of equal rows out to pairs of rows.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include "join/distinct.h"
#include "join/group_pairs.h"
#include "join/pair_output.h"
#include "join/workers.h"

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace vamhash {

/// The sink of a join of rows: verifies the columns that did not find the groups, and sends the
/// pairs of rows to an output.
///
/// Where both groups of a pair are large, that would be the work of brute force: such pairs are put
/// aside, and then their rows are joined in the other columns.
class RowPairs final : public GroupPairSink {
  public:
    /// A join within groups may take so many bytes; else it verifies pair by pair.
    RowPairs(const JoinInput& input, Isa isa, std::uint64_t bytes, Workers& workers,
             Monitor& monitor, PairOutput& output);

    /// The groups that pairs refer to from now on, of a self-join the same twice.
    void refer_to(const Distinct& left, const Distinct& right) {
        left_ = &left;
        right_ = &right;
    }

    /// Sends the pairs of rows within each group of a self-join.
    void send_equal();

    void take(unsigned worker, std::span<const GroupPair> pairs) override;

    /// Sends the pairs of rows of the groups that were put aside. Before they go away.
    void join_large();

    /// Sends all that is left.
    void finish();

  private:
    // A pair of large groups, or twice the same one.
    using LargePair = GroupPair;

    // One thread's.
    struct Thread {
        Thread(const JoinInput& input, PairOutput& output) : batch(input, output) {}

        PairBatch batch;
        std::vector<LargePair> large;
    };

    [[nodiscard]] bool is_large(std::size_t left, std::size_t right) const {
        return static_cast<double>(left) * static_cast<double>(right) > most_to_verify_;
    }
    void join_large(const LargePair& pair);
    void verify_large(const LargePair& pair);
    void send_equal(std::uint64_t task, Thread& thread);
    void multiply(std::uint32_t a, std::span<const std::uint32_t> rows, std::uint32_t distance,
                  PairBatch& batch);

    const JoinInput& input_;
    const Isa isa_;
    const std::uint64_t bytes_;
    const double most_to_verify_; // pairs of rows
    Workers& workers_;
    Monitor& monitor_;
    PairOutput& output_;
    const Distinct* left_ = nullptr;
    const Distinct* right_ = nullptr;
    std::vector<std::unique_ptr<Thread>> threads_;
};

} // namespace vamhash
