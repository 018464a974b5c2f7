// A device backend that is another one, until a call is to fail.
#pragma once

#include "device/device.h"

#include <atomic>
#include <cstdint>
#include <limits>

namespace vamhash::test {

/// What the calls of the faulty backend do. One at a time: its functions have no context.
struct Faults {
    static constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();

    // Calls that go well before one fails.
    std::int64_t allocations = never;
    std::int64_t launches = never;
    std::int64_t reads = never;
    bool once = false; // the next ones go well again; otherwise, all that follow fail, too
    plugin::DeviceStatus status = plugin::DeviceStatus::failed;
    std::uint64_t largest_array = ~std::uint64_t{0}; // bytes; for larger ones there is no memory
    std::uint64_t memory = plugin::unknown_device_bytes; // that it says is free

    // What there is of the device.
    std::int64_t open_devices = 0;
    std::int64_t arrays = 0;
    std::int64_t faults = 0;
};

/// The faults of all faulty backends.
inline Faults& faults() {
    static Faults all;
    return all;
}

/// Another backend's functions, with these faults.
class FaultyBackend {
  public:
    explicit FaultyBackend(const plugin::DeviceBackend& other) : table_(other) {
        real() = &other;
        table_.open = open;
        table_.close = close;
        table_.fault = fault;
        table_.free_bytes = free_bytes;
        table_.allocate = allocate;
        table_.release = release;
        table_.read = read;
        table_.launch = launch;
    }

    [[nodiscard]] const plugin::DeviceBackend& table() const { return table_; }

  private:
    using Status = plugin::DeviceStatus;

    static const plugin::DeviceBackend*& real() {
        static const plugin::DeviceBackend* backend;
        return backend;
    }

    // Counts a call; says whether it fails.
    static bool fails(std::int64_t& calls_left) {
        if (calls_left == Faults::never || calls_left-- > 0) {
            return false;
        }
        calls_left = faults().once ? Faults::never : 0;
        ++faults().faults;
        return true;
    }

    static Status open(std::uint32_t number, plugin::OpenDevice** device, char* message,
                       std::size_t message_size) noexcept {
        const Status status = real()->open(number, device, message, message_size);
        faults().open_devices += status == Status::done ? 1 : 0;
        return status;
    }
    static void close(plugin::OpenDevice* device) noexcept {
        --faults().open_devices;
        real()->close(device);
    }
    static const char* fault(const plugin::OpenDevice* /*device*/) noexcept {
        return faults().status == Status::failed ? "the device was lost" : "no memory is left";
    }
    static std::uint64_t free_bytes(plugin::OpenDevice* device) noexcept {
        return faults().memory != plugin::unknown_device_bytes ? faults().memory
                                                               : real()->free_bytes(device);
    }
    static Status allocate(plugin::OpenDevice* device, std::uint64_t bytes,
                           plugin::DeviceArray** array) noexcept {
        if (fails(faults().allocations)) {
            return faults().status;
        }
        if (bytes > faults().largest_array) {
            ++faults().faults;
            return Status::out_of_memory;
        }
        const Status status = real()->allocate(device, bytes, array);
        faults().arrays += status == Status::done ? 1 : 0;
        return status;
    }
    static void release(plugin::OpenDevice* device, plugin::DeviceArray* array) noexcept {
        --faults().arrays;
        real()->release(device, array);
    }
    static Status read(plugin::OpenDevice* device, std::uint32_t queue,
                       const plugin::DeviceArray* array, std::uint64_t offset, void* target,
                       std::uint64_t bytes) noexcept {
        return fails(faults().reads) ? faults().status
                                     : real()->read(device, queue, array, offset, target, bytes);
    }
    static Status launch(plugin::OpenDevice* device, std::uint32_t queue, plugin::Kernel kernel,
                         std::uint32_t groups, std::uint32_t group_size,
                         const plugin::KernelArgument* arguments, std::size_t count) noexcept {
        return fails(faults().launches)
                   ? faults().status
                   : real()->launch(device, queue, kernel, groups, group_size, arguments, count);
    }

    plugin::DeviceBackend table_;
};

} // namespace vamhash::test
