// Pictures in, hashes out, many at once on a device: the hashes of image_hasher.h, bit for bit.
//
// A picture comes as grey pixels or as the coefficients of a JPEG, which the device decodes; or as
// a JPEG file, for a decoder of the device's vendor, whose pixels are not libjpeg-turbo's. The
// device resizes all pictures of a chunk in two launches, one a direction, sums the blocks of the
// Haar wavelet in a third, and makes all bits in a fourth. Chunks alternate over the device's
// queues, so that the copies of one and the kernels of another overlap.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include "device/device.h"
#include "hash/device_chunk.h"
#include "hash/device_filters.h"
#include "hash/device_lane.h"
#include "hash/device_picture.h"
#include "hash/image_hasher.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace vamhash {

/// Hashes one batch of pictures after another; keeps its arrays on the device and the filters from
/// one to the next.
class DeviceHasher {
  public:
    /// `wanted` are bits of HashKind. memory_limit: bytes on the device; 0: most of what is free.
    DeviceHasher(Device& device, std::uint32_t wanted, std::uint64_t memory_limit = 0);

    /// The hashes of each picture, or nothing for one that is for the CPU: libjpeg-turbo's
    /// instruction sets may part over its coefficients, it is too large for the device, or a file
    /// that the device's decoder, which must have been loaded, does not take. Nothing
    /// reads the pictures any more when it returns or throws. Where the device runs out of memory
    /// it goes on with half of what it had. Throws DeviceFailed, and std::invalid_argument for what
    /// is no picture.
    std::vector<std::optional<ImageHashes>> hash(std::span<const DevicePicture> pictures);

  private:
    using Hashes = std::span<std::optional<ImageHashes>>;

    [[nodiscard]] std::size_t next_chunk(std::span<const DevicePicture> pictures);
    void run(std::span<const DevicePicture> pictures, Hashes hashes, std::size_t& done);

    std::uint32_t wanted_;
    std::uint64_t lane_bytes_; // that each lane may take
    DeviceFilters filters_;
    std::array<DeviceLane, plugin::device_queues> lanes_;
};

/// The bytes that a picture takes on the device at most, of which there must be twice as many:
/// there are two lanes.
std::uint64_t device_hash_bytes(const DevicePicture& picture, std::uint32_t wanted);

} // namespace vamhash
