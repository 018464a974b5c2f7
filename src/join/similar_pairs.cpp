// The self-join by brute force.
//
// Rows are cut into blocks, and the upper triangle of the comparison matrix into tiles of one block
// against another (or itself). Threads take tiles by an atomic counter. A tile is compared strip by
// strip (join/tile.h) in the first column; hits are verified in the further columns and collected
// into batches, which go to the sink under a mutex. The calling thread is one of the workers.
//
// The first failure of any thread, such as an exception thrown by the sink, stops all of them: they
// look at a flag before each strip and before each batch.
#include "join/similar_pairs.h"

#include "join/tile.h"

#include <pthread.h>
#ifdef __linux__
#include <sched.h>
#endif

#include <algorithm>
#include <atomic>
#include <bit>
#include <csignal>
#include <exception>
#include <limits>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace vamhash {

namespace {

using Columns = std::span<const std::span<const std::uint64_t>>;

// Two blocks of codes take 16 KiB: half of a usual first-level cache.
constexpr std::uint64_t block_rows = 1024;
static_assert(block_rows <= max_block_codes);
// The hits of one strip of all-equal codes take 512 KiB, of which usual data touches little.
constexpr std::uint64_t strip_rows = 64;
constexpr std::size_t batch_pairs = 8192;
// So few rows are compared in milliseconds: threads would not help.
constexpr std::size_t largest_join_on_one_thread = 4096;
constexpr std::size_t most_columns = 8;

struct Tile {
    std::uint64_t row_block;
    std::uint64_t column_block; // not before row_block
};

// The tiles of the upper triangle of blocks x blocks, numbered.
class Triangle {
  public:
    explicit Triangle(std::uint64_t blocks) : blocks_(blocks) {}

    [[nodiscard]] std::uint64_t tiles() const { return blocks_ * (blocks_ + 1) / 2; }

    // Folds the triangle into a rectangle: row r of it, which has blocks - r tiles, is followed by
    // the r + 1 tiles of the row that is as far from the end.
    [[nodiscard]] Tile tile(std::uint64_t number) const {
        const std::uint64_t row = number / (blocks_ + 1);
        const std::uint64_t column = number % (blocks_ + 1);
        if (column < blocks_ - row) {
            return {row, row + column};
        }
        return {blocks_ - 1 - row, column - 1};
    }

  private:
    std::uint64_t blocks_;
};

// One call of similar_pairs: what its threads share.
class Join {
  public:
    Join(Columns columns, std::span<const int> thresholds, Isa isa, const PairSink& sink)
        : columns_(columns), thresholds_(thresholds), sink_(sink), compare_(compare_tile_for(isa)),
          triangle_((columns[0].size() + block_rows - 1) / block_rows) {}

    [[nodiscard]] std::uint64_t tiles() const { return triangle_.tiles(); }
    void run(unsigned threads);

  private:
    // A thread's own buffers.
    struct Buffers {
        std::unique_ptr<Hit[]> hits =
            std::make_unique_for_overwrite<Hit[]>(strip_rows * block_rows + hit_slack);
        std::vector<Pair> batch;
    };

    void work() noexcept;
    void compare(Tile tile, Buffers& buffers);
    [[nodiscard]] bool further_columns_agree(std::uint64_t a, std::uint64_t b) const;
    void send(std::vector<Pair>& batch);
    void fail(std::exception_ptr reason) noexcept;

    Columns columns_;
    std::span<const int> thresholds_;
    const PairSink& sink_;
    CompareTile* compare_;
    Triangle triangle_;
    std::atomic<std::uint64_t> next_tile_ = 0;
    std::atomic<bool> stopped_ = false;
    std::mutex mutex_; // guards sink_ and failure_
    std::exception_ptr failure_;
};

// Blocks all signals while it lives, so that threads created meanwhile never run a signal handler.
class BlockedSignals {
  public:
    BlockedSignals() {
        sigset_t all;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    ~BlockedSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
    BlockedSignals(const BlockedSignals&) = delete;
    BlockedSignals& operator=(const BlockedSignals&) = delete;

  private:
    sigset_t before_{};
};

// Does the whole join on the calling thread and threads - 1 others; throws the first failure.
void Join::run(unsigned threads) {
    {
        std::vector<std::jthread> others;
        try {
            const BlockedSignals blocked;
            for (unsigned i = 1; i < threads; ++i) {
                others.emplace_back([this] { work(); });
            }
        } catch (...) {
            fail(std::current_exception());
        }
        work();
    }
    if (failure_) {
        std::rethrow_exception(failure_);
    }
}

// Takes tiles until none is left or a thread has failed.
void Join::work() noexcept {
    try {
        Buffers buffers;
        buffers.batch.reserve(batch_pairs);
        while (!stopped_) {
            const std::uint64_t number = next_tile_.fetch_add(1, std::memory_order_relaxed);
            if (number >= tiles()) {
                break;
            }
            compare(triangle_.tile(number), buffers);
        }
        send(buffers.batch);
    } catch (...) {
        fail(std::current_exception());
    }
}

// Finds the pairs of a tile. On the diagonal a strip begins at its own first row, and what lies
// left of the diagonal is left out.
void Join::compare(Tile tile, Buffers& buffers) {
    const std::span<const std::uint64_t> codes = columns_[0];
    const std::uint64_t rows_end = std::min((tile.row_block + 1) * block_rows, codes.size());
    const std::uint64_t columns_end = std::min((tile.column_block + 1) * block_rows, codes.size());
    for (std::uint64_t row = tile.row_block * block_rows; row < rows_end; row += strip_rows) {
        if (stopped_) {
            return;
        }
        const std::uint64_t column = std::max(row, tile.column_block * block_rows);
        const std::size_t hits = compare_(codes.data() + row, std::min(strip_rows, rows_end - row),
                                          codes.data() + column, columns_end - column,
                                          thresholds_[0], buffers.hits.get());
        for (const Hit& hit : std::span(buffers.hits.get(), hits)) {
            const std::uint64_t a = row + hit.a;
            const std::uint64_t b = column + hit.b;
            if (a < b && further_columns_agree(a, b)) {
                buffers.batch.push_back(
                    {static_cast<std::uint32_t>(a), static_cast<std::uint32_t>(b), hit.distance});
                if (buffers.batch.size() == batch_pairs) {
                    send(buffers.batch);
                }
            }
        }
    }
}

// Verifies a candidate, found in the first column, in the others.
bool Join::further_columns_agree(std::uint64_t a, std::uint64_t b) const {
    for (std::size_t i = 1; i < columns_.size(); ++i) {
        if (std::popcount(columns_[i][a] ^ columns_[i][b]) > thresholds_[i]) {
            return false;
        }
    }
    return true;
}

// Hands a batch to the sink, unless a thread has failed, and empties it.
void Join::send(std::vector<Pair>& batch) {
    if (!batch.empty()) {
        const std::lock_guard lock(mutex_);
        if (!stopped_) {
            try {
                sink_(batch);
            } catch (...) {
                // Under the lock, so that the sink is not called again after it has thrown.
                stopped_ = true;
                failure_ = std::current_exception();
            }
        }
    }
    batch.clear();
}

// Stops all threads; the first reason is kept.
void Join::fail(std::exception_ptr reason) noexcept {
    const std::lock_guard lock(mutex_);
    if (!stopped_) {
        stopped_ = true;
        failure_ = std::move(reason);
    }
}

// Throws std::invalid_argument unless the arguments are within similar_pairs' limits.
void check_arguments(Columns columns, std::span<const int> thresholds) {
    if (columns.empty() || columns.size() > most_columns) {
        throw std::invalid_argument("a join takes 1 to 8 columns of hashes, not " +
                                    std::to_string(columns.size()));
    }
    if (thresholds.size() != columns.size()) {
        throw std::invalid_argument("a join of " + std::to_string(columns.size()) +
                                    " columns takes as many thresholds, not " +
                                    std::to_string(thresholds.size()));
    }
    for (const int threshold : thresholds) {
        if (threshold < 0 || threshold > 64) {
            throw std::invalid_argument("the distance of two hashes lies in 0 .. 64: threshold " +
                                        std::to_string(threshold) + " is out of range");
        }
    }
    for (const std::span<const std::uint64_t> column : columns) {
        if (column.size() != columns[0].size()) {
            throw std::invalid_argument("the columns of a join have one length, not " +
                                        std::to_string(columns[0].size()) + " and " +
                                        std::to_string(column.size()) + " rows");
        }
    }
    if (columns[0].size() > std::numeric_limits<std::uint32_t>::max()) {
        throw std::invalid_argument("a join takes up to 4294967295 rows, not " +
                                    std::to_string(columns[0].size()));
    }
}

// The number of cores this process may use.
unsigned usable_cores() {
#ifdef __linux__
    cpu_set_t cores;
    if (sched_getaffinity(0, sizeof cores, &cores) == 0) {
        return CPU_COUNT(&cores);
    }
    // The machine has more cores than a cpu_set_t.
#endif
    return std::max(1U, std::thread::hardware_concurrency());
}

// The number of threads for a join of `rows` rows in `tiles` tiles.
unsigned thread_count(unsigned wanted, std::size_t rows, std::uint64_t tiles) {
    if (rows <= largest_join_on_one_thread) {
        return 1;
    }
    return std::min<std::uint64_t>(wanted == 0 ? usable_cores() : wanted, tiles);
}

} // namespace

void similar_pairs(Columns columns, std::span<const int> thresholds, const JoinOptions& options,
                   const PairSink& sink) {
    check_arguments(columns, thresholds);
    Join join(columns, thresholds, options.isa, sink);
    join.run(thread_count(options.threads, columns[0].size(), join.tiles()));
}

} // namespace vamhash
