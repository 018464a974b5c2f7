// Joins of rows that an input makes up: the same pairs by every method and instruction set as by a
// double loop, the same groups by every method of joining, and the limits kept.
#include "join/similar_groups.h"
#include "join/similar_pairs.h"

#include "fuzz.h"

#include <array>
#include <bit>
#include <numeric>
#include <optional>
#include <tuple>

namespace vamhash {
namespace {

using namespace fuzz;

using Column = std::vector<std::uint64_t>;
using Rows = std::vector<Column>; // columns of one length
using Triple = std::tuple<std::uint32_t, std::uint32_t, std::uint32_t>;

constexpr std::size_t most_rows = 100;

/// A hash near one of a few, so that there are pairs: one of 16 with up to three bits changed.
std::uint64_t take_hash(Input& input) {
    const unsigned choice = input.byte();
    std::uint64_t hash = 0x9e3779b97f4a7c15 * (choice % 16);
    for (unsigned i = 0; i < choice >> 6; ++i) {
        hash ^= std::uint64_t{1} << input.byte() % 64;
    }
    return hash;
}

Rows take_rows(Input& input, std::size_t columns, std::size_t rows) {
    Rows taken(columns);
    for (std::size_t row = 0; row < rows && !input.empty(); ++row) {
        for (Column& column : taken) {
            column.push_back(take_hash(input));
        }
    }
    return taken;
}

std::vector<std::span<const std::uint64_t>> spans_of(const Rows& rows) {
    return {rows.begin(), rows.end()};
}

struct Join {
    Rows left;
    std::optional<Rows> right;
    std::vector<int> thresholds;
    std::uint64_t memory_limit = 0;
    std::uint64_t max_pairs = 0;
    GroupMethod grouping = GroupMethod::star;
};

Join take_join(Input& input) {
    Join join;
    const std::size_t columns = input.between(1, 3);
    const bool two_sets = input.byte() % 2 != 0;
    for (std::size_t i = 0; i < columns; ++i) {
        join.thresholds.push_back(static_cast<int>(input.between(0, 64)));
    }
    // Few have a limit; it is near what such a join needs.
    const unsigned limits = input.byte();
    if (limits % 4 == 1) {
        join.memory_limit = (std::uint64_t{9} << 20) + input.take<std::uint16_t>();
    }
    if (limits % 4 == 2) {
        join.max_pairs = input.between(1, 1000);
    }
    join.grouping = static_cast<GroupMethod>(input.between(0, 2));
    const std::size_t left_rows = two_sets ? input.between(0, most_rows) : most_rows;
    join.left = take_rows(input, columns, left_rows);
    if (two_sets) {
        join.right = take_rows(input, columns, most_rows);
    }
    return join;
}

std::vector<Triple> pairs_by_double_loop(const Join& join) {
    std::vector<Triple> pairs;
    const Rows& right = join.right ? *join.right : join.left;
    for (std::uint32_t a = 0; a < join.left[0].size(); ++a) {
        for (std::uint32_t b = join.right ? 0 : a + 1; b < right[0].size(); ++b) {
            bool similar = true;
            for (std::size_t i = 0; i < right.size(); ++i) {
                similar =
                    similar && std::popcount(join.left[i][a] ^ right[i][b]) <= join.thresholds[i];
            }
            if (similar) {
                pairs.emplace_back(a, b, std::popcount(join.left[0][a] ^ right[0][b]));
            }
        }
    }
    return pairs;
}

/// The pairs by a method; nothing where the join was refused for what it may be refused for.
std::optional<std::vector<Triple>> pairs_by(const Join& join, const JoinOptions& options,
                                            std::size_t expected) {
    std::vector<Triple> pairs;
    const PairSink sink = [&](std::span<const Pair> batch) {
        for (const Pair& pair : batch) {
            pairs.emplace_back(pair.a, pair.b, pair.distance);
        }
    };
    try {
        const auto left = spans_of(join.left);
        const JoinReport report = join.right ? similar_pairs_between(left, spans_of(*join.right),
                                                                     join.thresholds, options, sink)
                                             : similar_pairs(left, join.thresholds, options, sink);
        require(report.pairs == pairs.size(), "a report of another number of pairs");
    } catch (const JoinMemoryExceeded&) {
        require(join.memory_limit != 0, "a join without a limit exceeds its memory");
        return std::nullopt;
    } catch (const TooManyPairs&) {
        require(join.max_pairs != 0 && expected > join.max_pairs, "few pairs are too many");
        return std::nullopt;
    }
    require(join.max_pairs == 0 || pairs.size() <= join.max_pairs, "too many pairs are few");
    std::sort(pairs.begin(), pairs.end());
    return pairs;
}

void check_pairs(const Join& join) {
    const std::vector<Triple> expected = pairs_by_double_loop(join);
    for (const JoinMethod method : {JoinMethod::blocks, JoinMethod::brute}) {
        for (const Isa isa : available_isas()) {
            const auto pairs = pairs_by(join,
                                        {.threads = 1,
                                         .isa = isa,
                                         .method = method,
                                         .memory_limit = join.memory_limit,
                                         .max_pairs = join.max_pairs},
                                        expected.size());
            require(!pairs || *pairs == expected, "pairs differ from those of a double loop");
        }
    }
}

/// A member without what depends on the order of the rows.
using Line = std::tuple<std::uint32_t, std::uint32_t, std::uint32_t, int, int, bool>;

std::vector<Line> groups_by(const Column& codes, const std::vector<std::uint32_t>& ranks,
                            int threshold, GroupMethod method, const JoinOptions& options) {
    std::vector<Line> lines;
    similar_groups(
        codes, threshold, method, options,
        [&](std::span<const GroupedRow> rows) {
            std::vector<std::uint32_t> asked;
            for (const GroupedRow& row : rows) {
                asked.push_back(ranks[row.row]);
            }
            return asked;
        },
        [&](std::span<const Member> members) {
            for (const Member& member : members) {
                lines.emplace_back(member.group, ranks[member.row], member.size, member.distance,
                                   member.diameter, member.is_center);
            }
        });
    return lines;
}

/// The groups of the first column, also with its rows from last to first.
void check_groups(const Join& join) {
    const Column& codes = join.left[0];
    const Column reversed(codes.rbegin(), codes.rend());
    std::vector<std::uint32_t> ranks(codes.size());
    std::iota(ranks.begin(), ranks.end(), 1);
    const std::vector<std::uint32_t> reversed_ranks(ranks.rbegin(), ranks.rend());
    const int threshold = join.thresholds[0];
    const auto expected =
        groups_by(codes, ranks, threshold, join.grouping,
                  {.threads = 1, .isa = Isa::scalar, .method = JoinMethod::brute});
    const JoinOptions options{.threads = 1, .method = JoinMethod::blocks};
    require(groups_by(codes, ranks, threshold, join.grouping, options) == expected,
            "groups differ by method of joining");
    require(groups_by(reversed, reversed_ranks, threshold, join.grouping, options) == expected,
            "groups differ by the order of the rows");
}

} // namespace
} // namespace vamhash

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    vamhash::fuzz::Input input({data, size});
    const vamhash::Join join = vamhash::take_join(input);
    vamhash::check_pairs(join);
    vamhash::check_groups(join);
    return 0;
}
