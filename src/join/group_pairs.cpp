#include "join/group_pairs.h"

#include "join/faiss_join.h"
#include "join/plan.h"
#include "join/table_join.h"

namespace vamhash {

namespace {

// Up to so many values, to compare them all takes less time than to plan something better.
constexpr std::size_t most_values_to_compare = 4096;

Plan plan_for(const Distinct& distinct, int threshold, const JoinOptions& options,
              JoinDevice& device, const Workers& workers) {
    const std::span<const std::uint64_t> values = distinct.values();
    const bool brute = options.method == JoinMethod::brute;
    const bool automatic = options.method == JoinMethod::automatic;
    const PlanRequest request{.sample = values.first(sample_size(values.size())),
                              .values = static_cast<double>(values.size()),
                              .threshold = threshold,
                              .isa = options.isa,
                              .allow_one_bucket = automatic};
    const Plan on_cpu = brute || (automatic && values.size() <= most_values_to_compare)
                            ? plan_brute_force(request)
                            : plan_join(request);
    return device.choose(on_cpu, request, workers.count(), brute);
}

} // namespace

SchemeUsed find_group_pairs(Distinct& distinct, int threshold, const JoinOptions& options,
                            std::uint64_t most_sent, JoinDevice& device, Workers& workers,
                            Monitor& monitor, GroupPairSink& sink) {
    if (options.method == JoinMethod::faiss) {
        return faiss_group_pairs(distinct, threshold, workers, monitor, sink);
    }
    monitor.begin(JoinPhase::planning);
    device.take_required();
    const Plan plan = plan_for(distinct, threshold, options, device, workers);
    return run_plan(plan, distinct, distinct, threshold, options.isa, most_sent, device, workers,
                    monitor, sink);
}

SchemeUsed run_plan(const Plan& plan, Distinct& left, Distinct& right, int threshold, Isa isa,
                    std::uint64_t most_sent, JoinDevice& device, Workers& workers, Monitor& monitor,
                    GroupPairSink& sink) {
    const bool self = &left == &right;
    if (plan.order.changes()) {
        left.reorder(plan.order, workers);
        if (!self) {
            right.reorder(plan.order, workers);
        }
    }
    monitor.begin(JoinPhase::comparing, plan.scheme.tables());
    if (!self || (threshold > 0 && left.values().size() > 1)) {
        TableJoin join(plan, threshold, isa, most_sent, device, workers, monitor, sink);
        join.refer_to(left, right);
        for (std::size_t set = 0; set < join.sets(); ++set) {
            join.run(set);
            monitor.add(0, join.tables(set));
        }
    }
    return {describe(plan), plan.one_bucket ? 0 : plan.scheme.tables()};
}

} // namespace vamhash
