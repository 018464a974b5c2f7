// One queue of a device, which hashes a chunk of pictures after another. Its arrays are kept from
// one to the next: to allocate them takes a device as long as to hash some pictures.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include "device/device.h"
#include "hash/device_chunk.h"
#include "hash/device_filters.h"

#include <cstdint>
#include <span>
#include <vector>

namespace vamhash {

/// All throws DeviceMemoryExceeded and DeviceFailed. The lane is idle or has one chunk.
class DeviceLane {
  public:
    DeviceLane(Device& device, std::uint32_t queue) : device_(device), queue_(queue) {}

    /// Begins with a chunk, whose pictures are to stay as they are until the lane is idle. Its pool
    /// and all filters must fit into `most_bytes`.
    void start(DeviceChunk& chunk, const DeviceFilters& filters, std::uint64_t most_bytes);

    /// Waits for the results of the chunk.
    std::span<const std::uint8_t> finish(const DeviceChunk& chunk);

    /// Waits until the lane is idle, whatever becomes of its chunk. Throws nothing.
    void abandon() noexcept;

    /// Of an idle lane.
    void release();

    [[nodiscard]] const DeviceMemory& pool() const { return pool_; }

  private:
    void make_room(std::uint64_t pool, std::uint64_t windows, std::uint64_t coefficients,
                   std::uint64_t most_bytes);
    void upload_filters(const DeviceFilters& filters);
    void launch(const DeviceChunk& chunk);

    Device& device_;
    std::uint32_t queue_;
    DeviceMemory pool_;
    DeviceMemory windows_;
    DeviceMemory coefficients_;
    std::uint64_t times_cleared_ = 0; // that the filters had been when these came
    std::size_t uploaded_windows_ = 0;
    std::size_t uploaded_coefficients_ = 0;
    std::vector<std::uint8_t> results_;
};

} // namespace vamhash
