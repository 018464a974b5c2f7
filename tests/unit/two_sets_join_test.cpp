// Joins of two sets against a double loop and against brute force.
#include "join_data.h"
#include "test_size.h"

#include <gtest/gtest.h>

#include <string>

namespace vamhash {
namespace {

using namespace test;

Answer join(const std::vector<Column>& left, const std::vector<Column>& right,
            const std::vector<int>& thresholds, const JoinOptions& options) {
    Answer answer;
    const JoinReport report =
        similar_pairs_between(spans(left), spans(right), thresholds, options, adding_to(answer));
    EXPECT_EQ(report.left_rows, left[0].size());
    EXPECT_EQ(report.right_rows, right[0].size());
    EXPECT_EQ(report.pairs, answer.pairs);
    return answer;
}

// Expects the answer from every instruction set, number of threads and method.
void expect_answer(const Answer& expected, const std::vector<Column>& left,
                   const std::vector<Column>& right, const std::vector<int>& thresholds) {
    for (const Isa isa : available_isas()) {
        for (const unsigned threads : {1U, 2U}) {
            for (const JoinMethod method : {JoinMethod::blocks, JoinMethod::automatic}) {
                EXPECT_EQ(join(left, right, thresholds,
                               {.threads = threads, .isa = isa, .method = method}),
                          expected)
                    << left[0].size() << " x " << right[0].size() << " rows, threshold "
                    << thresholds[0] << ", " << isa_name(isa) << ", " << threads
                    << " threads, method " << static_cast<int>(method);
            }
        }
    }
}

void expect_exact(const std::vector<Column>& left, const std::vector<Column>& right,
                  const std::vector<int>& thresholds) {
    expect_answer(naive_answer(left, &right, thresholds), left, right, thresholds);
}

TEST(TwoSetsJoin, FewRows) {
    for (const std::size_t left : {0, 1, 2, 3, 9, 17, 33, 70}) {
        for (const std::size_t right : {0, 1, 2, 8, 16, 31, 65, 100}) {
            const Column a = planted_codes(left, 1, 2);
            const Column b = planted_codes(right, 2, 2, a);
            for (const int threshold : {0, 3, 7, 8, 16, 64}) {
                expect_exact({a}, {b}, {threshold});
            }
        }
    }
}

TEST(TwoSetsJoin, EveryThresholdUpTo16) {
    const Column a = planted_codes(2500, 3, 2);
    const Column b = planted_codes(4000, 4, 2, a);
    const Column skewed_a = skewed_codes(1500, 5, 30, 50);
    const Column skewed_b = skewed_codes(3000, 6, 30, 50);
    for (int threshold = 0; threshold <= 16; ++threshold) {
        expect_exact({a}, {b}, {threshold});
        expect_exact({skewed_b}, {skewed_a}, {threshold});
    }
}

TEST(TwoSetsJoin, SizesAtTheBordersOfTilesAndBuckets) {
    for (const std::size_t left : {1023, 2049}) {
        for (const std::size_t right : {1024, 4100}) {
            const Column a = planted_codes(left, 7, 3);
            const Column b = planted_codes(right, 8, 3, a);
            for (const int threshold : {0, 6, 9, 20}) {
                expect_exact({a}, {b}, {threshold});
            }
        }
    }
}

TEST(TwoSetsJoin, EqualRows) {
    expect_exact({Column(300, 7)}, {Column(5000, 7)}, {0});
    expect_exact({Column(300, 7)}, {Column(5000, 6)}, {1});
    expect_exact({Column(300, 7)}, {Column(5000, 6)}, {0});
}

// Neighbouring numbers share most keys: their buckets are compared tile by tile, by all threads.
TEST(TwoSetsJoin, HotBuckets) {
    Column a(sized(9000));
    Column b(sized(15000, 5000));
    for (std::size_t i = 0; i < b.size(); ++i) {
        b[i] = i;
        if (i < a.size()) {
            a[i] = 3 * i;
        }
    }
    expect_exact({a}, {b}, {1});
    expect_exact({b}, {a}, {2});
}

TEST(TwoSetsJoin, SeveralColumns) {
    const Column a = planted_codes(3000, 9, 2);
    const Column b = planted_codes(6000, 10, 2, a);
    const Column a2 = skewed_codes(3000, 11, 50, 5);
    const Column b2 = skewed_codes(6000, 12, 50, 5);
    expect_exact({a, a2}, {b, b2}, {10, 20});
    expect_exact({a2, a}, {b2, b}, {6, 12});
    expect_exact({b2, b}, {a2, a}, {0, 20});
    expect_exact({a2, a2}, {b2, b2}, {3, 64});
}

TEST(TwoSetsJoin, ManyRows) {
    const Column a = planted_codes(sized(30000, 10000), 13, 10);
    const Column b = planted_codes(sized(100000, 40000), 14, 10, a);
    for (const int threshold : {0, 2, 5, 8, 11}) {
        const Answer expected = join({a}, {b}, {threshold}, {.method = JoinMethod::brute});
        EXPECT_GT(expected.pairs, 100U);
        expect_answer(expected, {a}, {b}, {threshold});
        const Answer turned = join({b}, {a}, {threshold}, {.method = JoinMethod::brute});
        EXPECT_EQ(join({b}, {a}, {threshold}, {}), turned);
        EXPECT_EQ(turned.pairs, expected.pairs);
    }
}

// Grouping ten thousand times as many rows costs more than comparing them.
TEST(TwoSetsJoin, AFewRowsMeetManyByBruteForce) {
    const Column a = uniform_codes(20, 15);
    const Column b = planted_codes(200000, 16, 50, a);
    Answer answer;
    const JoinReport report =
        similar_pairs_between(spans({a}), spans({b}), std::vector<int>{5}, {}, adding_to(answer));
    EXPECT_EQ(report.scheme, "brute force");
    EXPECT_EQ(report.tables, 0U);
    const std::vector<Column> right{b};
    EXPECT_EQ(answer, naive_answer({a}, &right, {5}));
}

} // namespace
} // namespace vamhash
