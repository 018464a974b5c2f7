#include "join/equal_rows.h"

#include "join/distinct.h"
#include "join/large_array.h"

#include <algorithm>
#include <atomic>
#include <unordered_map>

namespace vamhash {

namespace {

constexpr std::size_t rows_per_task = 65536;

// One code for each row, equal for equal rows: of a single column, the hashes themselves.
class RowCodes {
  public:
    RowCodes(Columns columns, Workers& workers) : columns_(columns) {
        if (columns.size() == 1) {
            codes_ = columns[0];
            return;
        }
        const std::size_t rows = columns[0].size();
        mixed_ = LargeArray<std::uint64_t>(rows);
        workers.run_tasks((rows + rows_per_task - 1) / rows_per_task,
                          [&](unsigned, std::uint64_t task) {
                              const std::size_t end = std::min((task + 1) * rows_per_task, rows);
                              for (std::size_t row = task * rows_per_task; row < end; ++row) {
                                  mixed_[row] = mix(row);
                              }
                          });
        codes_ = mixed_.first(rows);
    }

    [[nodiscard]] std::span<const std::uint64_t> codes() const { return codes_; }

  private:
    [[nodiscard]] std::uint64_t mix(std::size_t row) const {
        std::uint64_t mixed = 0;
        for (const std::span<const std::uint64_t> column : columns_) {
            mixed = (mixed ^ column[row]) * 0x9e3779b97f4a7c15;
            mixed ^= mixed >> 29;
        }
        return mixed;
    }

    Columns columns_;
    LargeArray<std::uint64_t> mixed_;
    std::span<const std::uint64_t> codes_;
};

bool equal(Columns left, std::size_t a, Columns right, std::size_t b) {
    for (std::size_t i = 0; i < left.size(); ++i) {
        if (left[i][a] != right[i][b]) {
            return false;
        }
    }
    return true;
}

// Whether the rows, whose codes are equal, are so in all columns.
bool all_equal(Columns columns, std::span<const std::uint32_t> rows) {
    return std::all_of(rows.begin(), rows.end(),
                       [&](std::uint32_t row) { return equal(columns, rows[0], columns, row); });
}

// Calls work(group) for every group.
template <typename Work>
void for_each_group(const Distinct& distinct, Workers& workers, const Work& work) {
    workers.run_tasks(distinct.chunks().size(), [&](unsigned, std::uint64_t number) {
        const Distinct::Chunk& chunk = distinct.chunks()[number];
        for (std::uint32_t i = 0; i < chunk.groups; ++i) {
            work(chunk.first_row + i);
        }
    });
}

// The pairs of rows within a group, over all groups.
std::uint64_t pairs_within(Columns columns, Workers& workers) {
    const RowCodes codes(columns, workers);
    const Distinct distinct(codes.codes(), workers);
    if (columns.size() == 1) {
        return distinct.equal_pairs();
    }
    std::atomic<std::uint64_t> pairs = 0;
    for_each_group(distinct, workers, [&](std::uint32_t group) {
        const std::span<const std::uint32_t> rows = distinct.rows(group);
        if (rows.size() > 1 && all_equal(columns, rows)) {
            pairs += rows.size() * (rows.size() - 1) / 2;
        }
    });
    return pairs;
}

// The pairs of a row of one set with the rows of a group of the other.
std::uint64_t pairs_between(Columns grouped, Columns others, Workers& workers) {
    const RowCodes grouped_codes(grouped, workers);
    const Distinct distinct(grouped_codes.codes(), workers);
    std::vector<std::uint8_t> mixed(distinct.row_count()); // by group: rows that only hash alike
    if (grouped.size() > 1) {
        for_each_group(distinct, workers, [&](std::uint32_t group) {
            mixed[group] = static_cast<std::uint8_t>(!all_equal(grouped, distinct.rows(group)));
        });
    }
    const RowCodes codes(others, workers);
    std::atomic<std::uint64_t> pairs = 0;
    const std::size_t rows = codes.codes().size();
    workers.run_tasks((rows + rows_per_task - 1) / rows_per_task,
                      [&](unsigned, std::uint64_t task) {
                          const std::size_t end = std::min((task + 1) * rows_per_task, rows);
                          std::uint64_t sum = 0;
                          for (std::size_t row = task * rows_per_task; row < end; ++row) {
                              const std::uint32_t group = distinct.find(codes.codes()[row]);
                              if (group != Distinct::none && mixed[group] == 0 &&
                                  equal(grouped, distinct.rows(group)[0], others, row)) {
                                  sum += distinct.rows(group).size();
                              }
                          }
                          pairs += sum;
                      });
    return pairs;
}

// Counts of values by Misra and Gries: every value of more than one in most_counters rows is among
// them.
class Counters {
  public:
    Counters() { counts_.reserve(2 * most_counters); }

    void count(std::span<const std::uint64_t> codes) {
        for (const std::uint64_t code : codes) {
            ++counts_[code];
            if (counts_.size() > most_counters) {
                decrement();
            }
        }
    }

    // Counts anew, only what has a counter.
    void reset() {
        for (auto& counter : counts_) {
            counter.second = 0;
        }
    }
    void count_known(std::span<const std::uint64_t> codes) {
        for (const std::uint64_t code : codes) {
            const auto counter = counts_.find(code);
            if (counter != counts_.end()) {
                ++counter->second;
            }
        }
    }

    [[nodiscard]] std::vector<TooManyPairs::Heavy> heaviest(std::size_t count) const {
        std::vector<TooManyPairs::Heavy> all;
        for (const auto& [hash, rows] : counts_) {
            if (rows > 1) {
                all.push_back({hash, rows});
            }
        }
        count = std::min(count, all.size());
        std::partial_sort(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(count), all.end(),
                          [](const auto& a, const auto& b) {
                              return a.rows != b.rows ? a.rows > b.rows : a.hash < b.hash;
                          });
        all.resize(count);
        return all;
    }

  private:
    void decrement() {
        for (auto counter = counts_.begin(); counter != counts_.end();) {
            counter = --counter->second == 0 ? counts_.erase(counter) : std::next(counter);
        }
    }

    static constexpr std::size_t most_counters = 65536;

    std::unordered_map<std::uint64_t, std::uint64_t> counts_;
};

} // namespace

std::uint64_t equal_row_pairs(const JoinInput& input, Workers& workers) {
    if (input.self) {
        return pairs_within(input.left, workers);
    }
    return input.left[0].size() < input.right[0].size()
               ? pairs_between(input.left, input.right, workers)
               : pairs_between(input.right, input.left, workers);
}

std::vector<TooManyPairs::Heavy> heaviest_hashes(std::span<const std::uint64_t> left,
                                                 std::span<const std::uint64_t> right) {
    constexpr std::size_t most_told = 5;
    Counters counters;
    counters.count(left);
    counters.count(right);
    counters.reset();
    counters.count_known(left);
    counters.count_known(right);
    return counters.heaviest(most_told);
}

} // namespace vamhash
