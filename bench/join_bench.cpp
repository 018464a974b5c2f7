// Self-joins of made hashes: brute force, and the join by block combinations.
//
// brute: pairs compared a second of uniform hashes (rows * (rows - 1) / 2, by the wall clock). At
// threshold 64 all of them go to the sink, too.
// blocks: seconds a join of uniform hashes with 5 % planted near-duplicates, of the same with 30 %
// of the rows in 50 heavy values, and of difference hashes of smooth pictures; found: pairs given
// to the sink, which counts them only. Of the skewed ones nearly all are pairs of equal hashes.
#include "join/similar_pairs.h"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace vamhash {
namespace {

using Column = std::vector<std::uint64_t>;

enum Data : std::int64_t { uniform, planted, skewed, smooth };

constexpr std::array data_names{"uniform", "planted", "skewed", "smooth"};

Column uniform_codes(std::size_t rows) {
    std::mt19937_64 random(1);
    Column codes(rows);
    std::generate(codes.begin(), codes.end(), [&] { return random(); });
    return codes;
}

// Uniform hashes, of which 5 % are an earlier one with 0 to 11 bits changed.
Column planted_codes(std::size_t rows) {
    std::mt19937_64 random(2);
    Column codes = uniform_codes(rows);
    for (std::size_t row = 1; row < rows; ++row) {
        if (random() % 20 == 0) {
            codes[row] = codes[random() % row];
            for (std::uint64_t flips = random() % 12; flips > 0; --flips) {
                codes[row] ^= 1ULL << random() % 64;
            }
        }
    }
    return codes;
}

Column skewed_codes(std::size_t rows) {
    std::mt19937_64 random(3);
    Column codes = planted_codes(rows);
    for (std::uint64_t& code : codes) {
        if (random() % 10 < 3) {
            code = (random() % 50 + 1) * 0x9e3779b97f4a7c15;
        }
    }
    return codes;
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
        Column (*const make[])(std::size_t) = {uniform_codes, planted_codes, skewed_codes,
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
    for (const std::int64_t threshold : {2, 5, 8}) {
        benchmark->Args({best, 2, 100000, threshold, smooth});
    }
}

BENCHMARK(brute)->Apply(every_isa)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(blocks)->Apply(data_and_rows)->UseRealTime()->Unit(benchmark::kMillisecond);

} // namespace
} // namespace vamhash

BENCHMARK_MAIN();
