// The devices that tests run on.
#pragma once

#include "device/device.h"

#include <cstdlib>
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

} // namespace vamhash::test
