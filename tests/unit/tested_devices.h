// The devices that tests run on.
#pragma once

#include "device/device.h"

#include <cstdint>
#include <cstdlib>
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

} // namespace vamhash::test
