// The way of found pairs to the sink.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include "join/monitor.h"
#include "join/similar_pairs.h"
#include "join/workers.h"

#include <bit>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace vamhash {

/// The columns of a join and the thresholds, as similar_pairs takes them.
struct JoinInput {
    Columns left;
    Columns right; // of a self-join the same as `left`
    std::span<const int> thresholds;
    bool self = true;     // rows are joined with rows of their own set
    bool swapped = false; // `left` is the caller's right set
    // Of a join within groups of another join (join/row_pairs.h): its rows' numbers there, whether
    // it orders the rows of a pair, and the distance in its first column, where that is known.
    std::span<const std::uint32_t> left_numbers = {};
    std::span<const std::uint32_t> right_numbers = {};
    bool ordered = self;
    std::optional<std::uint32_t> distance = {};
    std::size_t candidates = 0; // the column that finds the candidates; the others are verified

    [[nodiscard]] std::span<const std::uint64_t> left_codes() const { return left[candidates]; }
    [[nodiscard]] std::span<const std::uint64_t> right_codes() const { return right[candidates]; }
    [[nodiscard]] int threshold() const { return thresholds[candidates]; }
};

/// There are more pairs than allowed. The join adds what it can tell of them (TooManyPairs).
struct TooManyPairsFound {};

/// Hands batches of pairs to the sink, one at a time. A sink that throws stops the workers and is
/// not called again.
class PairOutput {
  public:
    /// `max_pairs` as in JoinOptions: where the sink would get more, the workers are stopped with
    /// TooManyPairsFound.
    PairOutput(const PairSink& sink, std::uint64_t max_pairs, Workers& workers, Monitor& monitor)
        : sink_(sink), max_pairs_(max_pairs), workers_(workers), monitor_(monitor) {}

    /// Throws Stopped once the workers are stopped.
    void send(std::span<const Pair> batch);
    [[nodiscard]] bool stopped() const { return workers_.stopped(); }

  private:
    const PairSink& sink_;
    const std::uint64_t max_pairs_;
    Workers& workers_;
    Monitor& monitor_;
};

/// One thread's pairs on their way to the output.
class PairBatch {
  public:
    PairBatch(const JoinInput& input, PairOutput& output) : input_(input), output_(output) {
        pairs_.reserve(batch_pairs);
    }

    /// Takes the rows of a candidate whose distance in the candidates' column is `distance`, at
    /// most the threshold there: verifies the other columns and keeps the pair. In a self-join
    /// a != b.
    void add(std::uint32_t a, std::uint32_t b, std::uint32_t distance) {
        if (input_.left.size() > 1 && !verify(a, b, distance)) {
            return;
        }
        if (input_.left_numbers.data() != nullptr) {
            a = input_.left_numbers[a];
            b = input_.right_numbers[b];
            distance = input_.distance.value_or(distance);
        }
        const bool in_order = input_.ordered ? a < b : !input_.swapped;
        pairs_.push_back(in_order ? Pair{a, b, distance} : Pair{b, a, distance});
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
        for (std::size_t i = 0; i < input_.left.size(); ++i) {
            if (i != input_.candidates) {
                const int other = std::popcount(input_.left[i][a] ^ input_.right[i][b]);
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
