// The kernels of the join on every device that there is, PoCL's CPU among them, against brute force
// and against the scheme's own rule. VAMHASH_TEST_BACKEND names a backend whose devices alone are
// tested, and must be there.
#include "join/device_join.h"
#include "join/plan.h"

#include "tested_devices.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <gtest/gtest.h>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

using namespace vamhash;
using vamhash::test::tested_devices;

namespace {

using Codes = std::vector<std::uint64_t>;
using Pairs = std::vector<std::pair<std::uint64_t, std::uint64_t>>;

// Distinct codes, a share of them close to others.
Codes made_codes(std::size_t count, std::uint64_t seed, double near = 0.3) {
    std::mt19937_64 random(seed);
    std::set<std::uint64_t> codes;
    Codes list;
    while (list.size() < count) {
        std::uint64_t code = random();
        if (!list.empty() && std::uniform_real_distribution<>(0, 1)(random) < near) {
            code = list[random() % list.size()];
            for (std::uint64_t flips = random() % 8; flips > 0; --flips) {
                code ^= std::uint64_t{1} << random() % 64;
            }
        }
        if (codes.insert(code).second) {
            list.push_back(code);
        }
    }
    return list;
}

Pairs brute_force(const Codes& left, const Codes& right, bool self, int threshold) {
    Pairs pairs;
    for (std::size_t i = 0; i < left.size(); ++i) {
        for (std::size_t j = self ? i + 1 : 0; j < right.size(); ++j) {
            if (std::popcount(left[i] ^ right[j]) <= threshold) {
                pairs.emplace_back(self ? std::min(left[i], right[j]) : left[i],
                                   self ? std::max(left[i], right[j]) : right[j]);
            }
        }
    }
    std::sort(pairs.begin(), pairs.end());
    return pairs;
}

// The pairs that all tables of a scheme give together; twice there is a pair that is found twice.
Pairs join(DeviceJoin& device_join, const Scheme& scheme, int threshold, bool self) {
    Pairs pairs;
    for (std::size_t part = 0; part < scheme.parts.size(); ++part) {
        for (const Table& table : tables_of(scheme.parts[part])) {
            device_join.run(
                key_mask(scheme.parts[part], table), threshold, emission_rule(scheme, part, table),
                [&](std::span<const CodePair> found) {
                    for (const CodePair& pair : found) {
                        pairs.emplace_back(self ? std::min(pair.left, pair.right) : pair.left,
                                           self ? std::max(pair.left, pair.right) : pair.right);
                    }
                });
        }
    }
    std::sort(pairs.begin(), pairs.end());
    return pairs;
}

class DeviceJoinTest : public vamhash::test::TestedDevices {
  protected:
    static void compare(const Codes& codes, const Scheme& scheme, int threshold,
                        const DeviceJoin::Sizes& sizes = {}) {
        const Pairs expected = brute_force(codes, codes, true, threshold);
        for (const auto& device : devices) {
            DeviceJoin device_join(*device, codes, sizes);
            const Pairs found = join(device_join, scheme, threshold, true);
            EXPECT_EQ(found, expected)
                << device->name() << ", " << codes.size() << " codes, threshold " << threshold;
            EXPECT_GE(device_join.candidates(), found.size());
        }
    }
};

TEST_F(DeviceJoinTest, KnowsItsDevices) {
    for (const auto& device : devices) {
        EXPECT_NE(device->properties().name[0], '\0');
        EXPECT_GT(device->properties().memory_bytes, 0U);
    }
}

TEST_F(DeviceJoinTest, ComparesAllAtTheBordersOfTiles) {
    for (const std::size_t count : {2, 31, 64, 65, 128, 129, 511, 512, 513, 1024, 1500}) {
        const Codes codes = made_codes(count, count);
        for (const int threshold : {0, 3, 6, 7, 20, 64}) {
            compare(codes, one_bucket(), threshold);
        }
    }
}

TEST_F(DeviceJoinTest, FindsEachPairInOneTable) {
    const Codes codes = made_codes(3000, 1);
    for (int threshold = 0; threshold <= 12; ++threshold) {
        std::size_t number = 0;
        for (const Scheme& scheme : possible_schemes(threshold, 3000)) {
            if (number++ % 23 == 0 && scheme.tables() <= 60) {
                compare(codes, scheme, threshold);
            }
        }
    }
}

TEST_F(DeviceJoinTest, JoinsLongAndShortBucketsOfOneTable) {
    // Keys of few bits of codes that share most of them.
    Codes codes = made_codes(2500, 2);
    for (std::size_t i = 0; i < 2000; ++i) {
        codes[i] = (codes[i] & ~0xffffULL) | 0x1234;
    }
    std::sort(codes.begin(), codes.end());
    codes.erase(std::unique(codes.begin(), codes.end()), codes.end());
    for (const int threshold : {2, 5, 9}) {
        compare(codes, make_scheme(threshold, 1, 1, 8), threshold);
    }
}

TEST_F(DeviceJoinTest, ResumesWhatFindsNoRoom) {
    // Nearly all pairs are hits, many times the buffer's size.
    const Codes codes = made_codes(700, 3);
    compare(codes, one_bucket(), 40, {.hits = 16384, .units = 2});
    compare(codes, make_scheme(10, 1, 1, 3), 10, {.hits = 16384, .units = 3});
    const Codes dense = [] {
        Codes all;
        for (std::uint64_t i = 0; i < 4096; ++i) {
            all.push_back(i * 0x0000001000000000ULL);
        }
        return all;
    }();
    compare(dense, make_scheme(4, 1, 1, 12), 4, {.hits = 16384, .units = 16});
}

TEST_F(DeviceJoinTest, JoinsTwoSets) {
    const Codes all = made_codes(4000, 4);
    for (const std::size_t left_count : {1UL, 40UL, 700UL, 2000UL}) {
        const Codes left(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(left_count));
        const Codes right(all.begin() + 20, all.end()); // some codes are in both
        for (const int threshold : {0, 4, 8}) {
            const Pairs expected = brute_force(left, right, false, threshold);
            for (const Scheme& scheme : {one_bucket(), make_scheme(threshold, 1, 1, 5)}) {
                for (const auto& device : devices) {
                    DeviceJoin device_join(*device, left, right, {});
                    EXPECT_EQ(join(device_join, scheme, threshold, false), expected)
                        << device->name() << ", " << left_count << " left codes, threshold "
                        << threshold;
                }
            }
        }
    }
}

TEST_F(DeviceJoinTest, TakesNoCodes) {
    for (const auto& device : devices) {
        DeviceJoin nothing(*device, {}, {});
        EXPECT_TRUE(join(nothing, make_scheme(3, 1, 1, 8), 3, true).empty());
    }
}

TEST_F(DeviceJoinTest, RefusesKeysThatAreTooLong) {
    DeviceJoin device_join(*devices[0], Codes{1, 2}, {});
    EXPECT_THROW(device_join.run(0x1ffffff, 3, {}, [](std::span<const CodePair>) {}),
                 std::invalid_argument);
}

TEST_F(DeviceJoinTest, SaysThatMemoryIsOut) {
    for (const auto& device : devices) {
        const std::uint64_t too_much = 64 * device->properties().memory_bytes;
        EXPECT_THROW(DeviceMemory(*device, too_much), DeviceMemoryExceeded);
        const Codes codes = made_codes(100, 5); // and goes on
        compare(codes, one_bucket(), 5);
    }
}

// The tests install PoCL, and must not pass by finding nothing.
TEST(DeviceBackendTest, HasADeviceToTest) {
#ifndef VAMHASH_OPENCL
    if (std::getenv("VAMHASH_TEST_BACKEND") == nullptr) {
        GTEST_SKIP() << "the backend opencl was not built";
    }
#endif
    std::string reasons;
    for (const DeviceListing& listing : list_devices()) {
        reasons += listing.backend + ": " + listing.properties.reason + "\n";
    }
    EXPECT_FALSE(tested_devices().empty()) << reasons;
}

TEST(DeviceBackendTest, SaysWhyThereIsNone) {
    const LoadedBackend& missing = load_device_backend("no_such_backend");
    EXPECT_EQ(missing.backend, nullptr);
    EXPECT_NE(missing.reason.find("vamhash_no_such_backend.so"), std::string::npos);
    for (const DeviceListing& listing : list_devices()) {
        if (listing.number < 0) {
            EXPECT_NE(listing.properties.reason[0], '\0') << listing.backend;
        }
    }
}

} // namespace
