#include "join/passes.h"

#include "join/table_join.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <utility>

namespace vamhash {

namespace {

// Histograms of so many bits stay in the second-level cache, and their ranges fill the memory
// closely enough.
constexpr int most_key_bits = 14;
constexpr std::size_t codes_at_once = std::size_t{1} << 20;

} // namespace

Passes::Passes(const JoinInput& input, Plan plan, std::size_t bytes, Isa isa, Workers& workers)
    : input_(input), plan_(std::move(plan)), isa_(isa), partition_(partition_kernels_for(isa)),
      workers_(workers) {
    count_rows();
    // More bits are shared where each table is a set of its own.
    const int selected = plan_.scheme.parts[0].selected;
    if (most_bytes() > bytes && plan_.scheme.shared_blocks < selected) {
        plan_.scheme.shared_blocks = selected;
        count_rows();
    }
    if (most_bytes() > bytes) {
        return;
    }
    most_ = most_rows(bytes);
    for (SetPasses& set : sets_) {
        cut(set);
    }
}

std::size_t Passes::bytes_of(const Rows& rows) const {
    return Distinct::most_bytes(rows.left) + (input_.self ? 0 : Distinct::most_bytes(rows.right));
}

// Counts the rows of each key, and the most of any.
void Passes::count_rows() {
    sets_.clear();
    most_ = {};
    for (const TableSet& set : table_sets(plan_.scheme)) {
        const KeyBits key = key_bits(lowest_bits(plan_.order.undo(set.shared_mask), most_key_bits));
        const std::vector<std::uint32_t> left = left_histogram(key);
        const std::vector<std::uint32_t> right = right_histogram(key);
        most_.left = std::max<std::size_t>(most_.left, *std::max_element(left.begin(), left.end()));
        most_.right =
            std::max<std::size_t>(most_.right, *std::max_element(right.begin(), right.end()));
        sets_.push_back({key, {}});
    }
}

// Histograms are made twice, as those of all sets together would take much memory.
std::vector<std::uint32_t> Passes::left_histogram(const KeyBits& key) {
    return histogram(input_.left_codes(), key);
}

std::vector<std::uint32_t> Passes::right_histogram(const KeyBits& key) {
    return input_.self ? std::vector<std::uint32_t>(std::size_t{1} << key.bits)
                       : histogram(input_.right_codes(), key);
}

// The rows of a pass at most, in proportion to those of the sets, such that grouping them takes at
// most so many bytes; not fewer than any key has.
Passes::Rows Passes::most_rows(std::size_t bytes) const {
    constexpr std::size_t shares = 65536;
    const auto rows_for = [&](std::size_t share) {
        return Rows{
            std::max(most_.left, input_.left_codes().size() * share / shares),
            std::max(most_.right, input_.self ? 0 : input_.right_codes().size() * share / shares)};
    };
    std::size_t fits = 0;
    for (std::size_t step = shares / 2; step > 0; step /= 2) {
        if (bytes_of(rows_for(fits + step)) <= bytes) {
            fits += step;
        }
    }
    return rows_for(fits);
}

// Cuts the keys of a set of tables into ranges.
void Passes::cut(SetPasses& set) {
    const std::vector<std::uint32_t> left = left_histogram(set.key);
    const std::vector<std::uint32_t> right = right_histogram(set.key);
    const auto add = [&](const Pass& pass) {
        if (input_.self ? pass.rows.left > 1 : pass.rows.left > 0 && pass.rows.right > 0) {
            set.passes.push_back(pass);
        }
    };
    Pass pass{};
    for (std::uint32_t key = 0; key < left.size(); ++key) {
        const Rows rows{pass.rows.left + left[key], pass.rows.right + right[key]};
        if (rows.left > most_.left || rows.right > most_.right) {
            add(pass);
            pass = {key, key + 1, {left[key], right[key]}};
        } else {
            pass = {pass.first, key + 1, rows};
        }
    }
    add(pass);
}

std::vector<std::uint32_t> Passes::histogram(std::span<const std::uint64_t> codes,
                                             const KeyBits& key) {
    std::vector<std::vector<std::uint32_t>> counts(workers_.count());
    for (std::vector<std::uint32_t>& own : counts) {
        own.resize(std::size_t{1} << key.bits);
    }
    workers_.run_tasks((codes.size() + codes_at_once - 1) / codes_at_once, [&](unsigned worker,
                                                                               std::uint64_t task) {
        const std::size_t begin = task * codes_at_once;
        partition_.count(codes.data() + begin, std::min(codes_at_once, codes.size() - begin), key,
                         counts[worker].data());
    });
    for (std::size_t i = 1; i < counts.size(); ++i) {
        std::transform(counts[0].begin(), counts[0].end(), counts[i].begin(), counts[0].begin(),
                       std::plus<>());
    }
    return std::move(counts[0]);
}

std::uint64_t Passes::count() const {
    std::uint64_t count = 0;
    for (const SetPasses& set : sets_) {
        count += set.passes.size();
    }
    return count;
}

void Passes::run(JoinDevice& device, std::uint64_t most_sent, Monitor& monitor, RowPairs& rows) {
    TableJoin join(plan_, input_.threshold(), isa_, most_sent, device, workers_, monitor, rows);
    monitor.begin(JoinPhase::comparing, plan_.scheme.tables());
    Distinct left(most_.left);
    std::optional<Distinct> other;
    if (!input_.self) {
        other.emplace(most_.right);
    }
    const Distinct& right = other ? *other : left;
    for (std::size_t number = 0; number < sets_.size(); ++number) {
        const SetPasses& set = sets_[number];
        for (const Pass& pass : set.passes) {
            left.regroup(input_.left_codes(), {set.key, pass.first, pass.end, pass.rows.left},
                         partition_, workers_);
            left.reorder(plan_.order, workers_);
            if (other) {
                other->regroup(input_.right_codes(),
                               {set.key, pass.first, pass.end, pass.rows.right}, partition_,
                               workers_);
                other->reorder(plan_.order, workers_);
            }
            rows.refer_to(left, right);
            if (input_.self && number == 0) {
                rows.send_equal();
            }
            if (!input_.self || input_.threshold() > 0) {
                join.refer_to(left, right);
                join.run(number);
            }
            rows.join_large();
        }
        monitor.add(0, join.tables(number));
        if (input_.self && input_.threshold() == 0) {
            break; // equal rows are all
        }
    }
}

} // namespace vamhash
