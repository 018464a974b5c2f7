#include "join/similar_pairs.h"

#include "join/monitor.h"
#include "join/pair_output.h"
#include "join/row_join.h"
#include "join/workers.h"

#include <limits>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace vamhash {

namespace {

constexpr std::size_t most_columns = 8;

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

// The message of TooManyPairs.
std::string too_many(std::uint64_t max_pairs) {
    return "the join finds more than " + std::to_string(max_pairs) + " pairs";
}

JoinReport join(const JoinInput& input, const JoinOptions& options, const PairSink& sink) {
    const std::size_t rows = input.left[0].size() + (input.self ? 0 : input.right[0].size());
    Workers workers(thread_count(options.threads, rows));
    Monitor monitor(options.progress, workers);
    PairOutput output(sink, options.max_pairs, workers, monitor);
    JoinReport report;
    report.isa = isa_name(options.isa);
    report.threads = workers.count();
    join_rows(input, options, workers, monitor, output, report);
    monitor.end();
    monitor.write(report);
    return report;
}

} // namespace

TooManyPairs::TooManyPairs(std::uint64_t max_pairs, std::vector<Heavy> heaviest)
    : std::runtime_error(too_many(max_pairs)), heaviest_(std::move(heaviest)) {}

JoinReport similar_pairs(Columns columns, std::span<const int> thresholds,
                         const JoinOptions& options, const PairSink& sink) {
    check_arguments(columns, thresholds);
    return join({.left = columns, .right = columns, .thresholds = thresholds}, options, sink);
}

JoinReport similar_pairs_between(Columns left, Columns right, std::span<const int> thresholds,
                                 const JoinOptions& options, const PairSink& sink) {
    check_arguments(left, thresholds);
    check_arguments(right, thresholds);
    return join({.left = left, .right = right, .thresholds = thresholds, .self = false}, options,
                sink);
}

} // namespace vamhash
