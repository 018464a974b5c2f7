// Where a join gets a device from.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include "device/device.h"

#include <cstdint>

namespace vamhash {

/// The device that a source would give.
struct DeviceOffer {
    plugin::DeviceProperties properties;
    bool is_open; // it costs no start
};

/// Gives a join a device, which stays open for the next one.
class DeviceSource {
  public:
    virtual ~DeviceSource() = default;

    /// What take() would give. Throws NoDevice where there is none, which says why.
    virtual DeviceOffer look() = 0;

    /// Opens the device, if it is not open. Throws NoDevice where others have it; DeviceFailed and
    /// DeviceMemoryExceeded.
    virtual Device& take() = 0;

    /// Closes the device, which has failed for this reason: it is not given again.
    virtual void discard(const char* reason) = 0;
};

/// Which joins use a device.
struct DeviceOptions {
    DeviceSource* source = nullptr; // null: no join does
    bool is_required = false;       // true: every join does, or fails
    std::uint64_t min_rows = 0;     // otherwise, those of so many rows, that are expected to take
    double least_seconds = 0.1;     // the CPU so long, and longer than the device
    std::uint64_t memory_limit = 0; // bytes on the device; 0: most of what is free
};

} // namespace vamhash
