// The join by block combinations against a double loop over all rows and against brute force, for
// every instruction set of this machine, by counts and checksums that no order changes.
#include "join/similar_pairs.h"

#include "join_data.h"
#include "test_size.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <cmath>
#include <numbers>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

namespace vamhash {
namespace {

using test::Answer;
using test::Column;
using test::planted_codes;
using test::sized;
using test::thinned;
using test::uniform_codes;

constexpr int largest_threshold = 64;

// The answers to all thresholds, by a double loop.
std::array<Answer, largest_threshold + 1> naive_answers(const Column& codes) {
    std::array<Answer, largest_threshold + 1> answers;
    for (std::uint32_t a = 0; a < codes.size(); ++a) {
        for (std::uint32_t b = a + 1; b < codes.size(); ++b) {
            const int distance = std::popcount(codes[a] ^ codes[b]);
            answers[distance].add(a, b, distance);
        }
    }
    for (int threshold = 1; threshold <= largest_threshold; ++threshold) {
        answers[threshold].pairs += answers[threshold - 1].pairs;
        answers[threshold].sum += answers[threshold - 1].sum;
    }
    return answers;
}

Answer join(const std::vector<Column>& columns, const std::vector<int>& thresholds,
            const JoinOptions& options) {
    Answer answer;
    bool ordered = true;
    similar_pairs(test::spans(columns), thresholds, options, [&](std::span<const Pair> batch) {
        for (const Pair& pair : batch) {
            ordered = ordered && pair.a < pair.b;
            answer.add(pair.a, pair.b, pair.distance);
        }
    });
    EXPECT_TRUE(ordered);
    return answer;
}

// Of which 30 % are one of 50 values.
Column skewed_codes(std::size_t rows, unsigned seed) {
    return test::skewed_codes(rows, seed, 30, 50);
}

// Difference hashes of smooth pictures of 9 x 8 pixels: sums of waves, the longer the stronger.
Column smooth_codes(std::size_t rows, unsigned seed) {
    constexpr int waves = 3;
    std::mt19937_64 random(seed);
    std::normal_distribution<double> normal;
    Column codes(rows);
    for (std::uint64_t& code : codes) {
        double picture[8][9] = {};
        for (int i = 0; i < waves * waves; ++i) {
            const double fy = i / waves * 0.5;
            const double fx = i % waves * 0.5;
            const double strength = normal(random) / (1 + fy * fy + fx * fx);
            const double phase = std::generate_canonical<double, 53>(random) * 2 * std::numbers::pi;
            for (int y = 0; y < 8; ++y) {
                for (int x = 0; x < 9; ++x) {
                    picture[y][x] += strength * std::cos(fy * y + fx * x + phase);
                }
            }
        }
        for (int y = 0; y < 8; ++y) {
            for (int x = 0; x < 8; ++x) {
                code = code << 1 | static_cast<std::uint64_t>(picture[y][x] < picture[y][x + 1]);
            }
        }
    }
    return codes;
}

// 0, 1, 2 ...: most keys are equal, most codes have near neighbours.
Column counting_codes(std::size_t rows) {
    Column codes(rows);
    for (std::size_t row = 0; row < rows; ++row) {
        codes[row] = row;
    }
    return codes;
}

// Expects the double loop's pairs, for each threshold, instruction set and number of threads.
void expect_exact(const std::string& name, const Column& codes,
                  const std::vector<int>& thresholds) {
    const auto expected = naive_answers(codes);
    for (const int threshold : thresholds) {
        for (const Isa isa : available_isas()) {
            for (const unsigned threads : {1U, 2U}) {
                for (const JoinMethod method : {JoinMethod::blocks, JoinMethod::automatic}) {
                    if (method == JoinMethod::automatic && threads == 1) {
                        continue;
                    }
                    EXPECT_EQ(join({codes}, {threshold},
                                   {.threads = threads, .isa = isa, .method = method}),
                              expected[threshold])
                        << name << ", " << codes.size() << " rows, threshold " << threshold << ", "
                        << isa_name(isa) << ", " << threads << " threads, method "
                        << static_cast<int>(method);
                }
            }
        }
    }
}

std::vector<int> up_to_16() {
    std::vector<int> thresholds;
    for (int threshold = 0; threshold <= 16; ++threshold) {
        thresholds.push_back(threshold);
    }
    return thinned(thresholds);
}

TEST(BlockJoin, EveryThresholdUpTo16) {
    expect_exact("uniform", uniform_codes(5000, 1), up_to_16());
    expect_exact("planted", planted_codes(5000, 2, 2), up_to_16());
    expect_exact("skewed", skewed_codes(5000, 3), up_to_16());
    expect_exact("smooth", smooth_codes(4500, 4), up_to_16());
    expect_exact("counting", counting_codes(1500), up_to_16());
    expect_exact("equal", Column(1000, 0x8000000000000000), up_to_16());
}

TEST(BlockJoin, LargeThresholds) {
    for (const int threshold : thinned<int>({20, 32, 63, 64})) {
        expect_exact("uniform", uniform_codes(1200, 5), {threshold});
        expect_exact("planted", planted_codes(1200, 6, 2), {threshold});
        expect_exact("skewed", skewed_codes(1200, 7), {threshold});
        expect_exact("smooth", smooth_codes(1200, 8), {threshold});
        expect_exact("equal", Column(300, 0), {threshold});
    }
}

TEST(BlockJoin, MoreRows) {
    expect_exact("planted", planted_codes(sized(20000), 9, 20), {0, 2, 5, 7, 8, 10});
    expect_exact("skewed", skewed_codes(sized(20000), 10), {0, 5, 8});
    expect_exact("smooth", smooth_codes(sized(12000), 11), {0, 2, 5});
}

TEST(BlockJoin, FewRows) {
    for (const std::size_t rows : {0, 1, 2, 3, 5, 8, 9, 16, 17, 33, 100}) {
        for (const int threshold : {0, 1, 3, 7, 8, 16, 64}) {
            expect_exact("planted", planted_codes(rows, 12, 2), {threshold});
        }
    }
}

// Tens of thousands of codes share a bucket: it is compared tile by tile, by all threads.
TEST(BlockJoin, HotBuckets) {
    expect_exact("counting", counting_codes(sized(9000)), {1, 2});
    expect_exact("counting", counting_codes(sized(20000, 6000)), {1, 2});
    Column halves = uniform_codes(sized(12000), 13);
    for (std::uint64_t& code : halves) {
        code &= 0x00ff00ff00ff00ff;
    }
    expect_exact("32 bits", halves, {3, 8});
}

// Uniform and planted rows: every_threshold_join_test.cpp.
TEST(BlockJoin, HundredThousandRows) {
    const std::vector<std::pair<std::string, Column>> sets{
        {"skewed", skewed_codes(sized(40000, 10000), 16)},
        {"smooth", smooth_codes(sized(40000, 10000), 17)},
        {"counting", counting_codes(sized(150000, 10000))},
    };
    for (const auto& [name, codes] : sets) {
        for (const int threshold : {1, 4, 5, 7, 8, 10, 12}) {
            if ((name == "counting" && threshold > 1) || (name == "smooth" && threshold > 5)) {
                continue;
            }
            const Answer expected = join({codes}, {threshold}, {.method = JoinMethod::brute});
            for (const unsigned threads : {1U, 2U}) {
                EXPECT_EQ(
                    join({codes}, {threshold}, {.threads = threads, .method = JoinMethod::blocks}),
                    expected)
                    << name << ", threshold " << threshold << ", " << threads << " threads";
            }
        }
    }
}

TEST(BlockJoin, SeveralColumns) {
    const Column planted = planted_codes(6000, 18, 2);
    Column near = planted;
    std::mt19937_64 random(19);
    for (std::uint64_t& code : near) {
        code ^= 1ULL << random() % 64 | 1ULL << random() % 64;
    }
    const Column skewed = skewed_codes(6000, 20);
    const std::vector<std::pair<std::vector<Column>, std::vector<int>>> joins{
        {{planted, near}, {8, 5}},
        {{near, planted}, {12, 3}},
        {{skewed, planted}, {5, 30}},
        {{planted, skewed}, {30, 2}},
        {{planted, near, skewed}, {9, 9, 34}},
        {{skewed, skewed}, {0, 64}},
        {{uniform_codes(6000, 21), near}, {64, 6}},
    };
    for (const auto& [columns, thresholds] : joins) {
        const Answer expected = join(columns, thresholds, {.method = JoinMethod::brute});
        EXPECT_GT(expected.pairs, 0U);
        for (const Isa isa : available_isas()) {
            for (const JoinMethod method : {JoinMethod::blocks, JoinMethod::automatic}) {
                EXPECT_EQ(join(columns, thresholds, {.threads = 2, .isa = isa, .method = method}),
                          expected);
            }
        }
    }
}

// Values made for one place in the directory of distinct values.
TEST(BlockJoin, ValuesThatHashAlike) {
    std::uint64_t inverse = 1; // of the hash's factor, by Newton's iteration
    for (int i = 0; i < 6; ++i) {
        inverse *= 2 - 0x9e3779b97f4a7c15 * inverse;
    }
    Column codes;
    for (std::uint64_t i = 0; i < 5000; ++i) {
        const std::uint64_t value = i % 2000 * inverse;
        codes.push_back(value ^ value >> 32);
    }
    expect_exact("alike", codes, {0, 5, 16});
}

TEST(BlockJoin, AnExceptionOfTheSinkEndsTheJoin) {
    // 5 * 10^9 pairs of equal rows, or as many of two values: it must not go through them all.
    Column two(100000, 0);
    std::fill(two.begin(), two.begin() + 50000, 3);
    for (const Column& codes : {Column(100000, 42), two, counting_codes(100000)}) {
        for (const unsigned threads : {1U, 2U, 4U}) {
            int calls = 0;
            const auto start = std::chrono::steady_clock::now();
            EXPECT_THROW(similar_pairs(std::array{std::span<const std::uint64_t>(codes)},
                                       std::array{7},
                                       {.threads = threads, .method = JoinMethod::blocks},
                                       [&](std::span<const Pair>) {
                                           if (++calls == 3) {
                                               throw std::runtime_error("the sink is full");
                                           }
                                       }),
                         std::runtime_error);
            EXPECT_EQ(calls, 3) << "the sink was called after it had thrown";
            EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
        }
    }
}

TEST(BlockJoin, BatchesAreBounded) {
    std::size_t largest = 0;
    std::uint64_t pairs = 0;
    const Column codes = skewed_codes(20000, 22);
    similar_pairs(std::array{std::span<const std::uint64_t>(codes)}, std::array{16},
                  {.method = JoinMethod::blocks}, [&](std::span<const Pair> batch) {
                      largest = std::max(largest, batch.size());
                      pairs += batch.size();
                  });
    EXPECT_GT(pairs, 100000U);
    EXPECT_EQ(largest, 8192U);
}

} // namespace
} // namespace vamhash
