// The planner: what it chooses for which data, and for which device.
#include "join/plan.h"

#include "join/device_join.h"

#include <algorithm>
#include <cstdint>
#include <gtest/gtest.h>
#include <random>
#include <span>
#include <vector>

namespace vamhash {
namespace {

TEST(Plan, FollowsTheData) {
    std::mt19937_64 random(3);
    std::vector<std::uint64_t> uniform(8192);
    std::generate(uniform.begin(), uniform.end(), [&] { return random(); });
    const auto plan = [&](std::span<const std::uint64_t> sample, double values, int threshold) {
        return plan_join({sample, values, threshold, best_isa(), true});
    };
    EXPECT_FALSE(plan(uniform, 1e6, 5).one_bucket);
    EXPECT_FALSE(plan(uniform, 1e6, 5).order.changes()) << "all orders are alike";
    EXPECT_TRUE(plan(uniform, 1e6, 40).one_bucket) << "nothing beats brute force";
    EXPECT_LT(plan(uniform, 1e6, 2).seconds, plan(uniform, 1e6, 5).seconds);
    EXPECT_LT(plan(uniform, 1e6, 5).seconds, plan(uniform, 1e7, 5).seconds);

    // Each bit agrees with its three neighbours: keys of neighbouring bits are worth little.
    std::vector<std::uint64_t> runs(uniform);
    for (std::uint64_t& code : runs) {
        const std::uint64_t bits = code & 0x1111111111111111;
        code = bits * 15;
    }
    EXPECT_TRUE(plan(runs, 1e4, 3).order.changes());
    EXPECT_GT(plan(runs, 1e6, 5).seconds, plan(uniform, 1e6, 5).seconds);
}

plugin::DeviceProperties gpu(std::uint32_t units, std::uint64_t memory) {
    plugin::DeviceProperties device{};
    device.memory_bytes = memory;
    device.compute_units = units;
    device.clock_mhz = 1700;
    device.is_gpu = 1;
    return device;
}

TEST(Plan, FollowsTheDevice) {
    std::mt19937_64 random(4);
    std::vector<std::uint64_t> uniform(8192);
    std::generate(uniform.begin(), uniform.end(), [&] { return random(); });
    const auto plan = [&](double values, int threshold, std::uint32_t units, std::uint64_t memory) {
        PlanRequest request{uniform, values, threshold, best_isa(), true};
        request.device = device_costs(gpu(units, memory), 0, threshold);
        return plan_join(request);
    };
    constexpr std::uint64_t much = std::uint64_t{80} << 30;
    for (const int threshold : {2, 5, 8, 10}) {
        for (const double values : {1e5, 1e6, 1e7, 1e8, 1e9}) {
            const Plan large = plan(values, threshold, 132, much);
            EXPECT_TRUE(large.on_device);
            EXPECT_LE(longest_key(large.scheme), most_device_key_bits);
            EXPECT_LE(large.seconds, plan(values, threshold, 16, much).seconds);
            EXPECT_LE(large.seconds, plan(10 * values, threshold, 132, much).seconds);
            // A quarter of 32 MB has room for 2^18 keys.
            EXPECT_LE(longest_key(plan(values, threshold, 132, 32 << 20).scheme), 18);
        }
    }
    EXPECT_TRUE(plan(1e6, 40, 132, much).one_bucket);
    EXPECT_FALSE(plan(1e6, 2, 132, much).one_bucket);
}

} // namespace
} // namespace vamhash
