// Keeps the pairs of similar values, for the groups that need more of them than their components.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include "join/group_pairs.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

namespace vamhash {

/// Two groups of equal rows (join/distinct.h).
struct ValuePair {
    std::uint32_t a;
    std::uint32_t b;
};

/// A list that all threads append to at once, each to blocks of its own.
class PairList : public GroupPairSink {
  public:
    /// `reserve` is told how many bytes the list is going to have, before it has them, and throws
    /// if that is too much. Called by any thread.
    PairList(unsigned workers, std::function<void(std::uint64_t bytes)> reserve)
        : reserve_(std::move(reserve)), blocks_by_worker_(workers) {}

    void take(unsigned worker, std::span<const GroupPair> pairs) override;

    /// Closes the list. The calls that follow are the calling thread's of the join.
    void finish();

    [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
    [[nodiscard]] std::uint64_t size() const;
    [[nodiscard]] std::size_t block_count() const { return blocks_.size(); }
    [[nodiscard]] std::span<ValuePair> block(std::size_t number) const {
        return {blocks_[number].pairs.get(), blocks_[number].size};
    }

    /// Frees the memory.
    void clear() { blocks_.clear(); }

  private:
    // A thread's first block is as small as its share of a small join, the others double.
    static constexpr std::size_t smallest_block = 1024;
    static constexpr std::size_t largest_block = 65536;

    struct Block {
        std::unique_ptr<ValuePair[]> pairs;
        std::size_t size = 0;
        std::size_t capacity = 0;
    };

    std::function<void(std::uint64_t bytes)> reserve_;
    std::atomic<std::uint64_t> bytes_ = 0;
    std::vector<std::vector<Block>> blocks_by_worker_; // while the list grows
    std::vector<Block> blocks_;                        // of all, once it is closed
};

} // namespace vamhash
