// The choice between brute force and the join by block combinations, of one set or of two.
//
// Few rows are joined by brute force at once. Otherwise the column that finds the candidates is
// chosen, by the expected cost of a join in that column alone; its rows are grouped by value, and
// the join of the distinct values is planned. Where brute force is cheaper, by the same estimate,
// it compares the rows, or, where many of them are equal, the distinct values in a single bucket.
// Of two sets the rows are not even grouped where to compare them all takes less time than that.
//
// Where memory does not suffice to group all rows, the join is made in passes (join/passes.h).
#include "join/row_join.h"

#include "join/brute_force.h"
#include "join/distinct.h"
#include "join/equal_rows.h"
#include "join/estimate.h"
#include "join/faiss_join.h"
#include "join/group_pairs.h"
#include "join/join_device.h"
#include "join/passes.h"
#include "join/plan.h"
#include "join/row_pairs.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace vamhash {

namespace {

// Up to so many rows, brute force takes less time than to plan something better.
constexpr std::size_t most_rows_for_brute_force = 4096;
constexpr double seconds_per_equal_pair = 2e-9;
// The first touch of the groups' memory included, which a self-join has to make anyway.
constexpr double seconds_to_group_a_row = 40e-9;

// Rows at equal distances, sorted.
std::vector<std::uint64_t> sample_of(std::span<const std::uint64_t> codes) {
    const std::size_t rows = codes.size();
    std::vector<std::uint64_t> sample(sample_size(rows));
    for (std::size_t i = 0; i < sample.size(); ++i) {
        sample[i] = codes[i * rows / sample.size()];
    }
    std::sort(sample.begin(), sample.end());
    return sample;
}

// The pairs of equal codes of two sorted samples.
double equal_pairs(std::span<const std::uint64_t> left, std::span<const std::uint64_t> right) {
    double pairs = 0;
    std::size_t first = 0;
    for (const std::uint64_t code : left) {
        while (first < right.size() && right[first] < code) {
            ++first;
        }
        for (std::size_t i = first; i < right.size() && right[i] == code; ++i) {
            ++pairs;
        }
    }
    return pairs;
}

// The request for a plan made from rows that have not been grouped.
struct RowSample {
    std::vector<std::uint64_t> left;
    std::vector<std::uint64_t> right;
    double equal_pairs; // of rows, in all
    PlanRequest request;
};

RowSample sample_rows(const JoinInput& input, std::size_t column, const JoinOptions& options) {
    const auto share = [](std::span<const std::uint64_t> codes, std::size_t sampled) {
        return static_cast<double>(codes.size()) /
               static_cast<double>(std::max(sampled, size_t{1}));
    };
    RowSample sample{.left = sample_of(input.left[column]),
                     .right = sample_of(input.right[column]),
                     .equal_pairs = 0,
                     .request = {}};
    std::vector<std::uint64_t>& left = sample.left;
    std::vector<std::uint64_t>& right = sample.right;
    const double left_scale = share(input.left[column], left.size());
    const double right_scale = share(input.right[column], right.size());
    double equal = equal_pairs(left, right);
    if (input.self) {
        equal = (equal - static_cast<double>(left.size())) / 2;
    }
    sample.equal_pairs = equal * left_scale * right_scale;
    for (std::vector<std::uint64_t>* codes : {&left, &right}) {
        codes->erase(std::unique(codes->begin(), codes->end()), codes->end());
    }
    sample.request = {.sample = left,
                      .values = left_scale * static_cast<double>(left.size()),
                      .threshold = input.thresholds[column],
                      .isa = options.isa,
                      .allow_one_bucket = options.method != JoinMethod::blocks};
    if (!input.self) {
        sample.request.right_sample = right;
        sample.request.right_values = right_scale * static_cast<double>(right.size());
    }
    return sample;
}

// Memory in messages.
std::string megabytes(std::uint64_t bytes) {
    return std::to_string((bytes + (1U << 20) - 1) >> 20) + " MB";
}

constexpr std::size_t bytes_per_brute_force_thread = std::size_t{1} << 20;

// A join, step by step.
class RowJoin {
  public:
    RowJoin(const JoinInput& input, const JoinOptions& options, Workers& workers, Monitor& monitor,
            PairOutput& output, JoinReport& report)
        : input_(input), options_(options), workers_(workers), monitor_(monitor), output_(output),
          report_(report), device_(options.device, rows(), monitor) {}

    void run();

  private:
    void find_pairs();
    void choose_column();
    void compare_all();
    void join_by_faiss();
    void join_groups();
    void join_in_passes();
    [[nodiscard]] bool may_be_equal(double pairs) const;
    void limit_equal_rows(std::uint64_t held_bytes);
    void require(std::uint64_t bytes) const;
    [[nodiscard]] std::uint64_t column_bytes() const;
    [[nodiscard]] std::uint64_t least_bytes() const;
    [[nodiscard]] std::uint64_t grouping_bytes() const;
    [[nodiscard]] std::uint64_t bytes_beside(std::uint64_t bytes) const;
    [[nodiscard]] std::uint64_t pairs_to_keep(std::uint64_t values, std::uint64_t held) const;
    [[nodiscard]] bool brute() const { return options_.method == JoinMethod::brute; }
    [[nodiscard]] bool automatic() const { return options_.method != JoinMethod::blocks; }
    [[nodiscard]] std::size_t rows() const { return left_rows() + right_rows(); }
    [[nodiscard]] std::size_t left_rows() const { return input_.left[0].size(); }
    [[nodiscard]] std::size_t right_rows() const {
        return input_.self ? 0 : input_.right[0].size();
    }
    [[nodiscard]] double all_pairs() const;

    JoinInput input_;
    const JoinOptions& options_;
    Workers& workers_;
    Monitor& monitor_;
    PairOutput& output_;
    JoinReport& report_;
    JoinDevice device_;
};

void RowJoin::run() {
    report_.left_rows = report_.left_values = left_rows();
    report_.right_rows = report_.right_values = right_rows();
    report_.passes = 1;
    // The smaller set is the left one: its codes pass by vectors of the other's.
    const bool swap = !input_.self && left_rows() > right_rows();
    if (swap) {
        std::swap(input_.left, input_.right);
        std::swap(input_.left_numbers, input_.right_numbers);
        input_.swapped = !input_.swapped;
    }
    try {
        find_pairs();
    } catch (const TooManyPairsFound&) {
        // Of a join within groups, the outer one tells its own.
        if (options_.max_pairs == 0) {
            throw;
        }
        const std::span<const std::uint64_t> none;
        throw TooManyPairs(
            options_.max_pairs,
            heaviest_hashes(input_.left_codes(), input_.self ? none : input_.right_codes()));
    }
    if (swap) {
        std::swap(report_.left_values, report_.right_values);
    }
}

std::uint64_t RowJoin::column_bytes() const {
    return sizeof(std::uint64_t) * input_.left.size() * rows();
}

// What a join by blocks takes besides its groups.
std::uint64_t RowJoin::least_bytes() const {
    return column_bytes() + workers_.count() * bytes_per_thread + bytes_of_plan;
}

std::uint64_t RowJoin::grouping_bytes() const {
    return Distinct::most_bytes(left_rows()) +
           (input_.self ? 0 : Distinct::most_bytes(right_rows()));
}

void RowJoin::require(std::uint64_t bytes) const {
    if (options_.memory_limit != 0 && bytes > options_.memory_limit) {
        throw JoinMemoryExceeded("the join needs at least " + megabytes(bytes) +
                                 " of memory, and may take " + megabytes(options_.memory_limit));
    }
}

double RowJoin::all_pairs() const {
    const auto rows = static_cast<double>(left_rows());
    return input_.self ? rows * (rows - 1) / 2 : rows * static_cast<double>(right_rows());
}

// Whether so many pairs would be too many.
bool RowJoin::may_be_equal(double pairs) const {
    return options_.max_pairs != 0 && pairs > static_cast<double>(options_.max_pairs);
}

// The bytes of the limit that are left beside so many.
std::uint64_t RowJoin::bytes_beside(std::uint64_t bytes) const {
    if (options_.memory_limit == 0) {
        return std::numeric_limits<std::uint64_t>::max();
    }
    return options_.memory_limit - std::min(options_.memory_limit, bytes);
}

// The pairs to keep against a device's failure, beside so many bytes.
std::uint64_t RowJoin::pairs_to_keep(std::uint64_t values, std::uint64_t held) const {
    return vamhash::pairs_to_keep(values, bytes_beside(held));
}

// Throws if the pairs of rows equal in all columns are too many. Left to the output where there is
// no memory to count them besides the bytes that are held.
void RowJoin::limit_equal_rows(std::uint64_t held_bytes) {
    const std::uint64_t mixed = input_.left.size() > 1 ? sizeof(std::uint64_t) * rows() : 0;
    if (options_.memory_limit != 0 &&
        least_bytes() + held_bytes + grouping_bytes() + mixed + left_rows() >
            options_.memory_limit) {
        return;
    }
    monitor_.begin(JoinPhase::grouping);
    if (equal_row_pairs(input_, workers_) > options_.max_pairs) {
        throw TooManyPairsFound();
    }
}

// Chooses the column that finds the candidates by the cost of a join in it alone.
void RowJoin::choose_column() {
    double least = std::numeric_limits<double>::max();
    for (std::size_t i = 0; input_.left.size() > 1 && i < input_.left.size(); ++i) {
        const RowSample sample = sample_rows(input_, i, options_);
        const double seconds =
            plan_join(sample.request).seconds + sample.equal_pairs * seconds_per_equal_pair;
        if (seconds < least) {
            least = seconds;
            input_.candidates = i;
        }
    }
}

void RowJoin::compare_all() {
    require(column_bytes() + workers_.count() * bytes_per_brute_force_thread);
    if (may_be_equal(all_pairs())) {
        limit_equal_rows(0);
    }
    report_.scheme = "brute force";
    brute_force(input_, options_.isa, workers_, monitor_, output_);
}

void RowJoin::join_by_faiss() {
    require(column_bytes() + faiss_bytes(input_.right_codes().size(), workers_.count()));
    report_.scheme = faiss_scheme;
    faiss_join(input_, workers_, monitor_, output_);
}

void RowJoin::find_pairs() {
    if (options_.method == JoinMethod::faiss) {
        join_by_faiss();
        return;
    }
    device_.take_required();
    const double brute_seconds = brute_force_seconds(all_pairs(), input_.threshold(), options_.isa);
    const bool device_may_help = device_.is_wanted(brute_seconds / workers_.count());
    if (left_rows() == 0 || (brute() && !device_may_help) ||
        (automatic() && rows() <= most_rows_for_brute_force && !device_.is_required())) {
        compare_all();
        return;
    }
    monitor_.begin(JoinPhase::planning);
    choose_column();
    if (options_.progress) {
        monitor_.expect_pairs(estimate_pairs(input_, options_.isa, workers_));
    }
    if (options_.memory_limit != 0 && least_bytes() + grouping_bytes() > options_.memory_limit) {
        join_in_passes();
        return;
    }
    if (!input_.self && automatic() && !device_may_help) {
        const double grouped =
            plan_join(sample_rows(input_, input_.candidates, options_).request).seconds +
            static_cast<double>(rows()) * seconds_to_group_a_row;
        if (brute_seconds <= grouped) {
            compare_all();
            return;
        }
    }
    join_groups();
}

void RowJoin::join_groups() {
    monitor_.begin(JoinPhase::grouping);
    Distinct left(input_.left_codes(), workers_);
    std::optional<Distinct> other;
    if (!input_.self) {
        other.emplace(input_.right_codes(), workers_);
    }
    Distinct& right = input_.self ? left : *other;
    const std::size_t left_values = left.values().size();
    const std::size_t right_values = input_.self ? 0 : right.values().size();
    // At most so many pairs of rows are equal in the candidates' column.
    if (may_be_equal(input_.self ? static_cast<double>(left.equal_pairs())
                                 : std::min(double(left.largest_group()) * double(right_rows()),
                                            double(right.largest_group()) * double(left_rows())))) {
        limit_equal_rows(grouping_bytes());
    }

    monitor_.begin(JoinPhase::planning);
    PlanRequest request{.sample = left.values().first(sample_size(left_values)),
                        .values = static_cast<double>(left_values),
                        .threshold = input_.threshold(),
                        .isa = options_.isa,
                        .allow_one_bucket = automatic()};
    if (!input_.self) {
        request.right_sample = right.values().first(sample_size(right_values));
        request.right_values = static_cast<double>(right_values);
    }
    const Plan plan = device_.choose(brute() ? plan_brute_force(request) : plan_join(request),
                                     request, workers_.count(), brute());
    if (!plan.on_device &&
        (brute() || (plan.one_bucket && left_values + right_values > rows() / 2))) {
        compare_all();
        return;
    }
    report_.left_values = left_values;
    report_.right_values = right_values;
    RowPairs pairs(input_, options_.isa, bytes_beside(least_bytes() + grouping_bytes()), workers_,
                   monitor_, output_);
    pairs.refer_to(left, right);
    monitor_.begin(JoinPhase::comparing, plan.scheme.tables());
    if (input_.self) {
        pairs.send_equal();
    }
    const SchemeUsed used =
        run_plan(plan, left, right, input_.threshold(), options_.isa,
                 pairs_to_keep(left_values + right_values, least_bytes() + grouping_bytes()),
                 device_, workers_, monitor_, pairs);
    report_.scheme = used.words;
    report_.tables = used.tables;
    pairs.join_large();
    pairs.finish();
}

void RowJoin::join_in_passes() {
    RowSample sample = sample_rows(input_, input_.candidates, options_);
    sample.request.in_passes = true;
    Plan plan = plan_join(sample.request);
    const double brute_seconds = brute_force_seconds(all_pairs(), input_.threshold(), options_.isa);
    if (!brute()) {
        plan = device_.choose(plan, sample.request, workers_.count());
    }
    if (brute() || plan.one_bucket ||
        (!plan.on_device && automatic() && brute_seconds <= plan.seconds)) {
        if (device_.is_required()) { // which compares groups
            require(least_bytes() + grouping_bytes());
        }
        compare_all();
        return;
    }
    require(least_bytes());
    Passes passes(input_, plan, options_.memory_limit - least_bytes(), options_.isa, workers_);
    const std::uint64_t held = least_bytes() + passes.most_bytes();
    require(held);
    RowPairs pairs(input_, options_.isa, bytes_beside(held), workers_, monitor_, output_);
    passes.run(device_, pairs_to_keep(rows(), held), monitor_, pairs);
    pairs.finish();
    report_.scheme = describe(plan);
    report_.tables = plan.scheme.tables();
    report_.passes = passes.count();
}

} // namespace

void join_rows(const JoinInput& input, const JoinOptions& options, Workers& workers,
               Monitor& monitor, PairOutput& output, JoinReport& report) {
    RowJoin(input, options, workers, monitor, output, report).run();
}

} // namespace vamhash
