// Pairs compared a second by the brute-force self-join of uniform hashes.
//
// pairs/s counts the pairs compared (rows * (rows - 1) / 2), by the wall clock. At threshold 64 all
// of them go to the sink, too.
#include "join/similar_pairs.h"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <random>
#include <string>
#include <vector>

namespace vamhash {
namespace {

std::vector<std::uint64_t> uniform_codes(std::size_t rows) {
    std::mt19937_64 random(1);
    std::vector<std::uint64_t> codes(rows);
    std::generate(codes.begin(), codes.end(), [&] { return random(); });
    return codes;
}

void join(benchmark::State& state) {
    const Isa isa = available_isas()[state.range(0)];
    const auto threads = static_cast<unsigned>(state.range(1));
    const std::vector<std::uint64_t> codes = uniform_codes(state.range(2));
    const std::array columns{std::span(codes)};
    const std::array thresholds{static_cast<int>(state.range(3))};
    std::size_t found = 0;
    while (state.KeepRunning()) {
        similar_pairs(columns, thresholds, {.threads = threads, .isa = isa},
                      [&](std::span<const Pair> batch) { found += batch.size(); });
    }
    benchmark::DoNotOptimize(found);
    const auto rows = static_cast<double>(codes.size());
    state.counters["pairs/s"] =
        benchmark::Counter(rows * (rows - 1) / 2, benchmark::Counter::kIsIterationInvariantRate);
    state.SetLabel(std::string(isa_name(isa)));
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

BENCHMARK(join)->Apply(every_isa)->UseRealTime()->Unit(benchmark::kMillisecond);

} // namespace
} // namespace vamhash

BENCHMARK_MAIN();
