// Joins within a limit on memory: in passes over ranges of keys.
#include "join_data.h"
#include "test_size.h"

#include <gtest/gtest.h>

#include <string>

namespace vamhash {
namespace {

using namespace test;

constexpr std::uint64_t megabyte = 1U << 20;

// Joins `left` with itself, or with `right` where that is not null.
Answer join(const std::vector<Column>& left, const std::vector<Column>* right,
            const std::vector<int>& thresholds, const JoinOptions& options, JoinReport& report) {
    Answer answer;
    report = right == nullptr ? similar_pairs(spans(left), thresholds, options, adding_to(answer))
                              : similar_pairs_between(spans(left), spans(*right), thresholds,
                                                      options, adding_to(answer));
    EXPECT_EQ(report.pairs, answer.pairs);
    return answer;
}

// Expects the answer of brute force from passes, of which there are several.
void expect_passes(const std::vector<Column>& left, const std::vector<Column>* right,
                   const std::vector<int>& thresholds, std::uint64_t limit) {
    JoinReport report;
    const Answer expected = join(left, right, thresholds, {.method = JoinMethod::brute}, report);
    for (const Isa isa : available_isas()) {
        if (is_small() && isa != best_isa()) {
            continue;
        }
        for (const unsigned threads : {1U, 2U}) {
            const JoinOptions options{.threads = threads,
                                      .isa = isa,
                                      .method = JoinMethod::blocks,
                                      .memory_limit = limit + (threads - 1) * 3 * megabyte};
            EXPECT_EQ(join(left, right, thresholds, options, report), expected)
                << isa_name(isa) << ", " << threads << " threads, threshold " << thresholds[0];
            EXPECT_GT(report.passes, report.tables / 4) << "the limit has no effect";
        }
    }
}

TEST(LimitedJoin, ManyRows) {
    const Column planted = planted_codes(200000, 1, 20);
    for (const int threshold : {0, 5, 8}) {
        expect_passes({planted}, nullptr, {threshold}, 14 * megabyte);
    }
}

TEST(LimitedJoin, HeavyValues) {
    const Column skewed = skewed_codes(150000, 2, 5, 50);
    for (const int threshold : {0, 3, 7}) {
        expect_passes({skewed}, nullptr, {threshold}, 13 * megabyte);
    }
}

TEST(LimitedJoin, TwoSets) {
    const std::vector<Column> left{planted_codes(50000, 3, 10)};
    const std::vector<Column> right{planted_codes(200000, 4, 10, left[0])};
    for (const int threshold : {0, 4, 8}) {
        expect_passes(left, &right, {threshold}, 14 * megabyte);
        expect_passes(right, &left, {threshold}, 14 * megabyte);
    }
}

TEST(LimitedJoin, SeveralColumns) {
    const Column planted = planted_codes(150000, 5, 20);
    Column other = planted;
    std::mt19937_64 random(6);
    for (std::uint64_t& code : other) {
        code = near(code, 4, random);
    }
    expect_passes({planted, other}, nullptr, {5, 5}, 14 * megabyte);
    expect_passes({skewed_codes(150000, 7, 3, 50), planted}, nullptr, {2, 30}, 14 * megabyte);
}

// Throws the join's message, or nothing.
std::string refusal(const Column& codes, std::uint64_t limit) {
    try {
        similar_pairs(spans({codes}), std::vector<int>{5},
                      {.threads = 1, .method = JoinMethod::blocks, .memory_limit = limit},
                      [](std::span<const Pair>) { FAIL() << "pairs before the refusal"; });
    } catch (const JoinMemoryExceeded& error) {
        return error.what();
    }
    return "";
}

TEST(LimitedJoin, RefusesWhatDoesNotFit) {
    EXPECT_EQ(refusal(uniform_codes(300000, 8), megabyte),
              "the join needs at least 12 MB of memory, and may take 1 MB")
        << "the columns and the buffers alone";
    EXPECT_NE(refusal(Column(300000, 42), 14 * megabyte), "") << "one value has all rows";
    EXPECT_EQ(refusal(uniform_codes(300000, 8), 14 * megabyte), "");
}

} // namespace
} // namespace vamhash
