// A picture in the arena as it travels: what an engine says of one that it put there, and what
// another may believe of that.
#pragma once

#include "codec/plain_jpeg.h"
#include "hash/device_picture.h"
#include "protocol/frame.h"

#include <optional>
#include <span>
#include <vector>

namespace vamhash {

/// Tells of grey pixels, of a JPEG's coefficients, or of a JPEG file.
/// @{
protocol::Picture picture_record(std::uint64_t offset, std::uint32_t width, std::uint32_t height);
protocol::Picture picture_record(std::uint64_t offset, const JpegLayout& jpeg,
                                 Orientation orientation);
protocol::Picture picture_record(std::uint64_t offset, const PlainJpeg& file,
                                 Orientation orientation);
/// @}

/// The picture that a record tells of; nothing where it cannot be in this part of the arena, or is
/// a file where none may be. Who wrote the record reads hostile images, and may be anybody: its
/// numbers decide what is read, so all are checked. What pixels and coefficients say decides
/// nothing.
std::optional<DevicePicture> picture_of(const protocol::Picture& record,
                                        std::span<const std::uint8_t> part, bool may_be_file);

/// The same of all records of a batch. A device's decoder gets copies of files, so these have as
/// many bytes as the part at most: places that overlap would be copied many times.
std::vector<std::optional<DevicePicture>> pictures_of(std::span<const protocol::Picture> records,
                                                      std::span<const std::uint8_t> part,
                                                      bool may_be_files);

} // namespace vamhash
