// Rows become distinct values, the pairs of similar values are found and connected or kept, and the
// values become groups; only at the end do groups of values become groups of rows again. Values
// that are in a group are numbered anew, by their first row's rank: a smaller number is then an
// earlier value, and a group's number follows from the smallest number in it.
#include "join/similar_groups.h"

#include "join/centers.h"
#include "join/components.h"
#include "join/diameter.h"
#include "join/distinct.h"
#include "join/faiss_join.h"
#include "join/group_pairs.h"
#include "join/large_array.h"
#include "join/monitor.h"
#include "join/pair_list.h"
#include "join/row_join.h"
#include "join/workers.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <limits>
#include <mutex>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

namespace vamhash {

namespace {

using Atomic = std::atomic_ref<std::uint32_t>;

constexpr std::size_t members_per_batch = 8192;
// The values of the groups whose diameters one thread finds without looking up.
constexpr std::size_t values_per_task = 4096;

// What is held at once for a row, in bytes, besides its place in Distinct: its hash, and its part
// in a component. While the rows that have neighbours are collected, for each of those, too.
constexpr std::uint64_t bytes_per_row = 8 + 8;
constexpr std::uint64_t bytes_per_row_asked_for = sizeof(GroupedRow);
// And afterwards, without Distinct: for all rows, for those in groups, and for their values.
constexpr std::uint64_t bytes_per_row_at_the_end = 8 + 8 + 4;
constexpr std::uint64_t bytes_per_grouped_row = 8 + 8 + 4 + 4 + 4;
constexpr std::uint64_t bytes_per_grouped_value = 12 + 4 + center_bytes_per_value;
constexpr std::uint64_t bytes_per_thread_at_the_end = std::uint64_t{1} << 20;

// Throws JoinMemoryExceeded if `needed` bytes, of which the pairs of values take `pairs`, are more
// than the limit.
void check_memory(std::uint64_t needed, std::uint64_t pairs, std::uint64_t limit) {
    if (limit == 0 || needed <= limit) {
        return;
    }
    const auto megabytes = [](std::uint64_t bytes) {
        return std::to_string((bytes + (1U << 20) - 1) >> 20) + " MB";
    };
    std::string message = "the groups need at least " + megabytes(needed) +
                          " of memory, and may take " + megabytes(limit);
    if (pairs > 0) {
        message += ": the pairs of similar hashes found so far take " + megabytes(pairs) +
                   " (the method connected keeps no pairs; a smaller distance finds fewer)";
    }
    throw JoinMemoryExceeded(message);
}

// Counts the pairs of rows, for the progress, that a sink's pairs of values stand for.
class CountedPairs final : public GroupPairSink {
  public:
    CountedPairs(GroupPairSink& sink, const Distinct& distinct, Monitor& monitor)
        : sink_(sink), distinct_(distinct), monitor_(monitor) {}

    void take(unsigned worker, std::span<const GroupPair> pairs) override {
        std::uint64_t rows = 0;
        for (const GroupPair& pair : pairs) {
            rows +=
                std::uint64_t{distinct_.rows(pair.left).size()} * distinct_.rows(pair.right).size();
        }
        sink_.take(worker, pairs);
        const std::lock_guard lock(monitor_.mutex());
        monitor_.add_pairs(rows);
    }

  private:
    GroupPairSink& sink_;
    const Distinct& distinct_;
    Monitor& monitor_;
};

// Counts for each value the rows of similar ones.
class SimilarRows final : public GroupPairSink {
  public:
    SimilarRows(const RankedValues& values, const LargeArray<std::uint32_t>& numbers)
        : values_(values), numbers_(numbers), counts_(values.codes.size()) {}

    void take(unsigned /*worker*/, std::span<const GroupPair> pairs) override {
        for (const GroupPair& pair : pairs) {
            const std::uint32_t a = numbers_[pair.left];
            const std::uint32_t b = numbers_[pair.right];
            Atomic(counts_[a]).fetch_add(values_.rows[b], std::memory_order_relaxed);
            Atomic(counts_[b]).fetch_add(values_.rows[a], std::memory_order_relaxed);
        }
    }

    [[nodiscard]] const std::vector<std::uint32_t>& counts() const { return counts_; }

  private:
    const RankedValues& values_;
    const LargeArray<std::uint32_t>& numbers_;
    std::vector<std::uint32_t> counts_;
};

// The items 0, 1, 2 ... by their ranks; those of one rank stay in order.
std::vector<std::uint32_t> order_by_rank(std::span<const std::uint32_t> ranks) {
    std::vector<std::uint32_t> order(ranks.size());
    const std::size_t most = *std::max_element(ranks.begin(), ranks.end());
    if (most > 2 * ranks.size()) {
        std::iota(order.begin(), order.end(), 0);
        std::stable_sort(order.begin(), order.end(),
                         [&](std::uint32_t a, std::uint32_t b) { return ranks[a] < ranks[b]; });
        return order;
    }
    std::vector<std::uint32_t> places(most + 2);
    for (const std::uint32_t rank : ranks) {
        ++places[rank + 1];
    }
    std::partial_sum(places.begin(), places.end(), places.begin());
    for (std::uint32_t i = 0; i < ranks.size(); ++i) {
        order[places[ranks[i]]++] = i;
    }
    return order;
}

// A row in the order of ranks, without copies.
struct RankedRow {
    std::uint32_t row;
    std::uint32_t value; // its number in RankedValues
};

// A group of values.
struct Group {
    std::uint32_t center;
    std::uint32_t first_value; // in the array of all groups' codes
    std::uint32_t values = 0;
    std::uint32_t rows = 0;
    std::uint8_t diameter = 0;
};

// One call of similar_groups.
class Grouping {
  public:
    Grouping(std::span<const std::uint64_t> codes, int threshold, GroupMethod method,
             const JoinOptions& options)
        : codes_(codes), threshold_(threshold), method_(method), options_(options),
          workers_(thread_count(options.threads, codes.size())),
          monitor_(options.progress, workers_), device_(options.device, codes.size(), monitor_) {}

    JoinReport run(const RankSource& ranks, const MemberSink& sink);

  private:
    void find_pairs();
    void find_pairs(GroupPairSink& sink);
    std::vector<GroupedRow> collect_rows();
    void rank(std::vector<GroupedRow> rows, std::span<const std::uint32_t> ranks);
    void form();
    void find_centers();
    void find_component_centers();
    std::vector<std::uint32_t> similar_rows();
    void number_groups();
    void find_diameters();
    void send(const MemberSink& sink) const;

    // Against a device's failure, in what the limit leaves.
    [[nodiscard]] std::uint64_t pairs_to_keep() const {
        const std::uint64_t limit = options_.memory_limit;
        const std::uint64_t bytes = limit == 0 ? ~std::uint64_t{0} : limit - bytes_at_first_;
        return vamhash::pairs_to_keep(report_.left_values, bytes);
    }

    // The number of a value's group.
    [[nodiscard]] std::uint32_t group_of(std::uint32_t value) const {
        return group_by_center_[centers_[value]];
    }

    std::span<const std::uint64_t> codes_;
    const int threshold_;
    const GroupMethod method_;
    const JoinOptions& options_;
    JoinReport report_;
    Workers workers_;
    Monitor monitor_;
    JoinDevice device_;
    std::optional<Distinct> distinct_;        // until the rows are ranked
    std::optional<Components> components_;    // connected
    std::optional<PairList> pairs_;           // the others
    bool copies_ = false;                     // some rows were copies of others
    LargeArray<std::uint32_t> value_numbers_; // by their groups in Distinct
    std::vector<std::uint32_t> value_groups_; // the other way round
    RankedValues values_;
    std::vector<RankedRow> rows_;
    std::vector<std::uint32_t> centers_; // of the values; no_value for those in no group
    std::vector<std::uint32_t> group_by_center_;
    std::vector<Group> groups_;
    std::uint64_t bytes_at_first_ = 0; // without the pairs, as below
    std::uint64_t bytes_at_the_end_ = 0;
};

JoinReport Grouping::run(const RankSource& ranks, const MemberSink& sink) {
    report_.left_rows = codes_.size();
    report_.passes = 1;
    report_.isa = isa_name(options_.isa);
    report_.threads = workers_.count();
    bytes_at_first_ = codes_.size() * bytes_per_row + Distinct::most_bytes(codes_.size()) +
                      workers_.count() * bytes_per_thread + bytes_of_plan;
    if (options_.method == JoinMethod::faiss) {
        bytes_at_first_ += faiss_bytes(codes_.size(), workers_.count());
    }
    check_memory(bytes_at_first_, 0, options_.memory_limit);

    monitor_.begin(JoinPhase::grouping);
    distinct_.emplace(codes_, workers_);
    report_.left_values = distinct_->values().size();
    find_pairs();
    monitor_.begin(JoinPhase::forming);
    std::vector<GroupedRow> rows = collect_rows();
    distinct_.reset();
    std::uint64_t pairs = 0;
    if (!rows.empty()) {
        monitor_.end(); // the clock stops while the keys are ranked
        const std::vector<std::uint32_t> found = ranks(rows);
        monitor_.begin(JoinPhase::forming);
        rank(std::move(rows), found);
        form();
        send(sink);
        pairs = report_.pairs;
    }
    monitor_.end();
    monitor_.write(report_);
    report_.pairs = pairs;
    return report_;
}

void Grouping::find_pairs() {
    if (method_ == GroupMethod::connected) {
        components_.emplace(*distinct_, workers_);
        find_pairs(*components_);
        return;
    }
    pairs_.emplace(workers_.count(), [this](std::uint64_t bytes) {
        const std::uint64_t all = bytes + bytes / sizeof(ValuePair) * center_bytes_per_pair;
        check_memory(bytes_at_first_ + all, all, options_.memory_limit);
    });
    find_pairs(*pairs_);
    pairs_->finish();
}

void Grouping::find_pairs(GroupPairSink& sink) {
    CountedPairs counted(sink, *distinct_, monitor_);
    const SchemeUsed used = find_group_pairs(*distinct_, threshold_, options_, pairs_to_keep(),
                                             device_, workers_, monitor_, counted);
    report_.scheme = used.words;
    report_.tables = used.tables;
}

// The rows that have neighbours, equal ones included.
std::vector<GroupedRow> Grouping::collect_rows() {
    LargeArray<std::uint32_t> values(codes_.size()); // by row
    std::fill_n(values.data(), values.size(), no_value);
    std::uint64_t count = 0;
    const auto collect = [&](std::uint32_t group) {
        const std::span<const std::uint32_t> rows = distinct_->rows(group);
        if (values[rows[0]] == no_value) {
            for (const std::uint32_t row : rows) {
                values[row] = group;
            }
            count += rows.size();
        }
    };
    for (std::size_t i = 0; pairs_ && i < pairs_->block_count(); ++i) {
        for (const ValuePair& pair : pairs_->block(i)) {
            collect(pair.a);
            collect(pair.b);
        }
    }
    for (const Distinct::Chunk& chunk : distinct_->chunks()) {
        for (std::uint32_t group = chunk.first_row; group < chunk.first_row + chunk.groups;
             ++group) {
            if (distinct_->rows(group).size() > 1 ||
                (components_ && components_->similar_rows(group) > 0)) {
                collect(group);
            }
        }
    }
    const std::uint64_t pair_bytes =
        pairs_ ? pairs_->bytes() + pairs_->size() * center_bytes_per_pair : 0;
    const std::uint64_t now = bytes_at_first_ + count * bytes_per_row_asked_for;
    bytes_at_the_end_ = workers_.count() * bytes_per_thread_at_the_end +
                        codes_.size() * bytes_per_row_at_the_end +
                        count * (bytes_per_grouped_row + bytes_per_grouped_value);
    check_memory(std::max(now, bytes_at_the_end_) + pair_bytes, pair_bytes, options_.memory_limit);
    std::vector<GroupedRow> grouped;
    grouped.reserve(count);
    for (std::uint32_t row = 0; row < values.size(); ++row) {
        if (values[row] != no_value) {
            grouped.push_back({row, values[row]});
        }
    }
    return grouped;
}

// Takes the rows in the order of their ranks, without copies, and numbers the values.
void Grouping::rank(std::vector<GroupedRow> rows, std::span<const std::uint32_t> ranks) {
    if (ranks.size() != rows.size()) {
        throw std::invalid_argument(std::to_string(ranks.size()) + " ranks for " +
                                    std::to_string(rows.size()) + " rows");
    }
    value_numbers_ = LargeArray<std::uint32_t>(codes_.size());
    std::fill_n(value_numbers_.data(), value_numbers_.size(), no_value);
    rows_.reserve(rows.size());
    const GroupedRow* last = nullptr; // of another key
    for (const std::uint32_t i : order_by_rank(ranks)) {
        const GroupedRow& row = rows[i];
        if (last != nullptr && ranks[last - rows.data()] == ranks[i]) {
            if (last->value != row.value) {
                throw std::invalid_argument("rows of one key have different hashes");
            }
            copies_ = true;
            continue;
        }
        last = &row;
        std::uint32_t& number = value_numbers_[row.value];
        if (number == no_value) {
            number = static_cast<std::uint32_t>(values_.codes.size());
            values_.codes.push_back(codes_[row.row]);
            values_.rows.push_back(0);
            value_groups_.push_back(row.value);
        }
        ++values_.rows[number];
        rows_.push_back({row.row, number});
    }
}

void Grouping::form() {
    if (method_ == GroupMethod::connected) {
        find_component_centers();
    } else {
        find_centers();
    }
    number_groups();
    find_diameters();
}

void Grouping::find_centers() {
    workers_.run_tasks(pairs_->block_count(), [&](unsigned, std::uint64_t number) {
        for (ValuePair& pair : pairs_->block(number)) {
            pair = {value_numbers_[pair.a], value_numbers_[pair.b]};
        }
    });
    Centers centers = group_around_centers(values_, *pairs_, threshold_,
                                           method_ == GroupMethod::complete, workers_);
    centers_ = std::move(centers.of);
    report_.pairs = centers.row_pairs;
}

// The rows of the values that are similar to each value. What Components has counted holds only if
// it counted no copies: otherwise the pairs are found again, for the counts alone.
std::vector<std::uint32_t> Grouping::similar_rows() {
    if (!copies_) {
        std::vector<std::uint32_t> counts(value_groups_.size());
        std::transform(value_groups_.begin(), value_groups_.end(), counts.begin(),
                       [&](std::uint32_t group) { return components_->similar_rows(group); });
        return counts;
    }
    Distinct distinct(codes_, workers_); // numbers its groups as before
    SimilarRows sink(values_, value_numbers_);
    find_group_pairs(distinct, threshold_, options_, pairs_to_keep(), device_, workers_, monitor_,
                     sink);
    monitor_.begin(JoinPhase::forming);
    return sink.counts();
}

void Grouping::find_component_centers() {
    const std::vector<std::uint32_t> similar = similar_rows();
    const std::size_t count = values_.codes.size();
    const auto neighbours = [&](std::uint32_t value) {
        return std::uint64_t{similar[value]} + values_.rows[value] - 1;
    };
    std::vector<std::uint32_t> best(count, no_value); // by the number of the component's root
    const auto root = [&](std::uint32_t value) {
        return value_numbers_[components_->root(value_groups_[value])];
    };
    for (std::uint32_t value = 0; value < count; ++value) {
        std::uint32_t& center = best[root(value)];
        if (center == no_value || neighbours(value) > neighbours(center)) {
            center = value;
        }
        report_.pairs += values_.rows[value] * neighbours(value);
    }
    report_.pairs /= 2;
    centers_.resize(count);
    for (std::uint32_t value = 0; value < count; ++value) {
        // One row's value without neighbours has lost its copies.
        centers_[value] = neighbours(value) > 0 ? best[root(value)] : no_value;
    }
}

// Numbers the groups by their smallest value.
void Grouping::number_groups() {
    group_by_center_.assign(centers_.size(), no_value);
    for (std::uint32_t value = 0; value < centers_.size(); ++value) {
        const std::uint32_t center = centers_[value];
        if (center == no_value) {
            continue;
        }
        if (group_by_center_[center] == no_value) {
            group_by_center_[center] = static_cast<std::uint32_t>(groups_.size());
            groups_.push_back({.center = center, .first_value = 0});
        }
        Group& group = groups_[group_of(value)];
        ++group.values;
        group.rows += values_.rows[value];
    }
    std::uint32_t first = 0;
    for (Group& group : groups_) {
        group.first_value = first;
        first += group.values;
    }
}

// Finds the diameters: of small groups many at a time, of large ones by all threads.
void Grouping::find_diameters() {
    const std::size_t count =
        groups_.empty() ? 0 : groups_.back().first_value + groups_.back().values;
    LargeArray<std::uint64_t> codes(count);
    std::vector<std::uint32_t> filled(groups_.size());
    for (std::uint32_t value = 0; value < centers_.size(); ++value) {
        if (centers_[value] != no_value) {
            const std::uint32_t group = group_of(value);
            codes[groups_[group].first_value + filled[group]++] = values_.codes[value];
        }
    }
    const auto codes_of = [&](const Group& group) {
        return std::span(codes.data() + group.first_value, group.values);
    };
    const int most = method_ == GroupMethod::complete ? threshold_
                     : method_ == GroupMethod::star   ? std::min(2 * threshold_, 64)
                                                      : 64;
    std::vector<std::size_t> tasks{0}; // the first group of each; at last, their number
    std::size_t values = 0;
    for (std::size_t i = 0; i < groups_.size(); ++i) {
        if (values + groups_[i].values > values_per_task && values > 0) {
            tasks.push_back(i);
            values = 0;
        }
        values += groups_[i].values;
    }
    tasks.push_back(groups_.size());
    std::vector<DiameterBuffers> buffers(workers_.count());
    workers_.run_tasks(tasks.size() - 1, [&](unsigned worker, std::uint64_t task) {
        for (std::size_t i = tasks[task]; i < tasks[task + 1]; ++i) {
            Group& group = groups_[i];
            if (group.values <= values_per_task) {
                group.diameter = static_cast<std::uint8_t>(
                    buffers[worker].diameter(codes_of(group), most, options_.isa));
            }
        }
    });
    for (Group& group : groups_) {
        if (group.values > values_per_task) {
            group.diameter =
                static_cast<std::uint8_t>(diameter(codes_of(group), most, options_, workers_));
        }
    }
}

// Sends the rows by group, within a group by rank.
void Grouping::send(const MemberSink& sink) const {
    std::vector<std::uint32_t> places(groups_.size() + 1);
    for (std::size_t i = 0; i < groups_.size(); ++i) {
        places[i + 1] = places[i] + groups_[i].rows;
    }
    std::vector<std::uint32_t> order(places.back()); // numbers in rows_
    for (std::uint32_t i = 0; i < rows_.size(); ++i) {
        if (centers_[rows_[i].value] != no_value) {
            order[places[group_of(rows_[i].value)]++] = i;
        }
    }
    std::vector<Member> batch;
    std::uint32_t last_center = no_value;
    for (std::size_t i = 0; i < order.size(); ++i) {
        const auto [row, value] = rows_[order[i]];
        const std::uint32_t number = group_of(value);
        const Group& group = groups_[number];
        // The centre is the first row of its value.
        const bool is_center = value == group.center && value != last_center;
        last_center = is_center ? value : last_center;
        batch.push_back({.row = row,
                         .group = number + 1,
                         .size = group.rows,
                         .distance = static_cast<std::uint8_t>(
                             std::popcount(values_.codes[value] ^ values_.codes[group.center])),
                         .diameter = group.diameter,
                         .is_center = is_center});
        if (batch.size() == members_per_batch || i + 1 == order.size()) {
            sink(batch);
            batch.clear();
        }
    }
}

} // namespace

JoinReport similar_groups(std::span<const std::uint64_t> codes, int threshold, GroupMethod method,
                          const JoinOptions& options, const RankSource& ranks,
                          const MemberSink& sink) {
    if (threshold < 0 || threshold > 64) {
        throw std::invalid_argument("the distance of two hashes lies in 0 .. 64: threshold " +
                                    std::to_string(threshold) + " is out of range");
    }
    if (codes.size() > std::numeric_limits<std::uint32_t>::max()) {
        throw std::invalid_argument("a join takes up to 4294967295 rows, not " +
                                    std::to_string(codes.size()));
    }
    return Grouping(codes, threshold, method, options).run(ranks, sink);
}

} // namespace vamhash
