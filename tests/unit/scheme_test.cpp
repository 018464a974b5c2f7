// Schemes: every pair within the threshold shares a key, and one table emits it.
#include "join/plan.h"

#include "test_size.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

namespace vamhash {
namespace {

// The number of tables that emit a pair of codes with this difference.
int emissions(const Scheme& scheme, const std::vector<std::vector<EmissionRule>>& rules,
              std::uint64_t difference, const BucketKernels& kernels, Candidates& candidates) {
    int emitted = 0;
    for (std::size_t part = 0; part < scheme.parts.size(); ++part) {
        const std::vector<Table> tables = tables_of(scheme.parts[part]);
        for (std::size_t i = 0; i < tables.size(); ++i) {
            if ((difference & key_mask(scheme.parts[part], tables[i])) == 0) {
                candidates.left[0] = difference;
                candidates.right[0] = 0;
                candidates.count = 1;
                emitted += static_cast<int>(kernels.select_new(candidates, rules[part][i]));
            }
        }
    }
    return emitted;
}

std::vector<std::vector<EmissionRule>> rules_of(const Scheme& scheme) {
    std::vector<std::vector<EmissionRule>> rules;
    for (std::size_t part = 0; part < scheme.parts.size(); ++part) {
        rules.emplace_back();
        for (const Table& table : tables_of(scheme.parts[part])) {
            rules.back().push_back(emission_rule(scheme, part, table));
        }
    }
    return rules;
}

// A difference of exactly `distance` bits.
std::uint64_t random_difference(int distance, std::mt19937_64& random) {
    std::uint64_t difference = 0;
    while (std::popcount(difference) < distance) {
        difference |= 1ULL << random() % 64;
    }
    return difference;
}

TEST(Scheme, EveryPairIsEmittedOnce) {
    std::mt19937_64 random(1);
    auto candidates = std::make_unique<Candidates>();
    std::size_t differences = 0;
    std::size_t schemes = 0;
    const int tries = test::is_small() ? 4 : 24; // a scheme
    for (int threshold = 0; threshold <= 20; ++threshold) {
        for (const double values : {5e3, 1e6, 1e8}) {
            std::vector<Scheme> possible = possible_schemes(threshold, values);
            ASSERT_FALSE(possible.empty()) << threshold;
            possible.push_back(one_bucket());
            for (const Scheme& scheme : possible) {
                if (scheme.tables() > 150 && random() % 16 != 0) {
                    continue; // large ones take most of the time
                }
                ++schemes;
                const auto rules = rules_of(scheme);
                for (int i = 0; i < tries; ++i, ++differences) {
                    const int distance =
                        i < tries / 2 ? threshold : static_cast<int>(random() % (threshold + 1));
                    const std::uint64_t difference = random_difference(distance, random);
                    for (const Isa isa : available_isas()) {
                        ASSERT_EQ(emissions(scheme, rules, difference, bucket_kernels_for(isa),
                                            *candidates),
                                  1)
                            << "threshold " << threshold << ", difference " << difference << ", "
                            << scheme.parts.size() << " parts, " << scheme.parts[0].selected
                            << " selected";
                    }
                }
            }
        }
    }
    EXPECT_GT(differences, tries * 8000U);
    EXPECT_GT(schemes, 8000U);
}

// Beyond the threshold a pair may be found in no table, and never in two.
TEST(Scheme, NoPairIsEmittedTwice) {
    std::mt19937_64 random(2);
    auto candidates = std::make_unique<Candidates>();
    for (const int threshold : {3, 8, 12}) {
        for (int parts = 1; parts <= 4; ++parts) {
            const Scheme scheme = make_scheme(threshold, parts, 2, 12);
            const auto rules = rules_of(scheme);
            for (int i = 0; i < 2000; ++i) {
                const std::uint64_t difference =
                    random_difference(static_cast<int>(random() % 65), random);
                EXPECT_LE(emissions(scheme, rules, difference, bucket_kernels_for(best_isa()),
                                    *candidates),
                          1);
            }
        }
    }
}

TEST(Scheme, BlocksAreDisjointAndPartsSharePigeonholes) {
    for (const Scheme& scheme : possible_schemes(9, 1e6)) {
        std::uint64_t seen = 0;
        int pigeonholes = 0; // sum(tolerance + 1)
        for (const Part& part : scheme.parts) {
            for (const std::uint64_t block : part.blocks) {
                EXPECT_NE(block, 0U);
                EXPECT_EQ(seen & block, 0U);
                seen |= block;
            }
            pigeonholes += static_cast<int>(part.blocks.size()) - part.selected + 1;
        }
        EXPECT_EQ(pigeonholes, 10);
    }
}

TEST(Scheme, TablesAreAllChoicesInOrder) {
    const Part part{{1, 2, 4, 8, 16}, 3};
    const std::vector<Table> tables = tables_of(part);
    EXPECT_EQ(tables.size(), 10U);
    for (std::size_t i = 1; i < tables.size(); ++i) {
        EXPECT_LT(tables[i - 1].blocks, tables[i].blocks);
    }
    EXPECT_EQ(key_mask(part, tables.front()), 7U);
    EXPECT_EQ(key_mask(part, tables.back()), 28U);
    EXPECT_EQ(key_mask(part, tables.back(), 1), 4U);
}

TEST(BitOrder, KeepsDistances) {
    std::mt19937_64 random(4);
    for (const BitOrder& order :
         {BitOrder(), BitOrder::transposed(), BitOrder::strided(5), BitOrder::strided(27)}) {
        for (int i = 0; i < 1000; ++i) {
            const std::uint64_t a = random();
            const std::uint64_t b = random();
            EXPECT_EQ(std::popcount(order.apply(a) ^ order.apply(b)), std::popcount(a ^ b));
            EXPECT_EQ(order.undo(order.apply(a)), a);
        }
    }
    EXPECT_EQ(BitOrder::transposed().apply(0xff), 0x0101010101010101U);
    EXPECT_EQ(BitOrder::strided(5).apply(1ULL << 13), 2U);
}

} // namespace
} // namespace vamhash
