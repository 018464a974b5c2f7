// What a join tells of itself.
#include "join_data.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

namespace vamhash {
namespace {

using namespace test;

// The progress of a join, whose sink takes its time so that there is some.
std::vector<JoinProgress> progress_of(const Column& codes, int threshold, JoinOptions options,
                                      JoinReport& report) {
    std::vector<JoinProgress> told;
    std::uint64_t pairs = 0;
    bool inside = false;
    options.progress = [&](const JoinProgress& progress) {
        EXPECT_FALSE(inside);
        EXPECT_EQ(progress.pairs, pairs) << "under the lock of the pair sink";
        told.push_back(progress);
    };
    report = similar_pairs(spans({codes}), std::vector<int>{threshold}, options,
                           [&](std::span<const Pair> batch) {
                               inside = true;
                               pairs += batch.size();
                               inside = false;
                           });
    return told;
}

TEST(JoinReport, ProgressGrowsToTheTotals) {
    const Column codes = planted_codes(400000, 1, 10);
    for (const JoinMethod method : {JoinMethod::blocks, JoinMethod::automatic}) {
        for (const unsigned threads : {1U, 2U}) {
            JoinReport report;
            const std::vector<JoinProgress> told =
                progress_of(codes, 9, {.threads = threads, .method = method}, report);
            ASSERT_FALSE(told.empty());
            EXPECT_LT(told.size(), 11 * (1 + report.grouping_seconds + report.planning_seconds +
                                         report.comparing_seconds))
                << "some times a second";
            for (std::size_t i = 1; i < told.size(); ++i) {
                EXPECT_LE(told[i - 1].candidates, told[i].candidates);
                EXPECT_LE(told[i - 1].pairs, told[i].pairs);
                EXPECT_LE(told[i].done, told[i].total);
                if (told[i - 1].phase == told[i].phase) {
                    EXPECT_LE(told[i - 1].done, told[i].done);
                }
            }
            EXPECT_EQ(told.back().phase, JoinPhase::comparing);
            EXPECT_EQ(told.back().done, report.tables);
            EXPECT_EQ(told.back().total, report.tables);
            EXPECT_EQ(told.back().candidates, report.candidates);
            EXPECT_EQ(told.back().pairs, report.pairs);
        }
    }
}

// Few bits differ: one pair in three hundred is within a bit.
TEST(JoinReport, EstimatesThePairsOfDenseData) {
    Column codes = uniform_codes(40000, 2);
    for (std::uint64_t& code : codes) {
        code &= 0xfff;
    }
    JoinReport report;
    const double estimated =
        progress_of(codes, 1, {.method = JoinMethod::blocks}, report).back().estimated_pairs;
    EXPECT_GT(estimated, 0.9 * static_cast<double>(report.pairs));
    EXPECT_LT(estimated, 1.1 * static_cast<double>(report.pairs));
    EXPECT_EQ(progress_of(uniform_codes(40000, 3), 1, {}, report).back().estimated_pairs, -1)
        << "a sample without pairs says nothing";
}

TEST(JoinReport, SaysWhatWasDone) {
    Column codes = uniform_codes(100000, 4);
    std::copy_n(codes.begin(), 1000, codes.begin() + 50000);
    Answer answer;
    const JoinReport report =
        similar_pairs(spans({codes}), std::vector<int>{5},
                      {.threads = 2, .method = JoinMethod::blocks}, adding_to(answer));
    EXPECT_EQ(report.left_rows, 100000U);
    EXPECT_EQ(report.right_rows, 0U);
    EXPECT_EQ(report.left_values, 99000U);
    EXPECT_EQ(report.right_values, 0U);
    EXPECT_EQ(report.pairs, answer.pairs);
    EXPECT_EQ(report.pairs, 1000U);
    EXPECT_GT(report.tables, 2U);
    EXPECT_EQ(report.passes, 1U);
    EXPECT_EQ(report.threads, 2U);
    EXPECT_EQ(report.isa, isa_name(best_isa()));
    EXPECT_NE(report.scheme.find("part"), std::string::npos) << report.scheme;
    EXPECT_GT(report.grouping_seconds, 0);
    EXPECT_GT(report.comparing_seconds, 0);
    EXPECT_EQ(report.forming_seconds, 0);
    for (int threshold = 0; threshold <= 64; ++threshold) {
        const JoinReport other =
            similar_pairs(spans({uniform_codes(300, 5)}), std::vector<int>{threshold},
                          {.method = JoinMethod::blocks}, [](std::span<const Pair>) {});
        EXPECT_LE(other.scheme.size(), 95U) << other.scheme;
    }
}

// Every pair of different values within the threshold is a candidate, at least once.
TEST(JoinReport, CandidatesAreAtLeastTheirPairs) {
    const Column codes = planted_codes(60000, 6, 5);
    for (const JoinMethod method : {JoinMethod::blocks, JoinMethod::brute}) {
        JoinReport report = similar_pairs(spans({codes}), std::vector<int>{7}, {.method = method},
                                          [](std::span<const Pair>) {});
        Answer equal;
        similar_pairs(spans({codes}), std::vector<int>{0}, {}, adding_to(equal));
        EXPECT_GE(report.candidates + equal.pairs, report.pairs);
        EXPECT_GT(report.candidates, 0U);
    }
}

TEST(JoinReport, AnExceptionOfTheProgressSinkEndsTheJoin) {
    const Column codes = planted_codes(300000, 7, 10);
    for (const unsigned threads : {1U, 2U}) {
        int calls = 0;
        JoinOptions options{.threads = threads};
        options.progress = [&](const JoinProgress&) {
            ++calls;
            throw std::runtime_error("nobody listens");
        };
        EXPECT_THROW(similar_pairs(spans({codes}), std::vector<int>{10}, options,
                                   [](std::span<const Pair>) {}),
                     std::runtime_error);
        EXPECT_EQ(calls, 1);
    }
}

} // namespace
} // namespace vamhash
