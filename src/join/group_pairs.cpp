#include "join/group_pairs.h"

#include "join/block_join.h"
#include "join/faiss_join.h"
#include "join/scheme.h"

namespace vamhash {

namespace {

// Up to so many values, to compare them all takes less time than to plan something better.
constexpr std::size_t most_values_to_compare = 4096;

Plan plan_for(const Distinct& distinct, int threshold, const JoinOptions& options) {
    const std::span<const std::uint64_t> values = distinct.values();
    const bool automatic = options.method == JoinMethod::automatic;
    if (options.method == JoinMethod::brute ||
        (automatic && values.size() <= most_values_to_compare)) {
        return {.scheme = one_bucket(), .order = {}, .one_bucket = true};
    }
    return plan_join({.sample = values.first(sample_size(values.size())),
                      .values = static_cast<double>(values.size()),
                      .threshold = threshold,
                      .isa = options.isa,
                      .allow_one_bucket = automatic});
}

} // namespace

SchemeUsed find_group_pairs(Distinct& distinct, int threshold, const JoinOptions& options,
                            Workers& workers, Monitor& monitor, GroupPairSink& sink) {
    if (options.method == JoinMethod::faiss) {
        return faiss_group_pairs(distinct, threshold, workers, monitor, sink);
    }
    monitor.begin(JoinPhase::planning);
    const Plan plan = plan_for(distinct, threshold, options);
    return run_plan(plan, distinct, distinct, threshold, options.isa, workers, monitor, sink);
}

SchemeUsed run_plan(const Plan& plan, Distinct& left, Distinct& right, int threshold, Isa isa,
                    Workers& workers, Monitor& monitor, GroupPairSink& sink) {
    const bool self = &left == &right;
    if (plan.order.changes()) {
        left.reorder(plan.order, workers);
        if (!self) {
            right.reorder(plan.order, workers);
        }
    }
    monitor.begin(JoinPhase::comparing, plan.scheme.tables());
    if (!self || (threshold > 0 && left.values().size() > 1)) {
        BlockJoin join(plan, threshold, isa, workers, monitor, sink);
        for (std::size_t set = 0; set < join.sets(); ++set) {
            join.run(set, left, right);
            monitor.add(0, join.tables(set));
        }
    }
    return {describe(plan), plan.one_bucket ? 0 : plan.scheme.tables()};
}

} // namespace vamhash
