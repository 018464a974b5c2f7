// Grey pictures in, hashes out, many at once on a device: the hashes of image_hasher.h, bit for
// bit.
//
// The device resizes all pictures in two launches, one a direction, and sums the blocks of the Haar
// wavelet in a third. What comes back of a picture is a kilobyte and a half, of which the host
// makes the bits (hash_bits.h).
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include "device/device.h"
#include "hash/image_hasher.h"

#include <cstdint>
#include <span>
#include <vector>

namespace vamhash {

/// A picture of 8-bit grey, row by row, without padding.
struct GreyPicture {
    std::span<const std::uint8_t> pixels; // width * height
    std::uint32_t width;
    std::uint32_t height;
};

/// The hashes of each of the pictures; `wanted` are bits of HashKind. A side has 1 to a million
/// pixels. Throws DeviceMemoryExceeded where they do not fit at once (device_hash_bytes), and
/// DeviceFailed.
std::vector<ImageHashes> hash_on_device(Device& device, std::span<const GreyPicture> pictures,
                                        std::uint32_t wanted);

/// The bytes on the device that a picture of this size takes.
std::uint64_t device_hash_bytes(std::uint32_t width, std::uint32_t height, std::uint32_t wanted);

} // namespace vamhash
