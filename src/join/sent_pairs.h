// The pairs of a table that have been sent, should it have to be run again.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include "join/group_pairs.h"

#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

namespace vamhash {

/// Passes the pairs of one table after another to a sink, and keeps them until the next table
/// begins: 8 bytes each. What a table that is run again finds again is dropped.
class SentPairs final : public GroupPairSink {
  public:
    /// Keeps `most` pairs or a few thousand more; none where that is 0.
    SentPairs(GroupPairSink& sink, std::uint64_t most, unsigned workers)
        : sink_(sink), most_(most), threads_(workers) {}

    /// Of a self-join, where either group of a pair may be the left one.
    void set_self(bool self) { self_ = self; }

    // These are for the calling thread of the join, while the others sleep.

    /// Forgets all pairs, and keeps those that follow.
    void begin_table();

    /// Whether as many pairs as may be are kept: the table must not go on.
    [[nodiscard]] bool is_full() const { return most_ > 0 && count_ > most_; }

    /// Whether all pairs that were sent are known.
    [[nodiscard]] bool can_repeat() const { return most_ > 0 || count_ == 0; }

    /// What follows is the same table again, from its beginning. Where it cannot fail, what it
    /// sends is not kept.
    void repeat_table(bool can_fail);

    /// Forgets all pairs, and keeps none.
    void end_table();

    void take(unsigned worker, std::span<const GroupPair> pairs) override;

  private:
    struct Thread {
        std::vector<std::uint64_t> sent;
        std::vector<GroupPair> others;
    };

    [[nodiscard]] std::uint64_t number_of(const GroupPair& pair) const;

    GroupPairSink& sink_;
    const std::uint64_t most_;
    bool self_ = true;
    bool keep_ = false;
    std::vector<std::uint64_t> sent_; // before the table was run again; sorted
    std::vector<Thread> threads_;     // since
    std::atomic<std::uint64_t> count_ = 0;
};

} // namespace vamhash
