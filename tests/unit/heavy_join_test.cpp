// Joins with values that thousands of rows share, in several columns, and limits on pairs.
#include "join_data.h"
#include "test_size.h"

#include <gtest/gtest.h>

#include <chrono>
#include <numeric>
#include <string>

namespace vamhash {
namespace {

using namespace test;

constexpr std::uint64_t heavy = 0x00ff00ff00ff00ff;

// `codes`, of which some rows from `first` on have one value.
Column with_heavy(Column codes, std::size_t first, std::size_t rows, std::uint64_t value) {
    std::fill_n(codes.begin() + static_cast<std::ptrdiff_t>(first), rows, value);
    return codes;
}

Answer join(const std::vector<Column>& left, const std::vector<Column>* right,
            const std::vector<int>& thresholds, const JoinOptions& options) {
    Answer answer;
    if (right == nullptr) {
        similar_pairs(spans(left), thresholds, options, adding_to(answer));
    } else {
        similar_pairs_between(spans(left), spans(*right), thresholds, options, adding_to(answer));
    }
    return answer;
}

void expect_exact(const std::vector<Column>& left, const std::vector<Column>* right,
                  const std::vector<int>& thresholds) {
    const Answer expected = join(left, right, thresholds, {.method = JoinMethod::brute});
    EXPECT_GT(expected.pairs, 50U);
    for (const unsigned threads : {1U, 2U}) {
        if (is_small() && threads == 1) {
            continue;
        }
        for (const std::uint64_t limit : {0U, 26U << 20}) {
            EXPECT_EQ(
                join(left, right, thresholds,
                     {.threads = threads, .method = JoinMethod::blocks, .memory_limit = limit}),
                expected)
                << threads << " threads, limit " << limit;
        }
    }
}

// Two heavy values near each other, which are joined in the other columns.
TEST(HeavyJoin, GroupsInSeveralColumns) {
    Column first = with_heavy(uniform_codes(30000, 1), 100, 9000, heavy);
    first = with_heavy(first, 20000, 7000, heavy ^ 5);
    const Column second = planted_codes(30000, 2, 10);
    const Column third = with_heavy(planted_codes(30000, 3, 10), 1000, 25000, heavy);
    expect_exact({first, second}, nullptr, {3, 9});
    expect_exact({second, first}, nullptr, {9, 3});
    expect_exact({first, third, second}, nullptr, {2, 3, 10});
    expect_exact({second, third, first}, nullptr, {10, 3, 2});
}

TEST(HeavyJoin, GroupsInSeveralColumnsOfTwoSets) {
    const Column second = planted_codes(20000, 4, 5);
    const std::vector<Column> left{with_heavy(uniform_codes(20000, 5), 0, 8000, heavy), second};
    const std::vector<Column> right{with_heavy(uniform_codes(30000, 6), 3000, 9000, heavy ^ 1),
                                    planted_codes(30000, 7, 5, second)};
    expect_exact(left, &right, {2, 10});
    expect_exact(right, &left, {2, 10});
    const std::vector<Column> left_turned{left[1], left[0]};
    const std::vector<Column> right_turned{right[1], right[0]};
    expect_exact(right_turned, &left_turned, {10, 2});
}

// 2 * 10^10 pairs to verify one by one: minutes.
TEST(HeavyJoin, OneValueOfAColumnCostsNoMoreThanTheOther) {
    const Column same(200000, heavy);
    const Column other = planted_codes(200000, 8, 20);
    const Answer expected = join({other}, nullptr, {6}, {});
    EXPECT_GT(expected.pairs, 1000U);
    Answer answer;
    const JoinReport report =
        similar_pairs(spans({other, same}), std::vector<int>{6, 0}, {}, adding_to(answer));
    EXPECT_EQ(answer, expected);
    EXPECT_LT(report.candidates, 10000000U);
    // Brute force in the heavy column would be the other way.
    EXPECT_EQ(join({same, same, other}, nullptr, {0, 0, 6}, {.method = JoinMethod::blocks}).pairs,
              expected.pairs);
}

// What a join that passes max_pairs says; the pairs given before in `pairs`.
std::vector<TooManyPairs::Heavy> heaviest(const std::vector<Column>& left,
                                          const std::vector<Column>* right,
                                          const std::vector<int>& thresholds, JoinOptions options,
                                          std::uint64_t& pairs) {
    pairs = 0;
    const PairSink count = [&](std::span<const Pair> batch) { pairs += batch.size(); };
    try {
        if (right == nullptr) {
            similar_pairs(spans(left), thresholds, options, count);
        } else {
            similar_pairs_between(spans(left), spans(*right), thresholds, options, count);
        }
    } catch (const TooManyPairs& error) {
        EXPECT_EQ(error.what(),
                  "the join finds more than " + std::to_string(options.max_pairs) + " pairs");
        return error.heaviest();
    }
    return {{0, 0}};
}

constexpr JoinMethod both_methods[] = {JoinMethod::blocks, JoinMethod::brute};

TEST(MaxPairs, AtTheBound) {
    const Column codes = planted_codes(20000, 9, 5);
    const Answer all = join({codes}, nullptr, {8}, {});
    for (const JoinMethod method : both_methods) {
        for (const unsigned threads : {1U, 2U}) {
            Answer answer;
            similar_pairs(spans({codes}), std::vector<int>{8},
                          {.threads = threads, .method = method, .max_pairs = all.pairs},
                          adding_to(answer));
            EXPECT_EQ(answer, all);
            std::uint64_t pairs = 0;
            EXPECT_TRUE(heaviest({codes}, nullptr, {8},
                                 {.threads = threads, .method = method, .max_pairs = all.pairs - 1},
                                 pairs)
                            .size() <= 5);
            EXPECT_LE(pairs, all.pairs - 1);
        }
    }
}

// 1000 and 500 equal rows: 624,250 pairs, which are known before any comparison.
TEST(MaxPairs, EqualRowsAreCountedFirst) {
    Column codes = with_heavy(uniform_codes(20000, 10), 10, 1000, 7);
    codes = with_heavy(codes, 5000, 500, 8);
    for (const JoinMethod method : both_methods) {
        std::uint64_t pairs = 0;
        const auto found =
            heaviest({codes}, nullptr, {0}, {.method = method, .max_pairs = 624249}, pairs);
        EXPECT_EQ(pairs, 0U);
        ASSERT_EQ(found.size(), 2U);
        EXPECT_EQ(found[0].hash, 7U);
        EXPECT_EQ(found[0].rows, 1000U);
        EXPECT_EQ(found[1].hash, 8U);
        EXPECT_EQ(found[1].rows, 500U);
        Answer answer;
        similar_pairs(spans({codes}), std::vector<int>{0}, {.method = method, .max_pairs = 624250},
                      adding_to(answer));
        EXPECT_EQ(answer.pairs, 624250U);
    }
}

// Rows that are equal in one column are not yet pairs.
TEST(MaxPairs, EqualInAllColumns) {
    const Column one(sized(20000), 3);
    Column two = with_heavy(uniform_codes(one.size(), 11), 500, 300, 9);
    for (const JoinMethod method : both_methods) {
        std::uint64_t pairs = 0;
        Answer answer;
        similar_pairs(spans({one, two}), std::vector<int>{0, 0},
                      {.method = method, .max_pairs = 44850}, adding_to(answer));
        EXPECT_EQ(answer.pairs, 44850U);
        EXPECT_FALSE(
            heaviest({one, two}, nullptr, {0, 0}, {.method = method, .max_pairs = 44849}, pairs)
                .empty());
        EXPECT_EQ(pairs, 0U);
    }
}

TEST(MaxPairs, EqualRowsOfTwoSets) {
    const Column left = with_heavy(uniform_codes(8000, 12), 0, 300, 7);
    const Column right = with_heavy(uniform_codes(9000, 13), 100, 200, 7);
    for (const JoinMethod method : both_methods) {
        for (const auto& [a, b] : {std::pair(left, right), std::pair(right, left)}) {
            const std::vector<Column> others{b};
            std::uint64_t pairs = 0;
            const auto found =
                heaviest({a}, &others, {0}, {.method = method, .max_pairs = 59999}, pairs);
            EXPECT_EQ(pairs, 0U);
            ASSERT_EQ(found.size(), 1U);
            EXPECT_EQ(found[0].hash, 7U);
            EXPECT_EQ(found[0].rows, 500U);
            EXPECT_EQ(join({a}, &others, {0}, {.method = method, .max_pairs = 60000}).pairs,
                      60000U);
        }
    }
}

} // namespace
} // namespace vamhash
