// Exact joins within a Hamming distance: arrays of 64-bit hashes in, pairs of row numbers out.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include "join/device_source.h"
#include "join/report.h"
#include "simd/isa.h"

#include <cstdint>
#include <functional>
#include <span>
#include <stdexcept>
#include <vector>

namespace vamhash {

/// Rows a and b, counted from 0, whose distance in the first column is `distance`. In a self-join
/// a < b; otherwise a is a row of the left set and b one of the right.
struct Pair {
    std::uint32_t a;
    std::uint32_t b;
    std::uint32_t distance;
};

/// Takes found pairs, batch by batch. Called by any thread of the join, but by one at a time; a
/// slow sink slows the join. What it throws ends the join: the join throws it again, and the sink
/// is not called any more.
using PairSink = std::function<void(std::span<const Pair>)>;

enum class JoinMethod : std::uint32_t {
    automatic = 0, // by expected cost
    blocks = 1,    // by block combinations
    brute = 2,     // compares every row with every other
    faiss = 3,     // FAISS's IndexBinaryFlat, where its plugin is installed
};

struct JoinOptions {
    unsigned threads = 0; // 0: all cores this process may use
    Isa isa = best_isa();
    JoinMethod method = JoinMethod::automatic;
    std::uint64_t memory_limit = 0; // bytes, the columns included; 0: none
    std::uint64_t max_pairs = 0;    // 0: none
    ProgressSink progress = {};
    DeviceOptions device = {}; // `faiss` uses none
};

/// The join would give more than max_pairs pairs.
class TooManyPairs : public std::runtime_error {
  public:
    struct Heavy {
        std::uint64_t hash; // in the column that found the candidates
        std::uint64_t rows; // that have it, of both sets
    };

    TooManyPairs(std::uint64_t max_pairs, std::vector<Heavy> heaviest);

    /// The hashes that most rows share, at most five, the heaviest first.
    [[nodiscard]] const std::vector<Heavy>& heaviest() const { return heaviest_; }

  private:
    std::vector<Heavy> heaviest_;
};

/// The join does not fit in its memory_limit.
class JoinMemoryExceeded : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// The method asked for is a plugin that is not installed, or cannot be loaded; the reason is said.
class JoinMethodMissing : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// The columns of a set of rows: of one length, at least one and at most 8.
using Columns = std::span<const std::span<const std::uint64_t>>;

/// Finds every pair of rows a < b with hamming(columns[i][a], columns[i][b]) <= thresholds[i] for
/// all i. The thresholds lie in 0 .. 64. Each pair is given once, in no particular order, as it is
/// found. Memory: about 30 bytes a row, and buffers for each thread, besides what the sink keeps. A
/// join of few rows runs on the calling thread; the threads of larger ones block all signals.
/// Throws std::invalid_argument for arguments out of these limits and for more than 2^32 - 1 rows;
/// TooManyPairs: before any comparison where the pairs of rows equal in all columns are too many;
/// JoinMemoryExceeded; JoinMethodMissing. Where a device is required: NoDevice, DeviceFailed and
/// DeviceMemoryExceeded (device/device.h).
JoinReport similar_pairs(Columns columns, std::span<const int> thresholds,
                         const JoinOptions& options, const PairSink& sink);

/// Finds every pair of a row a of `left` and a row b of `right` with
/// hamming(left[i][a], right[i][b]) <= thresholds[i] for all i; otherwise as similar_pairs.
JoinReport similar_pairs_between(Columns left, Columns right, std::span<const int> thresholds,
                                 const JoinOptions& options, const PairSink& sink);

} // namespace vamhash
