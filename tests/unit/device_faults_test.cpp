// Devices that fail while they hash grey pictures and JPEGs: no hash is wrong or lost, and nothing
// is left on the device.
#include "hash/device_hasher.h"

#include "device/device.h"
#include "faulty_backend.h"
#include "picture_batch.h"
#include "tested_devices.h"

#include <algorithm>
#include <cstdint>
#include <gtest/gtest.h>
#include <optional>
#include <vector>

namespace vamhash {
namespace {

// A device that fails at one place after another.
class DeviceFaultsTest : public testing::Test {
  protected:
    void SetUp() override {
        const std::vector<DeviceListing> devices = test::tested_devices();
        if (devices.empty()) {
            GTEST_SKIP() << "there is no device, not even PoCL's";
        }
        test::faults() = {};
        backend_.emplace(*load_device_backend(devices[0].backend).backend);
        device_.emplace(backend_->table(), static_cast<std::uint32_t>(devices[0].number));
    }
    void TearDown() override {
        device_.reset();
        test::faults() = {};
    }

    std::optional<test::FaultyBackend> backend_;
    std::optional<Device> device_;
    const test::PictureBatch batch_ = test::mixed_batch(24);
    // Half of it is enough for each picture, and all of it makes several chunks.
    std::uint64_t memory_ = 4 * batch_.most_bytes();
};

TEST_F(DeviceFaultsTest, GoesOnInLessMemory) {
    test::faults().status = plugin::DeviceStatus::out_of_memory;
    for (const bool once : {true, false}) {
        for (auto calls :
             {&test::Faults::allocations, &test::Faults::launches, &test::Faults::reads}) {
            bool is_over = false;
            for (std::int64_t well = 0; !is_over; ++well) {
                DeviceHasher hasher(*device_, hash_all, memory_);
                const std::int64_t before = test::faults().faults;
                test::faults().once = once;
                test::faults().*calls = well;
                const test::MaybeHashes hashes = hasher.hash(batch_.pictures());
                is_over = test::faults().faults == before;
                test::faults().*calls = test::Faults::never;
                for (std::size_t i = 0; i < hashes.size(); ++i) {
                    if (once || hashes[i]) {
                        ASSERT_EQ(hashes[i], batch_.expected()[i]) << well << " calls went well";
                    }
                }
                ASSERT_LT(well, 1000);
            }
        }
    }
    EXPECT_EQ(test::faults().arrays, 0);
}

TEST_F(DeviceFaultsTest, TellsOfAFailure) {
    for (auto calls : {&test::Faults::allocations, &test::Faults::launches, &test::Faults::reads}) {
        bool is_over = false;
        for (std::int64_t well = 0; !is_over; ++well) {
            DeviceHasher hasher(*device_, hash_all, memory_);
            test::faults().once = true;
            test::faults().*calls = well;
            try {
                EXPECT_EQ(hasher.hash(batch_.pictures()), batch_.expected());
                is_over = true;
            } catch (const DeviceFailed&) {
            }
            test::faults().*calls = test::Faults::never;
            EXPECT_EQ(hasher.hash(batch_.pictures()), batch_.expected())
                << "it was the backend's lie";
            ASSERT_LT(well, 1000);
        }
    }
    EXPECT_EQ(test::faults().arrays, 0);
}

TEST_F(DeviceFaultsTest, LeavesWhatFindsNoMemory) {
    test::faults().largest_array = 100'000;
    DeviceHasher hasher(*device_, hash_all);
    const test::MaybeHashes hashes = hasher.hash(batch_.pictures());
    EXPECT_GT(test::faults().faults, 0);
    EXPECT_GT(std::ranges::count_if(hashes, [](const auto& own) { return !own; }), 0);
    EXPECT_EQ(hashes[0], batch_.expected()[0]);
    for (std::size_t i = 0; i < hashes.size(); ++i) {
        if (hashes[i]) {
            EXPECT_EQ(hashes[i], batch_.expected()[i]);
        }
    }
}

TEST_F(DeviceFaultsTest, KeepsItsArrays) {
    DeviceHasher hasher(*device_, hash_all, 20 * batch_.all_bytes());
    EXPECT_EQ(hasher.hash(batch_.pictures()), batch_.expected());
    test::faults().allocations = 0;
    EXPECT_EQ(hasher.hash(batch_.pictures()), batch_.expected());
    EXPECT_EQ(hasher.hash(std::span(batch_.pictures()).first(7)),
              test::MaybeHashes(batch_.expected().begin(), batch_.expected().begin() + 7));
    EXPECT_EQ(test::faults().faults, 0);
}

} // namespace
} // namespace vamhash
