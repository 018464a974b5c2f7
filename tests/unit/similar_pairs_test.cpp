// similar_pairs against a double loop over all rows, for every instruction set of this machine.
#include "join/similar_pairs.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <csignal>
#include <random>
#include <stdexcept>
#include <thread>
#include <tuple>
#include <vector>

#include <pthread.h>

namespace vamhash {
namespace {

using Column = std::vector<std::uint64_t>;
using Triple = std::tuple<std::uint32_t, std::uint32_t, std::uint32_t>;

constexpr std::size_t block_rows = 1024;           // of src/join/brute_force.cpp
constexpr std::size_t rows_for_threads = 4096 + 5; // more than one thread is used from 4097

std::vector<std::span<const std::uint64_t>> spans(const std::vector<Column>& columns) {
    return {columns.begin(), columns.end()};
}

std::vector<Triple> naive_pairs(const std::vector<Column>& columns,
                                const std::vector<int>& thresholds) {
    std::vector<Triple> pairs;
    const std::size_t rows = columns[0].size();
    for (std::uint32_t a = 0; a < rows; ++a) {
        for (std::uint32_t b = a + 1; b < rows; ++b) {
            bool similar = true;
            for (std::size_t i = 0; i < columns.size() && similar; ++i) {
                similar = std::popcount(columns[i][a] ^ columns[i][b]) <= thresholds[i];
            }
            if (similar) {
                pairs.emplace_back(a, b, std::popcount(columns[0][a] ^ columns[0][b]));
            }
        }
    }
    return pairs; // sorted, by the order of the loops
}

std::vector<Triple> joined_pairs(const std::vector<Column>& columns,
                                 const std::vector<int>& thresholds, const JoinOptions& options) {
    std::vector<Triple> pairs;
    similar_pairs(spans(columns), thresholds, options, [&](std::span<const Pair> batch) {
        for (const Pair& pair : batch) {
            pairs.emplace_back(pair.a, pair.b, pair.distance);
        }
    });
    std::sort(pairs.begin(), pairs.end());
    return pairs;
}

// Expects the pairs of the double loop from every instruction set with 1 and 2 threads.
void expect_exact(const std::vector<Column>& columns, const std::vector<int>& thresholds) {
    const std::vector<Triple> expected = naive_pairs(columns, thresholds);
    for (const Isa isa : available_isas()) {
        for (const unsigned threads : {1U, 2U}) {
            const std::vector<Triple> pairs =
                joined_pairs(columns, thresholds, {.threads = threads, .isa = isa});
            // Not EXPECT_EQ, which would print millions of pairs.
            EXPECT_TRUE(pairs == expected)
                << isa_name(isa) << ", " << threads << " threads, " << columns[0].size()
                << " rows, threshold " << thresholds[0] << ": " << pairs.size() << " pairs, not "
                << expected.size();
        }
    }
}

Column uniform_codes(std::size_t rows, unsigned seed) {
    std::mt19937_64 random(seed);
    Column codes(rows);
    std::generate(codes.begin(), codes.end(), [&] { return random(); });
    return codes;
}

// Uniform codes, of which half are replaced by an earlier one with 0 to 16 bits changed: in `bits`.
Column planted_codes(std::size_t rows, unsigned seed, std::uint64_t bits = ~0ULL) {
    std::mt19937_64 random(seed);
    Column codes = uniform_codes(rows, seed + 1);
    for (std::size_t row = 1; row < rows; ++row) {
        if (random() % 2 == 0) {
            codes[row] = codes[random() % row];
            for (std::uint64_t flips = random() % 17; flips > 0; --flips) {
                codes[row] ^= (1ULL << random() % 64) & bits;
            }
        }
    }
    return codes;
}

TEST(SimilarPairs, EveryThresholdOfSmallSets) {
    for (const std::size_t rows : {0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100}) {
        for (int threshold = 0; threshold <= 64; ++threshold) {
            expect_exact({planted_codes(rows, 1)}, {threshold});
        }
    }
}

TEST(SimilarPairs, SizesAtTheBordersOfTilesAndGroups) {
    for (const std::size_t rows : {127, 128, 129, 255, 256, 257, 288, 300, 511, 513}) {
        for (const int threshold : {0, 5, 7, 8, 12, 64}) {
            expect_exact({planted_codes(rows, 2)}, {threshold});
        }
    }
    for (const std::size_t rows :
         {block_rows - 1, block_rows, block_rows + 1, 2 * block_rows, 2 * block_rows + 3}) {
        for (const int threshold : {0, 1, 6, 7, 8, 9, 20}) {
            expect_exact({planted_codes(rows, 3)}, {threshold});
        }
    }
    expect_exact({uniform_codes(block_rows + 1, 4)}, {32});
    expect_exact({uniform_codes(block_rows + 1, 4)}, {63});
    expect_exact({uniform_codes(block_rows + 1, 4)}, {64});
}

TEST(SimilarPairs, DifferencesInOneHalfOfTheCodes) {
    for (const std::uint64_t bits : {0xffffffffULL, ~0xffffffffULL}) {
        for (const int threshold : {0, 3, 7, 8}) {
            expect_exact({planted_codes(700, 5, bits)}, {threshold});
        }
    }
}

TEST(SimilarPairs, EqualAndOppositeRows) {
    for (const int threshold : {0, 7, 8, 64}) {
        expect_exact({Column(block_rows + 70, 0x8000000000000000)}, {threshold});
    }
    for (const int threshold : {0, 63, 64}) {
        Column codes(300, 0);
        std::fill(codes.begin() + 150, codes.end(), ~0ULL);
        expect_exact({codes}, {threshold});
    }
}

TEST(SimilarPairs, SeveralColumns) {
    const std::vector<Column> columns{planted_codes(900, 6), planted_codes(900, 6),
                                      planted_codes(900, 7)};
    for (const int threshold : {0, 4, 8, 30, 64}) {
        expect_exact({columns[0], columns[1]}, {threshold, 6});
        expect_exact({columns[0], columns[2]}, {threshold, 28});
        expect_exact({columns[0], columns[1], columns[2]}, {threshold, 12, 64});
        expect_exact({columns[2], columns[1], columns[0]}, {64, threshold, 20});
    }
    // The distance given is that of the first column.
    expect_exact({{0, 0}, {0, 7}}, {0, 3});
    expect_exact(std::vector<Column>(8, {1, 2, 3}), std::vector<int>(8, 1));
}

TEST(SimilarPairs, RowsForSeveralThreads) {
    for (const int threshold : {0, 6, 9, 16}) {
        expect_exact({planted_codes(rows_for_threads, 8)}, {threshold});
    }
    expect_exact({planted_codes(2 * rows_for_threads, 9), uniform_codes(2 * rows_for_threads, 10)},
                 {14, 30});
}

TEST(SimilarPairs, OddAndEvenNumbersOfBlocks) {
    for (const std::size_t rows : {5 * block_rows, 6 * block_rows - 1, 7 * block_rows}) {
        const Column codes = planted_codes(rows, 11);
        const std::vector<Triple> expected = naive_pairs({codes}, {5});
        for (const unsigned threads : {0U, 1U, 2U, 5U, 1000U}) {
            EXPECT_TRUE(joined_pairs({codes}, {5}, {.threads = threads}) == expected) << rows;
        }
    }
}

TEST(SimilarPairs, EveryPairOfManyRows) {
    const Column codes(rows_for_threads, 42);
    for (const Isa isa : available_isas()) {
        std::vector<std::uint64_t> partners(codes.size());
        std::size_t largest_batch = 0;
        similar_pairs(spans({codes}), std::array{64}, {.threads = 2, .isa = isa},
                      [&](std::span<const Pair> batch) {
                          largest_batch = std::max(largest_batch, batch.size());
                          for (const Pair& pair : batch) {
                              partners[pair.a] += pair.b;
                              partners[pair.b] += pair.a;
                          }
                      });
        const std::uint64_t sum = codes.size() * (codes.size() - 1) / 2;
        for (std::size_t row = 0; row < partners.size(); ++row) {
            ASSERT_EQ(partners[row], sum - row) << isa_name(isa);
        }
        EXPECT_EQ(largest_batch, 8192U) << "dense joins are given in batches of a fixed size";
    }
}

TEST(SimilarPairs, TheSinkIsCalledByOneThreadAtATime) {
    const Column codes(rows_for_threads, 42);
    std::atomic<int> inside = 0;
    bool alone = true;
    similar_pairs(spans({codes}), std::array{0}, {.threads = 3}, [&](std::span<const Pair>) {
        alone = alone && ++inside == 1;
        std::this_thread::yield();
        --inside;
    });
    EXPECT_TRUE(alone);
}

TEST(SimilarPairs, AnExceptionOfTheSinkEndsTheJoin) {
    for (const std::size_t rows : {std::size_t{3000}, rows_for_threads}) {
        const Column codes(rows, 42);
        for (const unsigned threads : {1U, 2U, 4U}) {
            int calls = 0;
            try {
                similar_pairs(spans({codes}), std::array{0}, {.threads = threads},
                              [&](std::span<const Pair>) {
                                  if (++calls == 3) {
                                      throw std::runtime_error("the sink is full");
                                  }
                              });
                ADD_FAILURE() << "the exception was lost";
            } catch (const std::runtime_error& error) {
                EXPECT_STREQ(error.what(), "the sink is full");
            }
            EXPECT_EQ(calls, 3) << "the sink was called after it had thrown";
        }
    }
}

TEST(SimilarPairs, ThreadsBlockSignals) {
    const Column codes(rows_for_threads, 42);
    const std::thread::id caller = std::this_thread::get_id();
    bool blocked = true;
    similar_pairs(spans({codes}), std::array{0}, {.threads = 3}, [&](std::span<const Pair>) {
        if (std::this_thread::get_id() != caller) {
            sigset_t mask;
            pthread_sigmask(SIG_BLOCK, nullptr, &mask);
            blocked =
                blocked && sigismember(&mask, SIGTERM) == 1 && sigismember(&mask, SIGINT) == 1;
        }
    });
    EXPECT_TRUE(blocked);
    sigset_t mask;
    pthread_sigmask(SIG_BLOCK, nullptr, &mask);
    EXPECT_EQ(sigismember(&mask, SIGTERM), 0) << "the caller's own mask was changed";
}

TEST(SimilarPairs, FewRowsStayOnTheCallingThread) {
    const Column codes(4096, 42);
    const std::thread::id caller = std::this_thread::get_id();
    bool stayed = true;
    similar_pairs(spans({codes}), std::array{0}, {.threads = 8}, [&](std::span<const Pair>) {
        stayed = stayed && std::this_thread::get_id() == caller;
    });
    EXPECT_TRUE(stayed);
}

TEST(SimilarPairs, ArgumentsOutOfLimits) {
    const Column three{1, 2, 3};
    const Column two{1, 2};
    const auto join = [](const std::vector<Column>& columns, const std::vector<int>& thresholds) {
        similar_pairs(spans(columns), thresholds, {}, [](std::span<const Pair>) {});
    };
    EXPECT_THROW(join({}, {}), std::invalid_argument);
    EXPECT_THROW(join(std::vector<Column>(9, three), std::vector<int>(9, 5)),
                 std::invalid_argument);
    EXPECT_THROW(join({three, two}, {5, 5}), std::invalid_argument);
    EXPECT_THROW(join({three}, {5, 5}), std::invalid_argument);
    EXPECT_THROW(join({three, three}, {5}), std::invalid_argument);
    EXPECT_THROW(join({three}, {-1}), std::invalid_argument);
    EXPECT_THROW(join({three, three}, {5, 65}), std::invalid_argument);
    EXPECT_NO_THROW(join({three}, {64}));

    // 2^32 rows, of which none is read.
    const std::array columns{std::span<const std::uint64_t>(three.data(), std::size_t{1} << 32)};
    EXPECT_THROW(similar_pairs(columns, std::array{5}, {}, [](std::span<const Pair>) {}),
                 std::invalid_argument);
}

} // namespace
} // namespace vamhash
