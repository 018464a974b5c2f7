// similar_groups against the definitions in its header, taken literally: a double loop over rows,
// which knows nothing of values, for every instruction set of this machine; and properties of the
// groups of more rows, checked pair by pair.
#include "join/similar_groups.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <map>
#include <numeric>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

namespace vamhash {
namespace {

using Column = std::vector<std::uint64_t>;
using Ranks = std::vector<std::uint32_t>; // of all rows

constexpr std::array methods{GroupMethod::star, GroupMethod::complete, GroupMethod::connected};
constexpr std::array method_names{"star", "complete", "connected"};
constexpr std::size_t rows_for_threads = 4096 + 5; // more than one thread is used from 4097
constexpr std::uint32_t none = ~0U;

const char* name(GroupMethod method) {
    return method_names[static_cast<std::size_t>(method)];
}

int distance(std::uint64_t a, std::uint64_t b) {
    return std::popcount(a ^ b);
}

// A member by its rank, so that sets of rows in another order have the same ones.
struct Line {
    std::uint32_t group;
    std::uint32_t rank;
    std::uint32_t size;
    int distance;
    int diameter;
    bool is_center;

    bool operator==(const Line&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Line& line) {
    return out << "group " << line.group << " rank " << line.rank << " size " << line.size
               << " distance " << line.distance << " diameter " << line.diameter
               << (line.is_center ? " center" : "");
}

Line line_of(const Member& member, const Ranks& ranks) {
    return {member.group,    ranks[member.row], member.size,
            member.distance, member.diameter,   member.is_center};
}

struct Answer {
    std::vector<Member> members;
    std::vector<GroupedRow> asked;
    int asks = 0;
    JoinReport report;

    [[nodiscard]] std::vector<Line> lines(const Ranks& ranks) const {
        std::vector<Line> lines;
        for (const Member& member : members) {
            lines.push_back(line_of(member, ranks));
        }
        return lines;
    }
};

Answer group(const Column& codes, const Ranks& ranks, int threshold, GroupMethod method,
             const JoinOptions& options = {}) {
    Answer answer;
    answer.report = similar_groups(
        codes, threshold, method, options,
        [&](std::span<const GroupedRow> rows) {
            ++answer.asks;
            answer.asked.assign(rows.begin(), rows.end());
            std::vector<std::uint32_t> found;
            for (const GroupedRow& row : rows) {
                found.push_back(ranks[row.row]);
            }
            return found;
        },
        [&](std::span<const Member> members) {
            answer.members.insert(answer.members.end(), members.begin(), members.end());
        });
    return answer;
}

// The definitions, row by row.
class Oracle {
  public:
    Oracle(const Column& codes, const Ranks& ranks, int threshold)
        : codes_(codes), threshold_(threshold) {
        // The first row of each key, by rank.
        std::map<std::uint32_t, std::uint32_t> first;
        for (std::uint32_t row = 0; row < codes.size(); ++row) {
            first.emplace(ranks[row], row);
        }
        for (const auto& [rank, row] : first) {
            rows_.push_back(row);
            ranks_.push_back(rank);
        }
        for (std::size_t a = 0; a < rows_.size(); ++a) {
            neighbours_.emplace_back();
            for (std::size_t b = 0; b < rows_.size(); ++b) {
                if (a != b && within(a, b)) {
                    neighbours_[a].push_back(b);
                }
            }
        }
    }

    [[nodiscard]] std::uint64_t pairs() const {
        std::uint64_t pairs = 0;
        for (const auto& neighbours : neighbours_) {
            pairs += neighbours.size();
        }
        return pairs / 2;
    }

    [[nodiscard]] std::vector<Line> lines(GroupMethod method) const {
        return lines(method == GroupMethod::connected ? connect() : center(method));
    }

  private:
    using Groups = std::map<std::size_t, std::vector<std::size_t>>; // members by centre

    [[nodiscard]] int apart(std::size_t a, std::size_t b) const {
        return distance(codes_[rows_[a]], codes_[rows_[b]]);
    }
    [[nodiscard]] bool within(std::size_t a, std::size_t b) const {
        return apart(a, b) <= threshold_;
    }

    [[nodiscard]] Groups center(GroupMethod method) const {
        std::vector<std::size_t> order(rows_.size());
        std::iota(order.begin(), order.end(), 0);
        std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
            return neighbours_[a].size() > neighbours_[b].size();
        });
        Groups groups;
        std::vector<bool> taken(rows_.size());
        for (const std::size_t center : order) {
            if (taken[center]) {
                continue;
            }
            std::vector<std::size_t> candidates = neighbours_[center];
            std::stable_sort(
                candidates.begin(), candidates.end(),
                [&](std::size_t a, std::size_t b) { return apart(center, a) < apart(center, b); });
            std::vector<std::size_t> members{center};
            for (const std::size_t row : candidates) {
                const bool fits = method == GroupMethod::star ||
                                  std::all_of(members.begin(), members.end(),
                                              [&](std::size_t m) { return within(m, row); });
                if (!taken[row] && fits) {
                    members.push_back(row);
                }
            }
            if (members.size() > 1) {
                for (const std::size_t row : members) {
                    taken[row] = true;
                }
                groups[center] = members;
            }
        }
        return groups;
    }

    [[nodiscard]] Groups connect() const {
        Groups groups;
        std::vector<bool> seen(rows_.size());
        for (std::size_t row = 0; row < rows_.size(); ++row) {
            if (seen[row] || neighbours_[row].empty()) {
                continue;
            }
            std::vector<std::size_t> members{row};
            seen[row] = true;
            for (std::size_t i = 0; i < members.size(); ++i) {
                for (const std::size_t next : neighbours_[members[i]]) {
                    if (!seen[next]) {
                        seen[next] = true;
                        members.push_back(next);
                    }
                }
            }
            std::sort(members.begin(), members.end());
            const std::size_t center = *std::max_element(
                members.begin(), members.end(), [&](std::size_t a, std::size_t b) {
                    return neighbours_[a].size() < neighbours_[b].size();
                });
            groups[center] = members;
        }
        return groups;
    }

    [[nodiscard]] std::vector<Line> lines(const Groups& groups) const {
        std::vector<std::pair<std::vector<std::size_t>, std::size_t>> ordered;
        for (auto [center, members] : groups) {
            std::sort(members.begin(), members.end());
            ordered.emplace_back(members, center);
        }
        std::sort(ordered.begin(), ordered.end());
        std::vector<Line> lines;
        std::uint32_t number = 0;
        for (const auto& [members, center] : ordered) {
            ++number;
            int diameter = 0;
            for (const std::size_t a : members) {
                for (const std::size_t b : members) {
                    diameter = std::max(diameter, apart(a, b));
                }
            }
            for (const std::size_t row : members) {
                lines.push_back({number, ranks_[row], static_cast<std::uint32_t>(members.size()),
                                 apart(row, center), diameter, row == center});
            }
        }
        return lines;
    }

    const Column& codes_;
    const int threshold_;
    std::vector<std::uint32_t> rows_; // by rank, without copies
    std::vector<std::uint32_t> ranks_;
    std::vector<std::vector<std::size_t>> neighbours_;
};

// Rows that have an equal or similar one, copies included: those that are asked for.
std::vector<std::uint32_t> rows_with_neighbours(const Column& codes, int threshold) {
    std::vector<std::uint32_t> rows;
    for (std::uint32_t a = 0; a < codes.size(); ++a) {
        for (std::uint32_t b = 0; b < codes.size(); ++b) {
            if (a != b && distance(codes[a], codes[b]) <= threshold) {
                rows.push_back(a);
                break;
            }
        }
    }
    return rows;
}

void expect_asked(const Answer& answer, const Column& codes, int threshold) {
    const std::vector<std::uint32_t> expected = rows_with_neighbours(codes, threshold);
    ASSERT_EQ(answer.asks, expected.empty() ? 0 : 1);
    ASSERT_EQ(answer.asked.size(), expected.size());
    std::map<std::uint32_t, std::uint64_t> code_of_value;
    std::map<std::uint64_t, std::uint32_t> value_of_code;
    for (std::size_t i = 0; i < expected.size(); ++i) {
        const auto [row, value] = answer.asked[i];
        ASSERT_EQ(row, expected[i]);
        ASSERT_EQ(code_of_value.emplace(value, codes[row]).first->second, codes[row]);
        ASSERT_EQ(value_of_code.emplace(codes[row], value).first->second, value);
    }
}

struct Set {
    Column codes;
    Ranks ranks;
};

// Rows of which some are equal, some similar and some copies, in keys of random order. `gap`: the
// ranks' steps are up to that.
Set made_set(std::size_t rows, unsigned seed, std::uint32_t gap) {
    std::mt19937_64 random(seed);
    std::vector<std::pair<std::uint32_t, std::uint64_t>> keyed; // rank and code
    std::uint32_t rank = 0;
    while (keyed.size() < rows) {
        const std::uint64_t kind = keyed.empty() ? 0 : random() % 8;
        if (kind == 7) {
            keyed.push_back(keyed[random() % keyed.size()]); // a copy, its rank too
            continue;
        }
        std::uint64_t code = kind == 0 ? random() : keyed[random() % keyed.size()].second;
        for (std::uint64_t flips = kind > 2 ? random() % 6 : 0; flips > 0; --flips) {
            code ^= 1ULL << random() % 64;
        }
        keyed.emplace_back(rank, code);
        rank += 1 + static_cast<std::uint32_t>(random() % gap);
    }
    // Ranks are given in the order the rows were made; they are dealt anew, and the rows mixed.
    std::vector<std::uint32_t> used;
    for (const auto& row : keyed) {
        used.push_back(row.first);
    }
    std::sort(used.begin(), used.end());
    used.erase(std::unique(used.begin(), used.end()), used.end());
    std::vector<std::uint32_t> dealt = used;
    std::shuffle(dealt.begin(), dealt.end(), random);
    std::shuffle(keyed.begin(), keyed.end(), random);
    Set set;
    for (const auto& [old_rank, code] : keyed) {
        const auto place = std::lower_bound(used.begin(), used.end(), old_rank) - used.begin();
        set.ranks.push_back(dealt[place]);
        set.codes.push_back(code);
    }
    return set;
}

void shuffle(Set& set, unsigned seed) {
    std::vector<std::size_t> order(set.codes.size());
    std::iota(order.begin(), order.end(), 0);
    std::mt19937_64 random(seed);
    std::shuffle(order.begin(), order.end(), random);
    const Set before = set;
    for (std::size_t i = 0; i < order.size(); ++i) {
        set.codes[i] = before.codes[order[i]];
        set.ranks[i] = before.ranks[order[i]];
    }
}

// Expects the definitions' groups from every instruction set.
void expect_defined(const Set& set, int threshold) {
    const Oracle oracle(set.codes, set.ranks, threshold);
    for (const GroupMethod method : methods) {
        const std::vector<Line> expected = oracle.lines(method);
        for (const Isa isa : available_isas()) {
            SCOPED_TRACE(std::string(name(method)) + ", " + std::string(isa_name(isa)) +
                         ", threshold " + std::to_string(threshold) + ", " +
                         std::to_string(set.codes.size()) + " rows");
            const Answer answer =
                group(set.codes, set.ranks, threshold, method, {.threads = 2, .isa = isa});
            ASSERT_EQ(answer.lines(set.ranks), expected);
            ASSERT_EQ(answer.report.pairs, oracle.pairs());
            // Of the copies of a row the first is kept.
            for (const Member& member : answer.members) {
                const auto same =
                    std::find(set.ranks.begin(), set.ranks.end(), set.ranks[member.row]);
                ASSERT_EQ(member.row, same - set.ranks.begin());
            }
            ASSERT_NO_FATAL_FAILURE(expect_asked(answer, set.codes, threshold));
        }
    }
}

TEST(SimilarGroups, SmallSetsAtEveryThreshold) {
    for (int threshold = 0; threshold <= 64; ++threshold) {
        for (const std::size_t rows : {1, 2, 3, 7, 40, 90}) {
            const auto seed = static_cast<unsigned>(100 * threshold + rows);
            ASSERT_NO_FATAL_FAILURE(
                expect_defined(made_set(rows, seed, threshold % 2 == 0 ? 1 : 1000), threshold));
        }
    }
}

TEST(SimilarGroups, ManySmallSets) {
    for (unsigned seed = 0; seed < 300; ++seed) {
        ASSERT_NO_FATAL_FAILURE(expect_defined(made_set(10 + seed % 50, seed, 1 + seed % 3 * 50),
                                               static_cast<int>(seed % 13)));
    }
}

TEST(SimilarGroups, RowsInAnotherOrder) {
    for (unsigned seed = 0; seed < 20; ++seed) {
        Set set = made_set(300, 1000 + seed, 3);
        for (const GroupMethod method : methods) {
            const std::vector<Line> lines = group(set.codes, set.ranks, 6, method).lines(set.ranks);
            ASSERT_FALSE(lines.empty());
            for (unsigned again = 0; again < 3; ++again) {
                shuffle(set, again);
                ASSERT_EQ(group(set.codes, set.ranks, 6, method).lines(set.ranks), lines)
                    << name(method);
            }
        }
    }
}

TEST(SimilarGroups, RowsForSeveralThreads) {
    const Set set = made_set(rows_for_threads, 7, 2);
    for (const int threshold : {0, 1, 4, 7}) {
        const Oracle oracle(set.codes, set.ranks, threshold);
        for (const GroupMethod method : methods) {
            const std::vector<Line> expected = oracle.lines(method);
            for (const unsigned threads : {1U, 2U, 5U}) {
                for (const JoinMethod join : {JoinMethod::brute, JoinMethod::blocks}) {
                    const Answer answer = group(set.codes, set.ranks, threshold, method,
                                                {.threads = threads, .method = join});
                    // Not EXPECT_EQ, which would print thousands of lines.
                    EXPECT_TRUE(answer.lines(set.ranks) == expected)
                        << name(method) << ", " << threads << " threads, threshold " << threshold;
                    EXPECT_EQ(answer.report.pairs, oracle.pairs());
                }
            }
        }
    }
}

// A chain of three around a centre, a pair that the centre could have taken but for one member, and
// ties: worked out by hand.
TEST(SimilarGroups, AnExampleByHand) {
    //                      0     1     2     3     4      5        6
    const Column codes{0b0000, 0b0001, 0b0011, 0b1000, 0b1100, 0xff000000, 0xff000000};
    const Ranks ranks{10, 11, 12, 13, 14, 20, 15};
    // Within 1: 0-1, 0-3, 1-2, 3-4, and the equal ones 5-6. Most neighbours: 0, 1 and 3 have two.
    using Lines = std::vector<Line>;
    EXPECT_EQ(group(codes, ranks, 1, GroupMethod::star).lines(ranks),
              (Lines{{1, 10, 3, 0, 2, true},
                     {1, 11, 3, 1, 2, false},
                     {1, 13, 3, 1, 2, false},
                     {2, 15, 2, 0, 0, true},
                     {2, 20, 2, 0, 0, false}}));
    // 0 takes 1, by rank; 3 is not within 1 of it. Then 3 takes 4.
    EXPECT_EQ(group(codes, ranks, 1, GroupMethod::complete).lines(ranks),
              (Lines{{1, 10, 2, 0, 1, true},
                     {1, 11, 2, 1, 1, false},
                     {2, 13, 2, 0, 1, true},
                     {2, 14, 2, 1, 1, false},
                     {3, 15, 2, 0, 0, true},
                     {3, 20, 2, 0, 0, false}}));
    EXPECT_EQ(group(codes, ranks, 1, GroupMethod::connected).lines(ranks),
              (Lines{{1, 10, 5, 0, 4, true},
                     {1, 11, 5, 1, 4, false},
                     {1, 12, 5, 2, 4, false},
                     {1, 13, 5, 1, 4, false},
                     {1, 14, 5, 2, 4, false},
                     {2, 15, 2, 0, 0, true},
                     {2, 20, 2, 0, 0, false}}));
}

// A row whose only neighbours are copies of it has none; and copies do not make a centre.
TEST(SimilarGroups, CopiesDoNotCount) {
    for (const GroupMethod method : methods) {
        const Answer alone = group({5, 5, 5}, {1, 1, 1}, 3, method);
        EXPECT_EQ(alone.asks, 1);
        EXPECT_TRUE(alone.members.empty()) << name(method);
        EXPECT_EQ(alone.report.pairs, 0U);

        // The hash 1 has three copies of one row, 0 and 3 two rows each.
        const Column codes{1, 1, 1, 0, 3, 3, 0};
        const Ranks ranks{0, 0, 0, 1, 2, 3, 4};
        const Answer answer = group(codes, ranks, 1, method);
        EXPECT_EQ(answer.report.pairs, 6U) << name(method);
        // 1 has four neighbours, the others two each.
        ASSERT_FALSE(answer.members.empty());
        EXPECT_EQ(answer.members[0].row, 0U);
        EXPECT_TRUE(answer.members[0].is_center);
        EXPECT_EQ(answer.members[0].size, method == GroupMethod::complete ? 3U : 5U);
    }
    // In the chain 2 - 3 - 1 - 5 the hash 2 has four copies of one row: so 3 has four neighbours
    // and not seven, and the centre is 1, which has five.
    const Column chain{1, 1, 1, 2, 2, 2, 2, 3, 5, 5};
    const Ranks ranks{9, 8, 7, 1, 1, 1, 1, 0, 6, 5};
    const Answer answer = group(chain, ranks, 1, GroupMethod::connected);
    EXPECT_EQ(answer.lines(ranks), Oracle(chain, ranks, 1).lines(GroupMethod::connected));
    ASSERT_EQ(answer.members.size(), 7U);
    EXPECT_TRUE(answer.members[4].is_center);
    EXPECT_EQ(answer.members[4].row, 2U);
}

TEST(SimilarGroups, NoneAndFewRows) {
    for (const GroupMethod method : methods) {
        for (const Column& codes : {Column{}, Column{7}, Column{0, ~0ULL}}) {
            const Answer answer = group(codes, Ranks(codes.size()), 63, method);
            EXPECT_EQ(answer.asks, 0);
            EXPECT_TRUE(answer.members.empty());
            EXPECT_EQ(answer.report.left_rows, codes.size());
            EXPECT_EQ(answer.report.left_values, codes.size());
        }
        EXPECT_EQ(group({0, ~0ULL}, {1, 0}, 64, method).lines({1, 0}),
                  (std::vector<Line>{{1, 0, 2, 0, 64, true}, {1, 1, 2, 64, 64, false}}));
    }
}

TEST(SimilarGroups, NoneSimilarOfMany) {
    // Three copies of a number of 17 bits, and their parity: any two differ in four bits or more.
    Column codes(100000);
    for (std::uint64_t i = 0; i < codes.size(); ++i) {
        codes[i] = i | i << 17 | i << 34 | std::uint64_t{std::popcount(i) % 2 == 1} << 51;
    }
    for (const GroupMethod method : methods) {
        const Answer answer = group(codes, {}, 3, method);
        EXPECT_EQ(answer.asks, 0) << name(method);
        EXPECT_TRUE(answer.members.empty());
        EXPECT_EQ(answer.report.left_values, codes.size());
    }
}

TEST(SimilarGroups, AMillionEqualRows) {
    const Column codes(1000000, 0x8000000000000000);
    Ranks ranks(codes.size());
    std::iota(ranks.rbegin(), ranks.rend(), 0);
    for (const GroupMethod method : methods) {
        const Answer answer = group(codes, ranks, 5, method);
        ASSERT_EQ(answer.members.size(), codes.size());
        EXPECT_EQ(answer.report.left_values, 1U);
        EXPECT_EQ(answer.report.pairs, codes.size() * (codes.size() - 1) / 2);
        for (std::uint32_t i = 0; i < answer.members.size(); ++i) {
            const Member& member = answer.members[i];
            ASSERT_EQ(member.row, codes.size() - 1 - i);
            ASSERT_EQ(member.is_center, i == 0);
            ASSERT_EQ(line_of(member, ranks), (Line{1, i, 1000000, 0, 0, i == 0}));
        }
    }
}

// Groups as sets of rows, and what holds for each by any method.
struct GroupRows {
    std::uint32_t center = none;
    int diameter = 0;
    std::vector<std::uint32_t> rows;
};

std::vector<GroupRows> checked_groups(const Answer& answer, const Column& codes,
                                      const Ranks& ranks) {
    std::vector<GroupRows> groups;
    std::vector<bool> seen(codes.size());
    for (const Member& member : answer.members) {
        if (member.group == groups.size() + 1) {
            groups.emplace_back();
        }
        EXPECT_EQ(member.group, groups.size()) << "not group by group";
        EXPECT_FALSE(seen[member.row]) << "in two groups";
        seen[member.row] = true;
        GroupRows& group = groups.back();
        EXPECT_TRUE(group.rows.empty() || ranks[group.rows.back()] < ranks[member.row]);
        group.rows.push_back(member.row);
        group.diameter = member.diameter;
        if (member.is_center) {
            EXPECT_EQ(group.center, none) << "two centres";
            group.center = member.row;
        }
    }
    std::size_t first = 0;
    for (std::size_t i = 0; i < groups.size(); ++i) {
        const GroupRows& group = groups[i];
        EXPECT_GE(group.rows.size(), 2U);
        EXPECT_TRUE(i == 0 || ranks[groups[i - 1].rows[0]] < ranks[group.rows[0]]);
        int diameter = 0;
        for (std::size_t a = 0; a < group.rows.size(); ++a) {
            for (std::size_t b = a + 1; b < group.rows.size(); ++b) {
                diameter = std::max(diameter, distance(codes[group.rows[a]], codes[group.rows[b]]));
            }
            const Member& member = answer.members[first + a];
            EXPECT_EQ(member.size, group.rows.size());
            EXPECT_EQ(member.diameter, group.diameter);
            EXPECT_EQ(member.distance, distance(codes[member.row], codes[group.center]));
        }
        EXPECT_EQ(group.diameter, diameter);
        first += group.rows.size();
    }
    return groups;
}

// 10^5 rows: half of them alone, half near one another, some equal, in groups of all sizes.
Set planted_set(std::size_t rows, unsigned seed) {
    std::mt19937_64 random(seed);
    Set set;
    for (std::size_t row = 0; row < rows; ++row) {
        std::uint64_t code = random();
        if (row > 0 && random() % 2 == 0) {
            // A near one of the first rows or of any: a few large groups, many small ones.
            code = set.codes[random() % (random() % 8 == 0 ? std::min<std::size_t>(row, 10) : row)];
            for (std::uint64_t flips = random() % 9; flips > 0; --flips) {
                code ^= 1ULL << random() % 64;
            }
        }
        set.codes.push_back(code);
    }
    set.ranks.resize(rows);
    std::iota(set.ranks.begin(), set.ranks.end(), 0);
    std::shuffle(set.ranks.begin(), set.ranks.end(), random);
    return set;
}

// Pairs and numbers of neighbours, by similar_pairs' brute force.
struct BrutePairs {
    std::vector<Pair> pairs;
    std::vector<std::uint64_t> neighbours;

    BrutePairs(const Column& codes, int threshold) : neighbours(codes.size()) {
        const std::array columns{std::span(codes)};
        similar_pairs(columns, std::array{threshold}, {.method = JoinMethod::brute},
                      [&](std::span<const Pair> batch) {
                          for (const Pair& pair : batch) {
                              pairs.push_back(pair);
                              ++neighbours[pair.a];
                              ++neighbours[pair.b];
                          }
                      });
    }
};

class ManyRows : public testing::TestWithParam<int> {
  protected:
    [[nodiscard]] Answer answer(GroupMethod method) const {
        Answer answer = group(set_.codes, set_.ranks, threshold_, method, {.threads = 2});
        EXPECT_EQ(answer.report.pairs, brute_.pairs.size());
        return answer;
    }

    // Whether a row comes before another among the centres.
    [[nodiscard]] bool before(std::uint32_t a, std::uint32_t b) const {
        return brute_.neighbours[a] != brute_.neighbours[b]
                   ? brute_.neighbours[a] > brute_.neighbours[b]
                   : set_.ranks[a] < set_.ranks[b];
    }

    // Each row's centre, or none.
    [[nodiscard]] std::vector<std::uint32_t> centers(const std::vector<GroupRows>& groups) const {
        std::vector<std::uint32_t> centers(set_.codes.size(), none);
        for (const GroupRows& group : groups) {
            for (const std::uint32_t row : group.rows) {
                centers[row] = group.center;
            }
        }
        return centers;
    }

    const int threshold_ = GetParam();
    const Set set_ = planted_set(100000, 11);
    const BrutePairs brute_{set_.codes, threshold_};
};

// These properties have one solution, the definition's: by induction over the centres' order.
TEST_P(ManyRows, Star) {
    const std::vector<GroupRows> groups =
        checked_groups(answer(GroupMethod::star), set_.codes, set_.ranks);
    const std::vector<std::uint32_t> center = centers(groups);
    // The first centre that could have taken each row: every row is with that one.
    std::vector<std::uint32_t> first(center.size(), none);
    const auto offer = [&](std::uint32_t row, std::uint32_t taker) {
        if (center[taker] == taker && (first[row] == none || before(taker, first[row]))) {
            first[row] = taker;
        }
    };
    for (const Pair& pair : brute_.pairs) {
        offer(pair.a, pair.b);
        offer(pair.b, pair.a);
        ASSERT_FALSE(center[pair.a] == none && center[pair.b] == none) << "two free neighbours";
        ASSERT_FALSE(center[pair.a] == pair.a && center[pair.b] == pair.b) << "centres too near";
    }
    for (std::uint32_t row = 0; row < center.size(); ++row) {
        if (center[row] != row) {
            ASSERT_EQ(center[row], first[row]);
        }
        if (center[row] != none && center[row] != row) {
            ASSERT_LE(distance(set_.codes[row], set_.codes[center[row]]), threshold_);
            ASSERT_TRUE(before(center[row], row));
        }
    }
}

TEST_P(ManyRows, Complete) {
    const std::vector<GroupRows> groups =
        checked_groups(answer(GroupMethod::complete), set_.codes, set_.ranks);
    for (const GroupRows& group : groups) {
        ASSERT_LE(group.diameter, threshold_);
        for (const std::uint32_t row : group.rows) {
            ASSERT_FALSE(before(row, group.center)) << "a later centre";
        }
    }
    // A row is in no group only if all its neighbours are in one.
    const std::vector<std::uint32_t> center = centers(groups);
    for (const Pair& pair : brute_.pairs) {
        ASSERT_FALSE(center[pair.a] == none && center[pair.b] == none);
    }
    // No group could have taken a row of a later one, or of none, that is not in conflict with a
    // member that is nearer to the centre.
    std::vector<std::vector<std::uint32_t>> rows(center.size());
    for (const GroupRows& group : groups) {
        rows[group.center] = group.rows;
    }
    const auto precedes = [&](std::uint32_t a, std::uint32_t b, std::uint32_t c) {
        const int to_a = distance(set_.codes[a], set_.codes[c]);
        const int to_b = distance(set_.codes[b], set_.codes[c]);
        return to_a != to_b ? to_a < to_b : set_.ranks[a] < set_.ranks[b];
    };
    const auto check = [&](std::uint32_t row, std::uint32_t taker) {
        if (center[taker] != taker || center[row] == taker ||
            (center[row] != none && before(center[row], taker))) {
            return;
        }
        ASSERT_TRUE(std::any_of(rows[taker].begin(), rows[taker].end(), [&](std::uint32_t member) {
            return precedes(member, row, taker) &&
                   distance(set_.codes[member], set_.codes[row]) > threshold_;
        }));
    };
    for (const Pair& pair : brute_.pairs) {
        ASSERT_NO_FATAL_FAILURE(check(pair.a, pair.b));
        ASSERT_NO_FATAL_FAILURE(check(pair.b, pair.a));
    }
}

TEST_P(ManyRows, Connected) {
    const std::vector<GroupRows> groups =
        checked_groups(answer(GroupMethod::connected), set_.codes, set_.ranks);
    std::vector<std::uint32_t> parents(set_.codes.size());
    std::iota(parents.begin(), parents.end(), 0);
    const auto root = [&](std::uint32_t row) {
        while (parents[row] != row) {
            row = parents[row] = parents[parents[row]];
        }
        return row;
    };
    for (const Pair& pair : brute_.pairs) {
        parents[root(pair.a)] = root(pair.b);
    }
    const std::vector<std::uint32_t> center = centers(groups);
    std::vector<std::uint32_t> center_of_root(center.size(), none);
    for (const GroupRows& group : groups) {
        ASSERT_EQ(center_of_root[root(group.center)], none) << "two groups of one component";
        center_of_root[root(group.center)] = group.center;
    }
    for (std::uint32_t row = 0; row < center.size(); ++row) {
        if (brute_.neighbours[row] == 0) {
            ASSERT_EQ(center[row], none);
        } else {
            ASSERT_NE(center[row], none);
            ASSERT_EQ(center[row], center_of_root[root(row)]);
            ASSERT_FALSE(before(row, center[row]));
        }
    }
}

INSTANTIATE_TEST_SUITE_P(SimilarGroups, ManyRows, testing::Values(2, 6));

// A walk through the hashes: one component, of which no two bounds give the diameter away.
Column walk(std::size_t values, unsigned seed) {
    std::mt19937_64 random(seed);
    Column codes{random()};
    while (codes.size() < values) {
        codes.push_back(codes.back() ^ 1ULL << random() % 64 ^ 1ULL << random() % 64);
    }
    return codes;
}

// Whether two codes are farther apart than `distance`: whether one is within 63 - distance of
// another's complement.
bool farther_apart(const Column& codes, int distance) {
    Column complements(codes.size());
    std::transform(codes.begin(), codes.end(), complements.begin(),
                   [](std::uint64_t code) { return ~code; });
    const std::array left{std::span(codes)};
    const std::array right{std::span<const std::uint64_t>(complements)};
    std::uint64_t pairs = 0;
    similar_pairs_between(left, right, std::array{63 - distance}, {.method = JoinMethod::brute},
                          [&](std::span<const Pair> batch) { pairs += batch.size(); });
    return pairs > 0;
}

TEST(SimilarGroups, AChainOfManyValues) {
    const Column codes = walk(100000, 5);
    Ranks ranks(codes.size());
    std::iota(ranks.begin(), ranks.end(), 0);
    const Answer found = group(codes, ranks, 2, GroupMethod::connected, {.threads = 2});
    ASSERT_EQ(found.members.size(), codes.size());
    EXPECT_EQ(found.members[0].size, codes.size());
    EXPECT_TRUE(farther_apart(codes, found.members[0].diameter - 1));
    EXPECT_FALSE(farther_apart(codes, found.members[0].diameter));
    // With little memory the farthest pair is looked for in another way.
    const Answer tight =
        group(codes, ranks, 2, GroupMethod::connected, {.threads = 2, .memory_limit = 18 << 20});
    EXPECT_EQ(tight.lines(ranks), found.lines(ranks));
    // 0, 1, 2 ...: 17 bits vary, and 65535 and 65536 differ in all of them.
    Column counting(100000);
    std::iota(counting.begin(), counting.end(), 0);
    const Answer answer = group(counting, ranks, 1, GroupMethod::connected);
    ASSERT_EQ(answer.members.size(), counting.size());
    EXPECT_EQ(answer.members[0].diameter, 17);
    EXPECT_EQ(group(counting, ranks, 1, GroupMethod::connected, {.threads = 2}).lines(ranks),
              answer.lines(ranks));
}

// Groups of some thousand values, of which no bound gives the diameter away.
TEST(SimilarGroups, DiametersOfLargeGroups) {
    for (const std::size_t values : {49, 500, 1024, 1025, 3000, 5000}) {
        for (unsigned seed = 0; seed < 3; ++seed) {
            const Column codes = walk(values, static_cast<unsigned>(values) + seed);
            Ranks ranks(codes.size());
            std::iota(ranks.begin(), ranks.end(), 0);
            int expected = 0;
            for (const std::uint64_t a : codes) {
                for (const std::uint64_t b : codes) {
                    expected = std::max(expected, distance(a, b));
                }
            }
            for (const Isa isa : available_isas()) {
                const Answer answer = group(codes, ranks, 2, GroupMethod::connected, {.isa = isa});
                ASSERT_EQ(answer.members.size(), codes.size());
                EXPECT_EQ(answer.members[0].diameter, expected) << values << isa_name(isa);
            }
        }
    }
}

TEST(SimilarGroups, Progress) {
    const Set set = planted_set(50000, 3);
    std::vector<JoinProgress> told;
    const Answer answer = group(set.codes, set.ranks, 6, GroupMethod::star,
                                {.threads = 2, .progress = [&](const JoinProgress& progress) {
                                     told.push_back(progress);
                                 }});
    ASSERT_FALSE(told.empty());
    for (std::size_t i = 1; i < told.size(); ++i) {
        EXPECT_GE(told[i].phase, told[i - 1].phase);
        EXPECT_GE(told[i].pairs, told[i - 1].pairs);
    }
    EXPECT_EQ(told.back().phase, JoinPhase::forming);
    EXPECT_GT(told.back().pairs, 0U);
    EXPECT_EQ(answer.report.left_rows, set.codes.size());
    EXPECT_EQ(answer.report.threads, 2U);
    EXPECT_GE(answer.report.candidates, 1U);
    EXPECT_GT(answer.report.forming_seconds, 0);

    EXPECT_THROW(group(set.codes, set.ranks, 6, GroupMethod::connected,
                       {.progress = [](const JoinProgress&) { throw std::runtime_error("no"); }}),
                 std::runtime_error);
}

// All of 6,000 values are within 13 of one another: 1.8 * 10^7 pairs, 216 MB.
TEST(SimilarGroups, TheLimitOnMemory) {
    Column codes(6000);
    std::iota(codes.begin(), codes.end(), 0);
    Ranks ranks(codes.size());
    std::iota(ranks.begin(), ranks.end(), 0);
    const JoinOptions tight{.memory_limit = 20 << 20};
    for (const GroupMethod method : {GroupMethod::star, GroupMethod::complete}) {
        try {
            group(codes, ranks, 13, method, tight);
            ADD_FAILURE() << "nothing was thrown";
        } catch (const JoinMemoryExceeded& error) {
            const std::string message = error.what();
            EXPECT_NE(message.find("the pairs of similar hashes found so far take "),
                      std::string::npos)
                << message;
            EXPECT_NE(message.find("may take 20 MB"), std::string::npos) << message;
            EXPECT_NE(message.find("the method connected keeps no pairs"), std::string::npos);
        }
    }
    const Answer answer = group(codes, ranks, 13, GroupMethod::connected, tight);
    EXPECT_EQ(answer.members.size(), codes.size());
    EXPECT_EQ(answer.report.pairs, 6000U * 5999 / 2);
    EXPECT_THROW(group(codes, ranks, 0, GroupMethod::connected, {.memory_limit = 8 << 20}),
                 JoinMemoryExceeded);
}

TEST(SimilarGroups, ArgumentsOutOfLimits) {
    const auto take = [](std::span<const Member>) {};
    const auto ranks = [](std::vector<std::uint32_t> ranks) {
        return [ranks](std::span<const GroupedRow>) { return ranks; };
    };
    const Column codes{1, 1, 3};
    for (const GroupMethod method : methods) {
        for (const int threshold : {-1, 65}) {
            EXPECT_THROW(similar_groups(codes, threshold, method, {}, ranks({1, 2, 3}), take),
                         std::invalid_argument);
        }
        EXPECT_THROW(similar_groups(codes, 1, method, {}, ranks({1, 2}), take),
                     std::invalid_argument);
        EXPECT_THROW(similar_groups(codes, 1, method, {}, ranks({1, 2, 3, 4}), take),
                     std::invalid_argument);
        // One key with two hashes.
        EXPECT_THROW(similar_groups(codes, 1, method, {}, ranks({2, 1, 2}), take),
                     std::invalid_argument);
        EXPECT_NO_THROW(similar_groups(codes, 1, method, {}, ranks({1, 1, ~0U}), take));
    }
    const std::span<const std::uint64_t> many(codes.data(), std::size_t{1} << 32);
    EXPECT_THROW(similar_groups(many, 1, GroupMethod::star, {}, ranks({}), take),
                 std::invalid_argument);
}

TEST(SimilarGroups, ExceptionsPassThrough) {
    const Set set = made_set(rows_for_threads, 21, 1);
    struct Failure {};
    for (const GroupMethod method : methods) {
        EXPECT_THROW(
            similar_groups(
                set.codes, 3, method, {},
                [](std::span<const GroupedRow>) -> std::vector<std::uint32_t> { throw Failure(); },
                [](std::span<const Member>) { FAIL(); }),
            Failure);
        EXPECT_THROW(similar_groups(
                         set.codes, 3, method, {},
                         [&](std::span<const GroupedRow> rows) {
                             std::vector<std::uint32_t> ranks;
                             for (const GroupedRow& row : rows) {
                                 ranks.push_back(set.ranks[row.row]);
                             }
                             return ranks;
                         },
                         [](std::span<const Member>) { throw Failure(); }),
                     Failure);
    }
}

} // namespace
} // namespace vamhash
