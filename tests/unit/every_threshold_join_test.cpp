// 10^5 rows against brute force: every threshold up to 16, every instruction set, one thread and
// two, with and without a tight limit on memory. What would take minutes more is left out, unless
// VAMHASH_TEST_ALL=1 is in the environment.
#include "join_data.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

namespace vamhash {
namespace {

using namespace test;

constexpr std::size_t rows = 100000;
constexpr int largest_threshold = 16;
// The columns and the buffers, and a few megabytes for groups of rows, which need five.
constexpr std::uint64_t tight = 13U << 20;
constexpr std::uint64_t tight_thread = 3U << 20;

// Portable code is forty times slower: where it is left out, the other instruction sets see the
// same plans.
bool left_out(Isa isa, int threshold, std::uint64_t limit) {
    static const bool all = std::getenv("VAMHASH_TEST_ALL") != nullptr;
    return !all && ((isa == Isa::scalar && threshold > 8) ||
                    (limit != 0 && threshold % 4 != 0 && isa != best_isa()));
}

// The answers of brute force to all thresholds, which is made once, for the largest.
std::vector<Answer> brute_answers(const Column& codes) {
    std::vector<Answer> answers(largest_threshold + 1);
    similar_pairs(spans({codes}), std::vector<int>{largest_threshold},
                  {.method = JoinMethod::brute}, [&](std::span<const Pair> batch) {
                      for (const Pair& pair : batch) {
                          answers[pair.distance].add(pair.a, pair.b, pair.distance);
                      }
                  });
    for (int threshold = 1; threshold <= largest_threshold; ++threshold) {
        answers[threshold].pairs += answers[threshold - 1].pairs;
        answers[threshold].sum += answers[threshold - 1].sum;
    }
    return answers;
}

class EveryThresholdJoin : public testing::TestWithParam<const char*> {};

TEST_P(EveryThresholdJoin, Pairs) {
    const std::string name = GetParam();
    const Column codes = name == "uniform"   ? uniform_codes(rows, 1)
                         : name == "planted" ? planted_codes(rows, 2, 20)
                                             : skewed_codes(rows, 3, 5, 30);
    const std::vector<Answer> expected = brute_answers(codes);
    EXPECT_LT(expected.back().pairs, 10000000U);
    EXPECT_GT(expected.back().pairs, 1000U);
    for (int threshold = 0; threshold <= largest_threshold; ++threshold) {
        for (const Isa isa : available_isas()) {
            for (const unsigned threads : {1U, 2U}) {
                for (const std::uint64_t limit :
                     {std::uint64_t{0}, tight + (threads - 1) * tight_thread}) {
                    if (left_out(isa, threshold, limit)) {
                        continue;
                    }
                    Answer answer;
                    const JoinReport report = similar_pairs(
                        spans({codes}), std::vector<int>{threshold},
                        {.threads = threads,
                         .isa = isa,
                         .method = threshold > 12 ? JoinMethod::automatic : JoinMethod::blocks,
                         .memory_limit = limit},
                        adding_to(answer));
                    EXPECT_EQ(answer, expected[threshold])
                        << name << ", threshold " << threshold << ", " << isa_name(isa) << ", "
                        << threads << " threads, limit " << limit;
                    if (limit != 0 && report.tables != 0) {
                        EXPECT_GT(report.passes, 1U);
                    }
                }
            }
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Data, EveryThresholdJoin, testing::Values("uniform", "planted", "skewed"),
                         [](const auto& test) { return std::string(test.param); });

} // namespace
} // namespace vamhash
