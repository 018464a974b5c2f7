// The memory that a join takes, as the system counts it: it stays below the limit.
#include "join_data.h"

#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include <malloc.h>

namespace vamhash {
namespace {

using namespace test;

constexpr std::int64_t megabyte = 1 << 20;

// A figure of this process in bytes: VmRSS, what it has in memory, or VmHWM, the most it had.
std::int64_t memory(const std::string& name) {
    std::ifstream status("/proc/self/status");
    for (std::string word; status >> word;) {
        if (word == name + ":") {
            std::int64_t kilobytes = 0;
            status >> kilobytes;
            return kilobytes * 1024;
        }
    }
    return 0;
}

// Forgets the most that it had.
bool reset_peak() {
    std::ofstream("/proc/self/clear_refs") << 5 << std::flush;
    return memory("VmHWM") < memory("VmRSS") + megabyte;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool sanitized = true;
#else
constexpr bool sanitized = false;
#endif

// Joins within the limit, and expects so many passes.
void expect_within(const Column& left, const Column* right, int threshold, std::int64_t limit,
                   std::uint64_t fewest_passes, std::uint64_t most_passes) {
    std::vector<int> thresholds{threshold};
    const JoinOptions options{.threads = 2,
                              .method = JoinMethod::blocks,
                              .memory_limit = static_cast<std::uint64_t>(limit)};
    const std::span<const std::uint64_t> left_column(left);
    const std::span<const std::uint64_t> right_column(right == nullptr ? left : *right);
    const PairSink nowhere = [](std::span<const Pair>) {};
    malloc_trim(0);
    if (sanitized || !reset_peak()) {
        GTEST_SKIP() << "memory cannot be measured here";
    }
    const std::int64_t before = memory("VmRSS");
    const JoinReport report = right == nullptr
                                  ? similar_pairs({&left_column, 1}, thresholds, options, nowhere)
                                  : similar_pairs_between({&left_column, 1}, {&right_column, 1},
                                                          thresholds, options, nowhere);
    const std::int64_t columns =
        8 * static_cast<std::int64_t>(left.size() + (right == nullptr ? 0 : right->size()));
    EXPECT_LE(memory("VmHWM") - before + columns, limit) << report.passes << " passes";
    EXPECT_GE(report.passes, fewest_passes);
    EXPECT_LE(report.passes, most_passes);
}

TEST(JoinMemory, StaysBelowTheLimit) {
    const Column codes = planted_codes(2000000, 1, 20);
    for (const int threshold : {2, 5, 8}) {
        expect_within(codes, nullptr, threshold, 50 * megabyte, 6, 1000);
    }
    expect_within(codes, nullptr, 5, 130 * megabyte, 1, 1);
}

TEST(JoinMemory, StaysBelowTheLimitWithHeavyValues) {
    const Column codes = skewed_codes(1000000, 2, 30, 3000);
    expect_within(codes, nullptr, 3, 40 * megabyte, 3, 1000);
    expect_within(codes, nullptr, 3, 80 * megabyte, 1, 1);
}

TEST(JoinMemory, StaysBelowTheLimitWithTwoSets) {
    const Column left = planted_codes(500000, 3, 20);
    const Column right = planted_codes(1500000, 4, 20, left);
    expect_within(left, &right, 5, 50 * megabyte, 6, 1000);
    expect_within(left, &right, 5, 130 * megabyte, 1, 1);
}

} // namespace
} // namespace vamhash
