// Which scheme a join uses: the planner, by expected costs.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include "join/bit_order.h"
#include "join/scheme.h"
#include "plugin/device_backend.h"
#include "simd/isa.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace vamhash {

/// A scheme and what the planner expects of it.
struct Plan {
    Scheme scheme;
    BitOrder order;
    double seconds = 0; // on one thread, or on the device, without writing pairs
    bool one_bucket = false;
    bool on_device = false;
};

/// Bits of the first blocks by which a partition is shared at most: a scatter to more chunks is
/// slower than a second one in cache.
constexpr int most_shared_bits = 11;

/// The plan's scheme in words: "2 parts (2, 2), keys of 2 blocks", the parts by their tolerances.
std::string describe(const Plan& plan);

/// How many of so many values are a sample for plan_join.
std::size_t sample_size(std::size_t values);

/// What the steps of a join take on a device, in nanoseconds.
struct DeviceCosts {
    double table; // besides the work
    double code;  // partitioned, a table
    double key;   // a possible key
    double pair;  // compared in a bucket that fills tiles
    double candidate;
    int most_key_bits; // that there is memory for
};

/// The costs on a device for a join that may take so many bytes of it; 0: all.
DeviceCosts device_costs(const plugin::DeviceProperties& device, std::uint64_t memory_limit,
                         int threshold);

struct PlanRequest {
    std::span<const std::uint64_t> sample; // distinct values
    double values;                         // in all
    int threshold;
    Isa isa;
    bool allow_one_bucket; // that is, brute force
    // Of a join of two sets, the other set.
    std::span<const std::uint64_t> right_sample = {};
    double right_values = 0; // 0: of a self-join
    // Values are gathered and grouped anew for each set of tables (join/passes.h).
    bool in_passes = false;
    std::optional<DeviceCosts> device = {}; // plan for one with these costs

    [[nodiscard]] bool self() const { return right_values == 0; }
    [[nodiscard]] double all_values() const { return values + right_values; }
    [[nodiscard]] double pairs() const { return values * (self() ? values / 2 : right_values); }
};

/// The expected seconds of so many comparisons by brute force on one thread.
double brute_force_seconds(double pairs, int threshold, Isa isa);

/// The plan to compare all values with each other.
Plan plan_brute_force(const PlanRequest& request);

/// Chooses the scheme and the order of bits of the least expected cost: partition, comparisons and
/// candidates, from the sample's histograms.
Plan plan_join(const PlanRequest& request);

/// Every scheme that plan_join may choose, for the tests.
std::vector<Scheme> possible_schemes(int threshold, double values);

} // namespace vamhash
