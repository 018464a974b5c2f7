#include "join/row_pairs.h"

#include "join/large_array.h"
#include "join/row_join.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace vamhash {

namespace {

constexpr std::size_t rows_per_task = 1024;
// So many pairs are verified between two looks at whether another thread has failed.
constexpr std::size_t rows_at_once = 65536;

// The pairs of rows of two groups that are verified one by one: some tens of milliseconds' work.
// Of very many rows more, so that there are at most 2^20 larger pairs of groups to remember. With a
// single column there is nothing to verify.
double most_to_verify(const JoinInput& input) {
    if (input.left.size() == 1) {
        return std::numeric_limits<double>::max();
    }
    const double all =
        static_cast<double>(input.left[0].size()) * static_cast<double>(input.right[0].size());
    return std::max(double(1 << 24), all / (1 << 20));
}

// The columns of some rows but one, copied together.
class RowsOfColumns {
  public:
    RowsOfColumns(Columns columns, std::size_t without, std::span<const std::uint32_t> rows,
                  Workers& workers) {
        for (std::size_t i = 0; i < columns.size(); ++i) {
            if (i == without) {
                continue;
            }
            LargeArray<std::uint64_t>& codes = codes_.emplace_back(rows.size());
            workers.run_tasks(
                (rows.size() + rows_at_once - 1) / rows_at_once, [&](unsigned, std::uint64_t task) {
                    const std::size_t end = std::min((task + 1) * rows_at_once, rows.size());
                    for (std::size_t j = task * rows_at_once; j < end; ++j) {
                        codes[j] = columns[i][rows[j]];
                    }
                });
            spans_.emplace_back(codes.first(rows.size()));
        }
    }

    [[nodiscard]] Columns columns() const { return spans_; }

  private:
    std::vector<LargeArray<std::uint64_t>> codes_;
    std::vector<std::span<const std::uint64_t>> spans_;
};

// What a join of so many rows within groups takes.
std::uint64_t bytes_to_join(std::size_t rows, std::size_t columns, unsigned threads) {
    return rows * columns * sizeof(std::uint64_t) + Distinct::most_bytes(rows) +
           threads * bytes_per_thread + bytes_of_plan;
}

} // namespace

RowPairs::RowPairs(const JoinInput& input, Isa isa, std::uint64_t bytes, Workers& workers,
                   Monitor& monitor, PairOutput& output)
    : input_(input), isa_(isa), bytes_(bytes), most_to_verify_(most_to_verify(input)),
      workers_(workers), monitor_(monitor), output_(output) {
    for (unsigned i = 0; i < workers.count(); ++i) {
        threads_.push_back(std::make_unique<Thread>(input, output));
    }
}

// Adds the pairs of a row with others.
void RowPairs::multiply(std::uint32_t a, std::span<const std::uint32_t> rows,
                        std::uint32_t distance, PairBatch& batch) {
    for (std::size_t first = 0; first < rows.size(); first += rows_at_once) {
        workers_.check();
        const std::size_t end = std::min(first + rows_at_once, rows.size());
        for (std::size_t i = first; i < end; ++i) {
            batch.add(a, rows[i], distance);
        }
    }
}

void RowPairs::take(unsigned worker, std::span<const GroupPair> pairs) {
    for (const GroupPair& pair : pairs) {
        const std::span<const std::uint32_t> left = left_->rows(pair.left);
        const std::span<const std::uint32_t> right = right_->rows(pair.right);
        if (is_large(left.size(), right.size())) {
            threads_[worker]->large.push_back(pair);
            continue;
        }
        for (const std::uint32_t a : left) {
            multiply(a, right, pair.distance, threads_[worker]->batch);
        }
    }
}

void RowPairs::send_equal() {
    const std::size_t rows = left_->row_count();
    if (left_->values().size() == rows) {
        return;
    }
    workers_.run_tasks(
        (rows + rows_per_task - 1) / rows_per_task,
        [&](unsigned worker, std::uint64_t task) { send_equal(task, *threads_[worker]); });
}

// Adds the pairs of rows_per_task rows, number `task` of those in the groups' order, with the rows
// of their group behind them.
void RowPairs::send_equal(std::uint64_t task, Thread& thread) {
    const std::span<const Distinct::Chunk> chunks = left_->chunks();
    const std::size_t begin = task * rows_per_task;
    const std::size_t end = std::min(begin + rows_per_task, left_->row_count());
    auto chunk = std::upper_bound(
                     chunks.begin(), chunks.end(), begin,
                     [](std::size_t row, const Distinct::Chunk& c) { return row < c.first_row; }) -
                 1;
    for (; chunk != chunks.end() && chunk->first_row < end; ++chunk) {
        for (std::uint32_t i = left_->group_at(*chunk, begin);
             i < chunk->groups && left_->start(chunk->first_row + i) < end; ++i) {
            const std::uint32_t group = chunk->first_row + i;
            const std::span<const std::uint32_t> rows = left_->rows(group);
            const std::size_t start = left_->start(group);
            if (is_large(rows.size(), rows.size() / 2)) {
                if (start >= begin) {
                    thread.large.push_back({group, group, 0});
                }
                continue;
            }
            const std::size_t last = std::min(end - start, rows.size());
            for (std::size_t a = std::max(begin, start) - start; a < last; ++a) {
                multiply(rows[a], rows.subspan(a + 1), 0, thread.batch);
            }
        }
    }
}

void RowPairs::join_large() {
    for (const std::unique_ptr<Thread>& thread : threads_) {
        for (const LargePair& pair : std::exchange(thread->large, {})) {
            join_large(pair);
        }
    }
}

// Joins the rows of two groups in the columns that did not find them.
void RowPairs::join_large(const LargePair& pair) {
    const bool same = left_ == right_ && pair.left == pair.right;
    const std::span<const std::uint32_t> left = left_->rows(pair.left);
    const std::span<const std::uint32_t> right = right_->rows(pair.right);
    const std::size_t rows = left.size() + (same ? 0 : right.size());
    const std::size_t without = input_.candidates;
    if (bytes_to_join(rows, input_.left.size() - 1, workers_.count()) > bytes_) {
        verify_large(pair);
        return;
    }
    const RowsOfColumns left_columns(input_.left, without, left, workers_);
    const RowsOfColumns right_columns(input_.right, without,
                                      same ? std::span<const std::uint32_t>() : right, workers_);
    std::vector<int> thresholds(input_.thresholds.begin(), input_.thresholds.end());
    thresholds.erase(thresholds.begin() + static_cast<std::ptrdiff_t>(without));
    // Rows of this join may themselves be rows of groups of another one.
    const auto numbers = [](std::span<const std::uint32_t> of,
                            std::span<const std::uint32_t> numbered) {
        std::vector<std::uint32_t> rows_there(of.begin(), of.end());
        for (std::uint32_t& row : rows_there) {
            row = numbered.empty() ? row : numbered[row];
        }
        return rows_there;
    };
    const std::vector<std::uint32_t> left_numbers = numbers(left, input_.left_numbers);
    const std::vector<std::uint32_t> right_numbers = numbers(right, input_.right_numbers);
    JoinInput within{.left = left_columns.columns(),
                     .right = same ? left_columns.columns() : right_columns.columns(),
                     .thresholds = thresholds,
                     .self = same,
                     .swapped = input_.swapped,
                     .left_numbers = left_numbers,
                     .right_numbers = right_numbers,
                     .ordered = input_.ordered,
                     .distance = input_.distance};
    if (!within.distance && without == 0) {
        within.distance = pair.distance;
    }
    const Monitor::Nested nested(monitor_);
    JoinReport report;
    join_rows(within, {.isa = isa_}, workers_, monitor_, output_, report);
}

// Verifies the pairs of rows of two groups, by all threads.
void RowPairs::verify_large(const LargePair& pair) {
    const bool same = left_ == right_ && pair.left == pair.right;
    const std::span<const std::uint32_t> left = left_->rows(pair.left);
    const std::span<const std::uint32_t> right = right_->rows(pair.right);
    workers_.run_tasks(left.size(), [&](unsigned worker, std::uint64_t i) {
        multiply(left[i], same ? right.subspan(i + 1) : right, pair.distance,
                 threads_[worker]->batch);
    });
}

void RowPairs::finish() {
    workers_.run([&](unsigned worker) { threads_[worker]->batch.send(); });
}

} // namespace vamhash
