// The choice between brute force and the join by block combinations.
//
// Few rows are joined by brute force at once. Otherwise the column that finds the candidates is
// chosen, by the expected cost of a join in that column alone; its rows are grouped by value, and
// the join of the distinct values is planned. Where brute force is cheaper, by the same estimate,
// it compares the rows, or, where many of them are equal, the distinct values in a single bucket.
#include "join/similar_pairs.h"

#include "join/block_join.h"
#include "join/brute_force.h"
#include "join/distinct.h"
#include "join/pair_output.h"
#include "join/scheme.h"
#include "join/workers.h"

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

namespace vamhash {

namespace {

using Columns = std::span<const std::span<const std::uint64_t>>;

constexpr std::size_t most_columns = 8;
// Up to so many rows, brute force takes less time than to plan something better.
constexpr std::size_t most_rows_for_brute_force = 4096;
constexpr std::size_t smallest_sample = 2048;
constexpr std::size_t largest_sample = 8192;
constexpr std::size_t rows_per_sample = 64;
constexpr double seconds_per_equal_pair = 2e-9;

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

std::size_t sample_size(std::size_t rows) {
    return std::min(rows, std::clamp(rows / rows_per_sample, smallest_sample, largest_sample));
}

// The expected seconds of a join in one column.
double expected_seconds(std::span<const std::uint64_t> codes, int threshold, Isa isa) {
    const std::size_t rows = codes.size();
    const std::size_t size = sample_size(rows);
    std::vector<std::uint64_t> sample(size);
    for (std::size_t i = 0; i < size; ++i) {
        sample[i] = codes[i * rows / size];
    }
    std::sort(sample.begin(), sample.end());
    double equal_pairs = 0;
    for (std::size_t i = 1, first = 0; i < size; ++i) {
        first = sample[i] == sample[first] ? first : i;
        equal_pairs += static_cast<double>(i - first);
    }
    sample.erase(std::unique(sample.begin(), sample.end()), sample.end());
    const double scale = static_cast<double>(rows) / static_cast<double>(size);
    const Plan plan = plan_join({.sample = sample,
                                 .values = scale * static_cast<double>(sample.size()),
                                 .threshold = threshold,
                                 .isa = isa,
                                 .allow_one_bucket = true});
    return plan.seconds + equal_pairs * scale * scale * seconds_per_equal_pair;
}

// The column of the cheapest join.
std::size_t candidates_column(Columns columns, std::span<const int> thresholds, Isa isa) {
    std::size_t best = 0;
    double least = std::numeric_limits<double>::max();
    for (std::size_t i = 0; columns.size() > 1 && i < columns.size(); ++i) {
        const double seconds = expected_seconds(columns[i], thresholds[i], isa);
        if (seconds < least) {
            least = seconds;
            best = i;
        }
    }
    return best;
}

} // namespace

void similar_pairs(Columns columns, std::span<const int> thresholds, const JoinOptions& options,
                   const PairSink& sink) {
    check_arguments(columns, thresholds);
    const std::size_t rows = columns[0].size();
    Workers workers(thread_count(options.threads, rows));
    PairOutput output(sink, workers);
    JoinInput input{columns, thresholds};
    if (options.method == JoinMethod::brute ||
        (options.method == JoinMethod::automatic && rows <= most_rows_for_brute_force)) {
        brute_force(input, options.isa, workers, output);
        return;
    }
    input.candidates = candidates_column(columns, thresholds, options.isa);
    Distinct distinct(input.codes(), workers);
    const std::size_t values = distinct.values().size();
    const Plan plan = plan_join({.sample = distinct.values().first(sample_size(values)),
                                 .values = static_cast<double>(values),
                                 .threshold = input.threshold(),
                                 .isa = options.isa,
                                 .allow_one_bucket = options.method == JoinMethod::automatic});
    if (plan.one_bucket && options.method == JoinMethod::automatic && values > rows / 2) {
        brute_force(input, options.isa, workers, output);
        return;
    }
    if (plan.order.changes()) {
        distinct.reorder(plan.order, workers);
    }
    block_join(input, plan, distinct, options.isa, workers, output);
}

} // namespace vamhash
