// The way of found pairs to the sink.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include "join/similar_pairs.h"
#include "join/workers.h"

#include <bit>
#include <cstdint>
#include <mutex>
#include <span>
#include <vector>

namespace vamhash {

/// The columns of a join and the thresholds, as similar_pairs takes them.
struct JoinInput {
    std::span<const std::span<const std::uint64_t>> columns;
    std::span<const int> thresholds;
    std::size_t candidates = 0; // the column that finds the candidates; the others are verified

    [[nodiscard]] std::span<const std::uint64_t> codes() const { return columns[candidates]; }
    [[nodiscard]] int threshold() const { return thresholds[candidates]; }
};

/// Hands batches of pairs to the sink, one at a time. A sink that throws stops the workers and is
/// not called again.
class PairOutput {
  public:
    PairOutput(const PairSink& sink, Workers& workers) : sink_(sink), workers_(workers) {}

    void send(std::span<const Pair> batch);
    [[nodiscard]] bool stopped() const { return workers_.stopped(); }

  private:
    const PairSink& sink_;
    Workers& workers_;
    std::mutex mutex_; // guards sink_
};

/// One thread's pairs on their way to the output.
class PairBatch {
  public:
    PairBatch(const JoinInput& input, PairOutput& output) : input_(input), output_(output) {
        pairs_.reserve(batch_pairs);
    }

    /// Takes the rows of a candidate, a != b, whose distance in the candidates' column is
    /// `distance`, at most the threshold there: verifies the other columns and keeps the pair.
    void add(std::uint32_t a, std::uint32_t b, std::uint32_t distance) {
        if (input_.columns.size() > 1 && !verify(a, b, distance)) {
            return;
        }
        pairs_.push_back(a < b ? Pair{a, b, distance} : Pair{b, a, distance});
        if (pairs_.size() == batch_pairs) {
            send();
        }
    }

    void send() {
        output_.send(pairs_);
        pairs_.clear();
    }

    [[nodiscard]] bool stopped() const { return output_.stopped(); }

  private:
    static constexpr std::size_t batch_pairs = 8192;

    // Whether the other columns agree; sets the distance to that in the first column.
    [[nodiscard]] bool verify(std::uint32_t a, std::uint32_t b, std::uint32_t& distance) const {
        for (std::size_t i = 0; i < input_.columns.size(); ++i) {
            if (i != input_.candidates) {
                const int other = std::popcount(input_.columns[i][a] ^ input_.columns[i][b]);
                if (other > input_.thresholds[i]) {
                    return false;
                }
                if (i == 0) {
                    distance = other;
                }
            }
        }
        return true;
    }

    const JoinInput& input_;
    PairOutput& output_;
    std::vector<Pair> pairs_;
};

} // namespace vamhash
