// The join's kernels one by one, for every instruction set of this machine: at all sizes around
// those of their vectors, blocks and groups, against double loops.
#include "join/bucket.h"
#include "join/large_array.h"
#include "join/partition.h"
#include "join/scheme.h"
#include "join/tile.h"
#include "simd/isa.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace vamhash {
namespace {

using Codes = std::vector<std::uint64_t>;
using CodePair = std::pair<std::uint64_t, std::uint64_t>;

class JoinKernels : public testing::TestWithParam<Isa> {};

INSTANTIATE_TEST_SUITE_P(EveryIsa, JoinKernels, testing::ValuesIn(available_isas()),
                         [](const auto& info) { return std::string(isa_name(info.param)); });

// Random codes, half of them an earlier one with up to 20 bits changed.
Codes planted_codes(std::size_t size, std::mt19937_64& random) {
    Codes codes(size);
    for (std::size_t i = 0; i < size; ++i) {
        codes[i] = random();
        if (i > 0 && random() % 2 == 0) {
            codes[i] = codes[random() % i];
            for (std::uint64_t flips = random() % 21; flips > 0; --flips) {
                codes[i] ^= 1ULL << random() % 64;
            }
        }
    }
    return codes;
}

// What a kernel gives as candidates.
class Collected {
  public:
    Collected() {
        candidates_->count = 0;
        candidates_->owner = this;
        candidates_->flush = [](Candidates& full) { static_cast<Collected*>(full.owner)->take(); };
    }
    Collected(const Collected&) = delete;
    Collected& operator=(const Collected&) = delete;

    Candidates& candidates() { return *candidates_; }

    // All pairs, sorted; the smaller code of each first.
    std::vector<CodePair> pairs() {
        take();
        std::sort(pairs_.begin(), pairs_.end());
        return std::move(pairs_);
    }

  private:
    void take() {
        ASSERT_LE(candidates_->count, Candidates::capacity);
        for (std::size_t i = 0; i < candidates_->count; ++i) {
            pairs_.push_back(std::minmax(candidates_->left[i], candidates_->right[i]));
        }
        candidates_->count = 0;
    }

    std::unique_ptr<Candidates> candidates_ = std::make_unique<Candidates>();
    std::vector<CodePair> pairs_;
};

// The pairs within the threshold: of one span's codes with those behind them, or of two spans'.
std::vector<CodePair> close_pairs(std::span<const std::uint64_t> left,
                                  std::span<const std::uint64_t> right, int threshold) {
    std::vector<CodePair> pairs;
    for (std::size_t a = 0; a < left.size(); ++a) {
        for (std::size_t b = left.data() == right.data() ? a + 1 : 0; b < right.size(); ++b) {
            if (std::popcount(left[a] ^ right[b]) <= threshold) {
                pairs.push_back(std::minmax(left[a], right[b]));
            }
        }
    }
    return pairs;
}

// Codes as the join keeps them: more than they may be read.
LargeArray<std::uint64_t> kept(const Codes& codes) {
    LargeArray<std::uint64_t> array(codes.size());
    std::copy(codes.begin(), codes.end(), array.data());
    return array;
}

constexpr std::uint64_t keys[] = {0, 0xfff, 0xfff0000000000000, 0x00ffffffffffff00, 0xff000000ff};

// Buckets of the given sizes, side by side in memory, of codes that agree in the key and are close
// to those of other buckets.
void expect_pairs_within_buckets(Isa isa, const std::vector<std::size_t>& sizes, std::uint64_t key,
                                 int threshold) {
    std::mt19937_64 random(threshold + sizes.size());
    std::vector<std::uint32_t> borders{0};
    Codes codes;
    const Codes origins = planted_codes(4096, random);
    for (const std::size_t size : sizes) {
        const std::uint64_t own = random() & key;
        for (std::size_t i = 0; i < size; ++i) {
            codes.push_back((origins[random() % (i < 8 ? 8 : 4096)] & ~key) | own);
            codes.back() ^= (1ULL << random() % 64 | 1ULL << random() % 64) & ~key;
        }
        borders.push_back(static_cast<std::uint32_t>(codes.size()));
    }
    std::vector<CodePair> expected;
    for (std::size_t i = 0; i < sizes.size(); ++i) {
        if (sizes[i] <= largest_bucket) {
            const std::span bucket = std::span(codes).subspan(borders[i], sizes[i]);
            const std::vector<CodePair> pairs = close_pairs(bucket, bucket, threshold);
            expected.insert(expected.end(), pairs.begin(), pairs.end());
        }
    }
    std::sort(expected.begin(), expected.end());
    Collected collected;
    bucket_kernels_for(isa).compare_buckets(kept(codes).data(), borders.data(), sizes.size(),
                                            comparison_for(key, threshold), collected.candidates());
    const std::vector<CodePair> pairs = collected.pairs();
    EXPECT_TRUE(pairs == expected)
        << sizes.size() << " buckets, key " << key << ", threshold " << threshold << ": "
        << pairs.size() << " pairs, not " << expected.size();
}

TEST_P(JoinKernels, PairsWithinBuckets) {
    std::vector<std::size_t> small(140);
    std::iota(small.begin(), small.end(), 0);
    for (const std::uint64_t key : keys) {
        for (const int threshold : {0, 1, 5, 7, 8, 9, 11, 12, 20}) {
            expect_pairs_within_buckets(GetParam(), small, key, threshold);
        }
    }
    for (const int threshold : {33, 63, 64}) {
        expect_pairs_within_buckets(GetParam(), {5, 17, 0, 64, 1, 2, 90}, 0, threshold);
    }
    for (const int threshold : {2, 8, 10}) {
        expect_pairs_within_buckets(
            GetParam(), {300, largest_bucket - 1, largest_bucket, largest_bucket + 1, 3}, 0xfff,
            threshold);
    }
}

TEST_P(JoinKernels, PairsOfARectangle) {
    std::mt19937_64 random(1);
    for (const std::uint64_t key : keys) {
        for (const int threshold : {0, 5, 7, 8, 9, 12, 64}) {
            for (const std::size_t left : {1, 2, 3, 15, 16, 17, 40}) {
                for (const std::size_t right : {1, 8, 15, 16, 17, 63, 64, 65, 97, 193, 300}) {
                    Codes codes = planted_codes(left + right, random);
                    for (std::uint64_t& code : codes) {
                        code &= ~key;
                    }
                    const std::span all(codes);
                    std::vector<CodePair> expected =
                        close_pairs(all.first(left), all.subspan(left), threshold);
                    std::sort(expected.begin(), expected.end());
                    const LargeArray<std::uint64_t> array = kept(codes);
                    Collected collected;
                    bucket_kernels_for(GetParam())
                        .compare_rectangle(array.data(), left, array.data() + left, right,
                                           comparison_for(key, threshold), collected.candidates());
                    ASSERT_TRUE(collected.pairs() == expected)
                        << left << " x " << right << ", key " << key << ", threshold " << threshold;
                }
            }
        }
    }
}

TEST_P(JoinKernels, HitsOfATile) {
    std::mt19937_64 random(2);
    for (const int threshold : {0, 5, 7, 8, 9, 30, 64}) {
        for (const std::size_t left : {1, 2, 3, 64}) {
            for (const std::size_t right :
                 {1, 2, 7, 15, 16, 17, 31, 32, 33, 63, 64, 65, 130, 257, 300}) {
                const Codes codes = planted_codes(left + right, random);
                std::vector<std::tuple<std::size_t, std::size_t, int>> expected;
                for (std::size_t a = 0; a < left; ++a) {
                    for (std::size_t b = 0; b < right; ++b) {
                        const int distance = std::popcount(codes[a] ^ codes[left + b]);
                        if (distance <= threshold) {
                            expected.emplace_back(a, b, distance);
                        }
                    }
                }
                // In memory of their own, so that a sanitizer sees what is read behind them.
                const Codes left_codes(codes.begin(), codes.begin() + left);
                const Codes right_codes(codes.begin() + left, codes.end());
                std::vector<Hit> hits(left * right + hit_slack);
                hits.resize(compare_tile_for(GetParam())(
                    left_codes.data(), left, right_codes.data(), right, threshold, hits.data()));
                std::vector<std::tuple<std::size_t, std::size_t, int>> found;
                for (const Hit& hit : hits) {
                    found.emplace_back(hit.a, hit.b, hit.distance);
                }
                std::sort(found.begin(), found.end());
                ASSERT_TRUE(found == expected)
                    << left << " x " << right << ", threshold " << threshold;
            }
        }
    }
}

// Whether the rule lets a pair through, after its words in bucket.h.
bool is_new(std::uint64_t difference, const EmissionRule& rule) {
    const auto equal = [&](std::uint64_t block) { return (difference & block) == 0; };
    const bool differs =
        std::none_of(rule.must_differ, rule.must_differ + rule.must_differ_count, equal);
    return differs && std::none_of(rule.earlier_part, rule.earlier_part + rule.earlier_parts,
                                   [&](const EmissionRule::EarlierPart& part) {
                                       return std::count_if(rule.earlier_blocks + part.first_block,
                                                            rule.earlier_blocks + part.end_block,
                                                            equal) >= part.selected;
                                   });
}

TEST_P(JoinKernels, NewCandidates) {
    std::mt19937_64 random(3);
    std::size_t all = 0;
    std::size_t all_kept = 0;
    for (const auto& [threshold, parts, selected] :
         {std::tuple(5, 2, 2), {8, 3, 4}, {8, 1, 1}, {3, 4, 1}, {12, 2, 5}}) {
        const Scheme scheme = make_scheme(threshold, parts, selected, 14);
        for (std::size_t part = 0; part < scheme.parts.size(); ++part) {
            const std::vector<Table> tables = tables_of(scheme.parts[part]);
            for (std::size_t i = 0; i < tables.size(); i += 7) {
                const EmissionRule rule = emission_rule(scheme, part, tables[i]);
                for (const std::size_t count : {0, 1, 2, 7, 8, 9, 15, 16, 17, 100, 2048}) {
                    Collected collected;
                    Candidates& candidates = collected.candidates();
                    std::vector<CodePair> expected;
                    for (std::size_t k = 0; k < count; ++k) {
                        std::uint64_t difference = 0;
                        for (std::uint64_t flips = random() % 12; flips > 0; --flips) {
                            difference |= 1ULL << random() % 64;
                        }
                        candidates.left[k] = random();
                        candidates.right[k] = candidates.left[k] ^ difference;
                        if (is_new(difference, rule)) {
                            expected.emplace_back(candidates.left[k], candidates.right[k]);
                        }
                    }
                    candidates.count = count;
                    const std::size_t kept =
                        bucket_kernels_for(GetParam()).select_new(candidates, rule);
                    ASSERT_EQ(kept, expected.size());
                    for (std::size_t k = 0; k < kept; ++k) {
                        ASSERT_EQ(CodePair(candidates.left[k], candidates.right[k]), expected[k]);
                    }
                    all += count;
                    all_kept += kept;
                }
            }
        }
    }
    EXPECT_GT(all_kept, all / 20) << "some are let through";
    EXPECT_LT(all_kept, all / 2) << "and some are not";
}

TEST_P(JoinKernels, Partition) {
    std::mt19937_64 random(4);
    for (const std::uint64_t mask :
         {0ULL, 1ULL, 0x8000000000000000ULL, 0xffULL, 0xfff0000000000000ULL, 0x00f0000000f0f000ULL,
          0x1111111111ULL, 0x8000800000010101ULL}) {
        const KeyBits bits = key_bits(mask);
        for (const std::size_t size : {0, 1, 7, 8, 9, 15, 16, 17, 23, 1000}) {
            Codes codes(size);
            std::generate(codes.begin(), codes.end(), [&] { return random(); });
            const auto key_of = [&](std::uint64_t code) {
                std::uint64_t key = 0;
                int bit = 0;
                for (std::uint64_t rest = mask; rest != 0; rest &= rest - 1, ++bit) {
                    key |= static_cast<std::uint64_t>((code & rest & -rest) != 0) << bit;
                }
                return key;
            };
            const PartitionKernels& kernels = partition_kernels_for(GetParam());
            std::vector<std::uint32_t> counts(std::size_t{1} << bits.bits, 3); // are added to
            kernels.count(codes.data(), size, bits, counts.data());
            std::vector<std::uint32_t> places(counts.size());
            for (std::size_t key = 0; key < counts.size(); ++key) {
                ASSERT_EQ(counts[key], 3 + std::count_if(codes.begin(), codes.end(),
                                                         [&](auto c) { return key_of(c) == key; }));
                places[key] = key == 0 ? 0 : places[key - 1] + counts[key - 1] - 3;
            }
            Codes out(size);
            kernels.scatter(codes.data(), size, bits, places.data(), out.data());
            std::stable_sort(codes.begin(), codes.end(), [&](std::uint64_t a, std::uint64_t b) {
                return key_of(a) < key_of(b);
            });
            ASSERT_EQ(out, codes) << mask;
        }
    }
}

} // namespace
} // namespace vamhash
