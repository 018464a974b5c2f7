// The join of distinct values by block combinations: cost nearly proportional to their number.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include "join/bucket.h"
#include "join/distinct.h"
#include "join/group_pairs.h"
#include "join/large_array.h"
#include "join/monitor.h"
#include "join/partition.h"
#include "join/scheme.h"
#include "join/workers.h"

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace vamhash {

class Emission;

/// Some tables of a set: [first, end).
struct Tables {
    std::size_t set;
    std::size_t first;
    std::size_t end;
};

/// Runs the tables of a scheme on the CPU: those of a set share a first partition. The values have
/// been reordered by the plan's order of bits. All tables together find each pair of values within
/// the threshold once: of different values of one set, or of the values of two.
class BlockJoin {
  public:
    BlockJoin(std::span<const TableSet> sets, int threshold, Isa isa, Workers& workers,
              Monitor& monitor, GroupPairSink& sink);
    ~BlockJoin();
    BlockJoin(const BlockJoin&) = delete;
    BlockJoin& operator=(const BlockJoin&) = delete;

    /// Runs tables on the values of two sets, of a self-join twice the same; when it returns the
    /// sink has their pairs.
    void run(const Tables& tables, const Distinct& left, const Distinct& right);

  private:
    // A table ready to run.
    struct Step {
        KeyBits key; // without the shared bits
        Comparison comparison;
        EmissionRule rule;
    };

    // The tables with the same first blocks.
    struct TableSteps {
        KeyBits key; // of some of those blocks' bits: all values are partitioned by it
        std::vector<Step> steps;
    };

    // One set of values, partitioned into chunks.
    struct Side {
        const Distinct* distinct = nullptr;
        std::vector<std::uint32_t> borders; // of the chunks
        LargeArray<std::uint64_t> hot_codes;

        [[nodiscard]] std::span<const std::uint64_t> chunk(std::size_t number) const {
            return {distinct->spare() + borders[number], borders[number + 1] - borders[number]};
        }
    };

    // What a thread has for itself.
    struct Thread;

    // The codes of a chunk in a thread, partitioned into buckets.
    struct Buckets;

    [[nodiscard]] std::span<Side> sides() { return {sides_, self_ ? 1U : 2U}; }
    [[nodiscard]] Side& right() { return sides_[self_ ? 0 : 1]; }
    std::vector<std::uint32_t> chunks_by_size();
    void run_chunk(std::span<const Step> steps, std::size_t chunk, Thread& thread);
    [[nodiscard]] bool run_step(const Step& step, std::size_t chunk, Thread& thread);
    void run_hot_chunk(std::size_t chunk, const Step& step);
    [[nodiscard]] std::uint64_t tiles(std::size_t left, std::size_t right) const;
    void compare_tile(std::span<const std::uint64_t> left, std::span<const std::uint64_t> right,
                      std::uint64_t tile, const Step& step, Emission& emission);

    const std::uint64_t most_pairs_at_once_;
    const PartitionKernels& partition_;
    const BucketKernels& bucket_;
    Workers& workers_;
    Monitor& monitor_;
    bool self_ = true;
    Side sides_[2];
    std::vector<TableSteps> sets_;
    std::vector<std::unique_ptr<Thread>> threads_;
};

} // namespace vamhash
