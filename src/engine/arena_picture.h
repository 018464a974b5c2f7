// A picture in the arena as it travels: what an engine says of one that it put there, and what
// another may believe of that.
#pragma once

#include "hash/device_picture.h"
#include "protocol/frame.h"

#include <optional>
#include <span>

namespace vamhash {

/// Tells of grey pixels, or of a JPEG's coefficients.
/// @{
protocol::Picture picture_record(std::uint64_t offset, std::uint32_t width, std::uint32_t height);
protocol::Picture picture_record(std::uint64_t offset, const JpegLayout& jpeg,
                                 Orientation orientation);
/// @}

/// The picture that a record tells of; nothing where it cannot be in this part of the arena. Who
/// wrote the record reads hostile images, and may be anybody: its numbers decide what is read, so
/// all are checked. What pixels and coefficients say decides nothing.
std::optional<DevicePicture> picture_of(const protocol::Picture& record,
                                        std::span<const std::uint8_t> part);

} // namespace vamhash
