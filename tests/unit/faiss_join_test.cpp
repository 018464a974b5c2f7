// The join method faiss against brute force and blocks; and FAISS itself as an independent answer
// for more rows than a double loop can compare.
#include "join/range_search_plugin.h"
#include "join/similar_groups.h"
#include "join/similar_pairs.h"

#include "join_data.h"

#include <gtest/gtest.h>

#ifdef VAMHASH_FAISS
#include <faiss/IndexBinaryFlat.h>
#include <faiss/impl/AuxIndexStructures.h>
#endif

#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <new>
#include <numeric>
#include <random>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include <csignal>
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

namespace vamhash {
namespace {

using test::Column;
using test::spans;
using Triple = std::tuple<std::uint32_t, std::uint32_t, std::uint32_t>;

#ifdef VAMHASH_FAISS
constexpr bool built = true;
#else
constexpr bool built = false;
#endif

constexpr std::size_t rows_for_threads = 4096 + 5; // more than one thread is used from 4097

// Half of them are an earlier one with 0 to 16 bits changed.
Column planted_codes(std::size_t rows, unsigned seed) {
    return test::planted_codes(rows, seed, 2);
}

// The pairs of one set, or of two.
std::vector<Triple> pairs_of(const std::vector<Column>& left, const std::vector<Column>& right,
                             const std::vector<int>& thresholds, const JoinOptions& options) {
    std::vector<Triple> pairs;
    const auto take = [&](std::span<const Pair> batch) {
        for (const Pair& pair : batch) {
            pairs.emplace_back(pair.a, pair.b, pair.distance);
        }
    };
    if (right.empty()) {
        similar_pairs(spans(left), thresholds, options, take);
    } else {
        similar_pairs_between(spans(left), spans(right), thresholds, options, take);
    }
    std::sort(pairs.begin(), pairs.end());
    return pairs;
}

// Expects the same pairs from brute force, blocks, and faiss.
void expect_same(const std::vector<Column>& left, const std::vector<Column>& right,
                 const std::vector<int>& thresholds) {
    const std::vector<Triple> expected =
        pairs_of(left, right, thresholds, {.method = JoinMethod::brute});
    for (const JoinMethod method : {JoinMethod::faiss, JoinMethod::blocks}) {
        for (const unsigned threads : {1U, 2U}) {
            const std::vector<Triple> pairs =
                pairs_of(left, right, thresholds, {.threads = threads, .method = method});
            // Not EXPECT_EQ, which would print millions of pairs.
            EXPECT_TRUE(pairs == expected)
                << (method == JoinMethod::faiss ? "faiss, " : "blocks, ") << threads
                << " threads, threshold " << thresholds[0] << ": " << pairs.size() << " pairs, not "
                << expected.size();
        }
    }
}

class FaissJoin : public testing::Test {
  protected:
    void SetUp() override {
        if (!built) {
            GTEST_SKIP() << "the join method faiss is not built here";
        }
    }
};

TEST_F(FaissJoin, OneSet) {
    for (const std::size_t rows :
         {std::size_t{0}, std::size_t{1}, std::size_t{2}, std::size_t{333}, rows_for_threads}) {
        for (const int threshold : {0, 5, 16, 64}) {
            if (threshold < 64 || rows < 1000) {
                expect_same({planted_codes(rows, 1)}, {}, {threshold});
            }
        }
    }
    expect_same({Column(500, 7)}, {}, {0});
    const Column codes = planted_codes(1500, 2);
    expect_same({codes}, {}, {64});
}

TEST_F(FaissJoin, TwoSets) {
    const Column right = planted_codes(3 * rows_for_threads, 3);
    Column left(right.begin(), right.begin() + 700);
    for (std::size_t row = 0; row < left.size(); row += 2) {
        left[row] ^= row;
    }
    for (const int threshold : {0, 5, 16}) {
        expect_same({left}, {right}, {threshold});
        expect_same({right}, {left}, {threshold});
    }
    expect_same({Column(left.begin(), left.begin() + 100)}, {left}, {64});
    expect_same({Column{}}, {right}, {5});
    expect_same({left}, {Column{}}, {5});
}

TEST_F(FaissJoin, SeveralColumns) {
    const std::vector<Column> columns{planted_codes(2000, 4), planted_codes(2000, 4),
                                      planted_codes(2000, 5)};
    expect_same({columns[0], columns[1]}, {}, {8, 4});
    expect_same({columns[2], columns[0]}, {}, {28, 5});
    expect_same({columns[0], columns[2]}, {columns[1], columns[2]}, {10, 20});
}

TEST_F(FaissJoin, Groups) {
    Column codes = planted_codes(rows_for_threads, 6);
    std::fill(codes.begin(), codes.begin() + 500, codes[0]);
    for (const GroupMethod method :
         {GroupMethod::star, GroupMethod::complete, GroupMethod::connected}) {
        const auto group = [&](JoinMethod join, std::string& scheme) {
            std::vector<std::array<std::uint32_t, 6>> members;
            scheme = similar_groups(
                         codes, 6, method, {.threads = 2, .method = join},
                         [](std::span<const GroupedRow> rows) {
                             std::vector<std::uint32_t> ranks(rows.size());
                             std::iota(ranks.begin(), ranks.end(), 0);
                             return ranks;
                         },
                         [&](std::span<const Member> batch) {
                             for (const Member& m : batch) {
                                 members.push_back({m.row, m.group, m.size, m.distance, m.diameter,
                                                    m.is_center ? 1U : 0U});
                             }
                         })
                         .scheme;
            return members;
        };
        std::string scheme;
        const auto expected = group(JoinMethod::brute, scheme);
        EXPECT_FALSE(expected.empty());
        EXPECT_TRUE(group(JoinMethod::faiss, scheme) == expected);
        EXPECT_EQ(scheme, "FAISS");
    }
}

TEST_F(FaissJoin, ReportAndProgress) {
    const Column codes = planted_codes(20000, 7);
    const std::array columns{std::span(codes)};
    std::vector<JoinProgress> told;
    std::uint64_t pairs = 0;
    const JoinReport report =
        similar_pairs(columns, std::array{5},
                      {.threads = 2,
                       .method = JoinMethod::faiss,
                       .progress = [&](const JoinProgress& progress) { told.push_back(progress); }},
                      [&](std::span<const Pair> batch) { pairs += batch.size(); });
    EXPECT_EQ(report.scheme, "FAISS");
    EXPECT_EQ(report.pairs, pairs);
    EXPECT_EQ(report.candidates, pairs);
    ASSERT_FALSE(told.empty());
    for (std::size_t i = 1; i < told.size(); ++i) {
        EXPECT_GE(told[i].done, told[i - 1].done);
    }
    EXPECT_EQ(told.back().done, codes.size());
    EXPECT_EQ(told.back().total, codes.size());
}

// The search runs until its sink or a thread says stop; afterwards the method works as before.
TEST_F(FaissJoin, ASinkThatThrowsEndsTheSearch) {
    const Column codes(50000, 8);
    const std::array columns{std::span(codes)};
    for (const unsigned threads : {1U, 2U}) {
        int calls = 0;
        EXPECT_THROW(similar_pairs(columns, std::array{4},
                                   {.threads = threads, .method = JoinMethod::faiss},
                                   [&](std::span<const Pair>) {
                                       ++calls;
                                       throw std::length_error("the sink is full");
                                   }),
                     std::length_error);
        EXPECT_EQ(calls, 1);
        EXPECT_THROW(
            similar_pairs(columns, std::array{4},
                          {.threads = threads, .method = JoinMethod::faiss, .max_pairs = 9},
                          [](std::span<const Pair>) {}),
            TooManyPairs);
    }
    expect_same({planted_codes(300, 9)}, {}, {5});
}

// The process is beside a database: signals are the main thread's business alone.
TEST_F(FaissJoin, ThreadsBlockSignals) {
    const Column codes(rows_for_threads, 42);
    const std::array columns{std::span(codes)};
    std::size_t others = 0;
    bool blocked = true;
    similar_pairs(columns, std::array{0}, {.threads = 2, .method = JoinMethod::faiss},
                  [&](std::span<const Pair>) {
                      others = 0;
                      for (const auto& task :
                           std::filesystem::directory_iterator("/proc/self/task")) {
                          std::ifstream status(task.path() / "status");
                          std::string line;
                          while (std::getline(status, line) && !line.starts_with("SigBlk:")) {
                          }
                          if (std::stol(task.path().filename()) != getpid()) {
                              ++others;
                              const std::uint64_t mask = std::stoull(line.substr(7), nullptr, 16);
                              blocked = blocked && (mask >> (SIGTERM - 1) & 1) == 1;
                          }
                      }
                  });
    EXPECT_GE(others, 2U) << "one that searches, and one of OpenMP's";
    EXPECT_TRUE(blocked);
    sigset_t mask;
    pthread_sigmask(SIG_BLOCK, nullptr, &mask);
    EXPECT_EQ(sigismember(&mask, SIGTERM), 0) << "the caller's own mask was changed";
}

// Ends the process, with 42 if a join of two million equal rows finds that 40 MB are too little.
[[noreturn, maybe_unused]] void join_in_little_memory() {
    pairs_of({{1, 2}}, {}, {1}, {.method = JoinMethod::faiss}); // loads the plugin
    const Column codes(std::size_t{2} << 20, 1);
    const std::array columns{std::span(codes)};
    std::ifstream statm("/proc/self/statm");
    rlim_t pages = 0;
    statm >> pages;
    const rlim_t limit = pages * sysconf(_SC_PAGESIZE) + (rlim_t{40} << 20);
    const rlimit limits{limit, limit};
    setrlimit(RLIMIT_AS, &limits);
    try {
        similar_pairs(columns, std::array{64}, {.threads = 1, .method = JoinMethod::faiss},
                      [](std::span<const Pair>) {});
    } catch (const std::bad_alloc&) {
        std::_Exit(42);
    }
    std::_Exit(0);
}

TEST_F(FaissJoin, OutOfMemoryIsAnException) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "sanitizers do not run under a limit on memory";
#else
    // In a process of its own, which has no memory left from other tests.
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_EXIT(join_in_little_memory(), testing::ExitedWithCode(42), "");
#endif
}

// FAISS alone, without any of the join's code: 2,000 rows against a million.
TEST_F(FaissJoin, AMillionRowsAgainstFaissItself) {
#ifdef VAMHASH_FAISS
    constexpr int threshold = 8;
    Column right = planted_codes(1000000, 11);
    std::mt19937_64 random(12);
    Column left(2000);
    for (std::uint64_t& code : left) {
        code = right[random() % right.size()];
        for (std::uint64_t flips = random() % 12; flips > 0; --flips) {
            code ^= 1ULL << random() % 64;
        }
    }
    faiss::IndexBinaryFlat index(64);
    index.add(static_cast<faiss::Index::idx_t>(right.size()),
              reinterpret_cast<const std::uint8_t*>(right.data()));
    faiss::RangeSearchResult result(left.size());
    index.range_search(static_cast<faiss::Index::idx_t>(left.size()),
                       reinterpret_cast<const std::uint8_t*>(left.data()), threshold + 1, &result);
    std::vector<Triple> expected;
    for (std::uint32_t a = 0; a < left.size(); ++a) {
        for (std::size_t i = result.lims[a]; i < result.lims[a + 1]; ++i) {
            expected.emplace_back(a, static_cast<std::uint32_t>(result.labels[i]),
                                  static_cast<std::uint32_t>(result.distances[i]));
        }
    }
    std::sort(expected.begin(), expected.end());
    EXPECT_GT(expected.size(), left.size());
    for (const JoinMethod method :
         {JoinMethod::automatic, JoinMethod::blocks, JoinMethod::brute, JoinMethod::faiss}) {
        EXPECT_TRUE(pairs_of({left}, {right}, {threshold}, {.threads = 2, .method = method}) ==
                    expected)
            << "method " << static_cast<int>(method);
    }
#endif
}

TEST(RangeSearchPlugin, AMissingOneSaysSo) {
    try {
        load_range_search("/nowhere/vamhash_faiss.so", "faiss");
        ADD_FAILURE() << "nothing was thrown";
    } catch (const JoinMethodMissing& error) {
        const std::string message = error.what();
        EXPECT_EQ(message.find("the join method faiss is not installed: "), 0U) << message;
        EXPECT_NE(message.find("/nowhere/vamhash_faiss.so"), std::string::npos) << message;
        EXPECT_EQ(message.find('\n'), std::string::npos);
    }
}

TEST(RangeSearchPlugin, AnotherLibraryIsNoPlugin) {
    try {
        load_range_search("libm.so.6", "faiss");
        ADD_FAILURE() << "nothing was thrown";
    } catch (const JoinMethodMissing& error) {
        EXPECT_STREQ(error.what(), "the join method faiss is not installed: "
                                   "libm.so.6 is not a plugin of vamhash");
    }
}

TEST(RangeSearchPlugin, IsLookedForBesideTheProgram) {
    const std::filesystem::path path = path_beside_program("vamhash_faiss.so");
    EXPECT_EQ(path.filename(), "vamhash_faiss.so");
    EXPECT_TRUE(std::filesystem::exists(path.parent_path() / "faiss_join_test")) << path;
}

#ifndef VAMHASH_FAISS
TEST(FaissJoinWithoutPlugin, EveryJoinSaysSo) {
    const std::vector<Column> codes{{1, 2, 3}};
    EXPECT_THROW(pairs_of(codes, {}, {1}, {.method = JoinMethod::faiss}), JoinMethodMissing);
    EXPECT_THROW(pairs_of(codes, codes, {1}, {.method = JoinMethod::faiss}), JoinMethodMissing);
    EXPECT_THROW(similar_groups(
                     codes[0], 1, GroupMethod::star, {.method = JoinMethod::faiss},
                     [](std::span<const GroupedRow>) { return std::vector<std::uint32_t>(); },
                     [](std::span<const Member>) {}),
                 JoinMethodMissing);
}
#endif

} // namespace
} // namespace vamhash
