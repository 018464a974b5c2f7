// What hashing costs beside decoding: grey rows in groups of 16, as a JPEG decoder gives them, from
// a small buffer that is warm like a decoder's.
#include "hash/image_hasher.h"
#include "hash/lanczos.h"
#include "hash/resample.h"
#include "simd/isa.h"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace {

using namespace vamhash;

struct Size {
    std::uint32_t width;
    std::uint32_t height;
};

constexpr std::uint32_t rows_a_call = 16;

std::vector<std::uint8_t> noise_rows(std::uint32_t width) {
    std::mt19937 random(1);
    std::vector<std::uint8_t> rows(static_cast<std::size_t>(width) * rows_a_call);
    std::generate(rows.begin(), rows.end(), [&] { return static_cast<std::uint8_t>(random()); });
    return rows;
}

void count_pixels(benchmark::State& state, Size size) {
    const double pixels = static_cast<double>(size.width) * size.height;
    state.counters["s/px"] = benchmark::Counter(
        pixels, benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

void hash(benchmark::State& state, Isa isa, Size size, std::uint32_t wanted) {
    const auto rows = noise_rows(size.width);
    while (state.KeepRunning()) {
        ImageHasher hasher(wanted, isa);
        hasher.start(size.width, size.height);
        for (std::uint32_t y = 0; y < size.height; y += rows_a_call)
            hasher.rows(rows.data(), size.width, std::min(rows_a_call, size.height - y));
        benchmark::DoNotOptimize(hasher.finish());
    }
    count_pixels(state, size);
}

void filters(benchmark::State& state, std::uint32_t in_size, std::uint32_t out_size) {
    while (state.KeepRunning())
        benchmark::DoNotOptimize(LanczosFilter(in_size, out_size).max_taps());
}

struct Kind {
    const char* name;
    std::uint32_t wanted;
};

void register_all() {
    for (const Isa isa : available_isas()) {
        for (const Size size : {Size{4000, 3000}, Size{1600, 1200}, Size{256, 192}}) {
            for (const Kind kind : {Kind{"dhash_9x8", hash_dhash}, Kind{"ahash_8x8", hash_ahash},
                                    Kind{"phash_32x32", hash_phash}, Kind{"whash_nxn", hash_whash},
                                    Kind{"all", hash_all}}) {
                const std::string name = std::string(kind.name) + "/" + std::to_string(size.width) +
                                         "x" + std::to_string(size.height) + "/" +
                                         std::string(isa_name(isa));
                benchmark::RegisterBenchmark(name.c_str(), hash, isa, size, kind.wanted)
                    ->Unit(benchmark::kMicrosecond);
            }
        }
    }
    for (const std::uint32_t out_size : {8U, 32U, 2048U}) {
        benchmark::RegisterBenchmark(("filter/4000_to_" + std::to_string(out_size)).c_str(),
                                     filters, 4000U, out_size)
            ->Unit(benchmark::kMicrosecond);
    }
}

} // namespace

int main(int argc, char** argv) {
    register_all();
    benchmark::Initialize(&argc, argv);
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
    return 0;
}
