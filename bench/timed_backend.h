// A backend whose calls can be timed: each is then waited for before the next begins.
#pragma once

#include "device/device.h"
#include "stopwatch.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace vamhash {

/// Seconds of calls.
struct DeviceTimes {
    std::array<double, plugin::kernel_count> kernels{};
    double clears = 0;
    double jpeg_files = 0; // decoded by the vendor's library
    double writes = 0;
    double reads = 0;
    std::uint64_t launches = 0; // and clears

    [[nodiscard]] double of(plugin::Kernel kernel) const {
        return kernels.at(static_cast<std::size_t>(kernel));
    }
};

namespace timed_backend {

// A backend's functions have no state of their own to keep this in.
inline const plugin::DeviceBackend* real = nullptr;
inline DeviceTimes* times = nullptr; // null: nothing is timed

template <typename Call>
plugin::DeviceStatus timed(plugin::OpenDevice* device, std::uint32_t queue, double& sum,
                           const Call& call) noexcept {
    const Stopwatch watch;
    plugin::DeviceStatus status = call();
    if (status == plugin::DeviceStatus::done) {
        status = real->finish(device, queue);
    }
    sum += watch.seconds();
    return status;
}

inline plugin::DeviceStatus launch(plugin::OpenDevice* device, std::uint32_t queue,
                                   plugin::Kernel kernel, std::uint32_t groups, std::uint32_t size,
                                   const plugin::KernelArgument* arguments,
                                   std::size_t count) noexcept {
    const auto call = [&] {
        return real->launch(device, queue, kernel, groups, size, arguments, count);
    };
    if (times == nullptr) {
        return call();
    }
    ++times->launches;
    return timed(device, queue, times->kernels.at(static_cast<std::size_t>(kernel)), call);
}

inline plugin::DeviceStatus clear(plugin::OpenDevice* device, std::uint32_t queue,
                                  plugin::DeviceArray* array, std::uint64_t bytes) noexcept {
    const auto call = [&] { return real->clear(device, queue, array, bytes); };
    if (times == nullptr) {
        return call();
    }
    ++times->launches;
    return timed(device, queue, times->clears, call);
}

inline plugin::DeviceStatus write(plugin::OpenDevice* device, std::uint32_t queue,
                                  plugin::DeviceArray* array, std::uint64_t offset,
                                  const void* source, std::uint64_t bytes) noexcept {
    const auto call = [&] { return real->write(device, queue, array, offset, source, bytes); };
    return times == nullptr ? call() : timed(device, queue, times->writes, call);
}

inline plugin::DeviceStatus read(plugin::OpenDevice* device, std::uint32_t queue,
                                 const plugin::DeviceArray* array, std::uint64_t offset,
                                 void* target, std::uint64_t bytes) noexcept {
    const auto call = [&] { return real->read(device, queue, array, offset, target, bytes); };
    return times == nullptr ? call() : timed(device, queue, times->reads, call);
}

inline plugin::DeviceStatus decode_jpeg_files(plugin::OpenDevice* device, std::uint32_t queue,
                                              plugin::DeviceArray* array, plugin::JpegFile* files,
                                              std::size_t count) noexcept {
    const auto call = [&] { return real->decode_jpeg_files(device, queue, array, files, count); };
    return times == nullptr ? call() : timed(device, queue, times->jpeg_files, call);
}

} // namespace timed_backend

/// The same backend, for time_device_calls(). There is one at a time.
inline plugin::DeviceBackend with_timing(const plugin::DeviceBackend& backend) {
    timed_backend::real = &backend;
    plugin::DeviceBackend with_times = backend;
    with_times.launch = timed_backend::launch;
    with_times.clear = timed_backend::clear;
    with_times.write = timed_backend::write;
    with_times.read = timed_backend::read;
    with_times.decode_jpeg_files = timed_backend::decode_jpeg_files;
    return with_times;
}

/// Does something with each of its calls waited for. The product's kernels only.
inline DeviceTimes time_device_calls(const std::function<void()>& work) {
    DeviceTimes times;
    timed_backend::times = &times;
    try {
        work();
    } catch (...) {
        timed_backend::times = nullptr;
        throw;
    }
    timed_backend::times = nullptr;
    return times;
}

} // namespace vamhash
