// The devices that tests run on.
#pragma once

#include "device/device.h"

#include <cstdint>
#include <cstdlib>
#include <gtest/gtest.h>
#include <memory>
#include <vector>

namespace vamhash::test {

// The devices to be tested.
inline std::vector<DeviceListing> tested_devices() {
    std::vector<DeviceListing> devices = list_devices();
    const char* const backend = std::getenv("VAMHASH_TEST_BACKEND");
    std::erase_if(devices, [&](const DeviceListing& listing) {
        return listing.properties.usable == 0 || (backend != nullptr && listing.backend != backend);
    });
    return devices;
}

/// Those devices, each open: once for all tests of a program, since PoCL compiles when one is
/// opened.
inline std::vector<std::unique_ptr<Device>> open_tested_devices() {
    std::vector<std::unique_ptr<Device>> devices;
    for (const DeviceListing& listing : tested_devices()) {
        devices.push_back(std::make_unique<Device>(*load_device_backend(listing.backend).backend,
                                                   static_cast<std::uint32_t>(listing.number)));
    }
    return devices;
}

/// Tests that run on all of them, and are skipped where there is none.
class TestedDevices : public testing::Test {
  protected:
    static void SetUpTestSuite() { devices = open_tested_devices(); }
    static void TearDownTestSuite() { devices.clear(); }

    void SetUp() override {
        if (devices.empty()) {
            GTEST_SKIP() << "there is no device, not even PoCL's";
        }
    }

    static inline std::vector<std::unique_ptr<Device>> devices;
};

} // namespace vamhash::test
