// Self-joins of made hashes: brute force, and the join by block combinations.
//
// brute: pairs compared a second of uniform hashes (rows * (rows - 1) / 2, by the wall clock). At
// threshold 64 all of them go to the sink, too.
// blocks: seconds a join of uniform hashes with 5 % planted near-duplicates, of skewed ones with 30
// % of the rows in 50 heavy values (hash_data.h), and of difference hashes of smooth pictures;
// found: pairs given to the sink, which counts them only. Of the skewed ones nearly all are pairs
// of equal hashes. between: seconds a join of two sets, the right one of which has 5 % of
// near-duplicates of the left one's. limited: seconds a join within so many megabytes, the columns
// included; passes: over ranges of keys. With VAMHASH_BENCH_LARGE=1 in the environment, blocks has
// 5 * 10^7 rows, too.
#include "hash_data.h"
#include "join/similar_pairs.h"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <numbers>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace vamhash {
namespace {

using Column = Hashes;

enum Data : std::int64_t { uniform, planted, skewed, smooth };

constexpr std::array data_names{"uniform", "planted", "skewed", "smooth"};

// Without photographs, from uniform hashes in their place.
Column skewed_codes(std::size_t rows) {
    return skewed_hashes(rows, uniform_hashes(100));
}

// Difference hashes of pictures of 9 x 8 pixels: sums of waves, the longer the stronger, and noise.
Column smooth_codes(std::size_t rows) {
    constexpr int waves = 4;
    std::mt19937_64 random(4);
    std::normal_distribution<double> normal;
    Column codes(rows);
    for (std::uint64_t& code : codes) {
        double picture[8][9] = {};
        for (int i = 0; i < waves * waves; ++i) {
            const double fy = i / waves * 0.5;
            const double fx = i % waves * 0.5;
            const double strength = normal(random) / (1 + 4 * (fy * fy + fx * fx));
            const double phase = std::generate_canonical<double, 53>(random) * 2 * std::numbers::pi;
            for (int y = 0; y < 8; ++y) {
                for (int x = 0; x < 9; ++x) {
                    picture[y][x] += strength * std::cos(fy * y + fx * x + phase);
                }
            }
        }
        for (auto& line : picture) {
            for (double& pixel : line) {
                pixel += 0.03 * normal(random);
            }
            for (int x = 0; x < 8; ++x) {
                code = code << 1 | static_cast<std::uint64_t>(line[x] < line[x + 1]);
            }
        }
    }
    return codes;
}

// The hashes, made once; those of the last call are kept.
const Column& codes_of(std::int64_t data, std::size_t rows) {
    static std::pair<std::int64_t, Column> last{-1, {}};
    if (last.first != data || last.second.size() != rows) {
        Column (*const make[])(std::size_t) = {uniform_hashes, planted_hashes, skewed_codes,
                                               smooth_codes};
        last = {data, make[data](rows)};
    }
    return last.second;
}

// Joins as often as the state wants; returns the pairs given to the sink, each time.
std::size_t join(benchmark::State& state, const Column& codes, JoinMethod method) {
    const JoinOptions options{.threads = static_cast<unsigned>(state.range(1)),
                              .isa = available_isas()[state.range(0)],
                              .method = method};
    const std::array columns{std::span(codes)};
    const std::array thresholds{static_cast<int>(state.range(3))};
    std::size_t found = 0;
    while (state.KeepRunning()) {
        found = 0;
        similar_pairs(columns, thresholds, options,
                      [&](std::span<const Pair> batch) { found += batch.size(); });
    }
    return found;
}

JoinOptions options_of(const benchmark::State& state) {
    return {.threads = static_cast<unsigned>(state.range(1)),
            .isa = available_isas()[state.range(0)]};
}

// As many near-duplicates of rows of `of` as 5 % of the rows.
Column near_codes(std::size_t rows, const Column& of) {
    std::mt19937_64 random(5);
    Column codes(rows);
    for (std::uint64_t& code : codes) {
        code = random();
        if (random() % 20 == 0) {
            const std::uint64_t near = of[random() % of.size()];
            code = flip_bits(near, static_cast<unsigned>(random() % 12), random);
        }
    }
    return codes;
}

void between(benchmark::State& state) {
    const Column left = uniform_hashes(state.range(2));
    const Column right = near_codes(state.range(3), left);
    const std::array left_columns{std::span(left)};
    const std::array right_columns{std::span(right)};
    const std::array thresholds{static_cast<int>(state.range(4))};
    std::size_t found = 0;
    JoinReport report;
    while (state.KeepRunning()) {
        found = 0;
        report = similar_pairs_between(left_columns, right_columns, thresholds, options_of(state),
                                       [&](std::span<const Pair> batch) { found += batch.size(); });
    }
    state.counters["found"] = static_cast<double>(found);
    state.SetLabel(report.scheme);
}

void limited(benchmark::State& state) {
    const Column& codes = codes_of(planted, state.range(2));
    const std::array columns{std::span(codes)};
    const std::array thresholds{static_cast<int>(state.range(3))};
    JoinOptions options = options_of(state);
    options.memory_limit = static_cast<std::uint64_t>(state.range(4)) << 20;
    JoinReport report;
    while (state.KeepRunning()) {
        report = similar_pairs(columns, thresholds, options, [](std::span<const Pair>) {});
    }
    state.counters["found"] = static_cast<double>(report.pairs);
    state.counters["passes"] = static_cast<double>(report.passes);
    state.SetLabel(report.scheme);
}

void brute(benchmark::State& state) {
    const Column& codes = codes_of(uniform, state.range(2));
    benchmark::DoNotOptimize(join(state, codes, JoinMethod::brute));
    const auto rows = static_cast<double>(codes.size());
    state.counters["pairs/s"] =
        benchmark::Counter(rows * (rows - 1) / 2, benchmark::Counter::kIsIterationInvariantRate);
    state.SetLabel(std::string(isa_name(available_isas()[state.range(0)])));
}

void every_isa(benchmark::internal::Benchmark* benchmark) {
    benchmark->ArgNames({"isa", "threads", "rows", "threshold"});
    for (std::size_t i = 0; i < available_isas().size(); ++i) {
        const auto isa = static_cast<std::int64_t>(i);
        const std::int64_t rows = available_isas()[i] == Isa::scalar ? 16384 : 65536;
        for (const std::int64_t threshold : {5, 8, 10}) {
            benchmark->Args({isa, 1, rows, threshold});
        }
        benchmark->Args({isa, 2, rows, 8});
        benchmark->Args({isa, 1, 100, 8});
        benchmark->Args({isa, 1, 1000, 8});
        benchmark->Args({isa, 1, 8192, 64});
    }
}

void blocks(benchmark::State& state) {
    const Column& codes = codes_of(state.range(4), state.range(2));
    const auto found = static_cast<double>(join(state, codes, JoinMethod::automatic));
    state.counters["found"] = found;
    state.counters["rows/s"] = benchmark::Counter(static_cast<double>(codes.size()),
                                                  benchmark::Counter::kIsIterationInvariantRate);
    state.SetLabel(std::string(isa_name(available_isas()[state.range(0)])) + " " +
                   data_names[state.range(4)]);
}

void data_and_rows(benchmark::internal::Benchmark* benchmark) {
    benchmark->ArgNames({"isa", "threads", "rows", "threshold", "data"});
    const auto best = static_cast<std::int64_t>(available_isas().size()) - 1;
    for (const std::int64_t rows : {10000, 100000, 1000000, 10000000}) {
        for (const std::int64_t threshold : {2, 5, 8, 10}) {
            if (rows < 10000000 || threshold <= 8) {
                benchmark->Args({best, 2, rows, threshold, planted});
            }
        }
    }
    for (const std::int64_t threshold : {2, 5, 8, 10}) {
        benchmark->Args({best, 1, 1000000, threshold, planted});
        benchmark->Args({std::min<std::int64_t>(1, best), 2, 1000000, threshold, planted});
    }
    for (const std::int64_t threshold : {2, 5, 8, 10}) {
        benchmark->Args({best, 2, 100000, threshold, skewed});
    }
    if (std::getenv("VAMHASH_BENCH_LARGE") != nullptr) {
        benchmark->Args({best, 2, 50000000, 5, planted});
    }
    for (const std::int64_t threshold : {2, 5, 8}) {
        benchmark->Args({best, 2, 100000, threshold, smooth});
    }
}

void two_sets(benchmark::internal::Benchmark* benchmark) {
    benchmark->ArgNames({"isa", "threads", "left", "right", "threshold"});
    const auto best = static_cast<std::int64_t>(available_isas().size()) - 1;
    for (const std::int64_t threshold : {2, 5, 8}) {
        for (const std::int64_t left : {1000, 100000}) {
            benchmark->Args({best, 2, left, 10000000, threshold});
        }
        benchmark->Args({best, 2, 1000000, 1000000, threshold});
    }
}

void rows_and_limits(benchmark::internal::Benchmark* benchmark) {
    benchmark->ArgNames({"isa", "threads", "rows", "threshold", "megabytes"});
    const auto best = static_cast<std::int64_t>(available_isas().size()) - 1;
    for (const std::int64_t megabytes : {60, 40, 28}) {
        benchmark->Args({best, 2, 1000000, 5, megabytes});
    }
    for (const std::int64_t megabytes : {500, 250, 150}) {
        benchmark->Args({best, 2, 10000000, 5, megabytes});
    }
}

BENCHMARK(brute)->Apply(every_isa)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(blocks)->Apply(data_and_rows)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(between)->Apply(two_sets)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(limited)->Apply(rows_and_limits)->UseRealTime()->Unit(benchmark::kMillisecond);

} // namespace
} // namespace vamhash

BENCHMARK_MAIN();
