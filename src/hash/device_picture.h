// A picture that is to be hashed on a device, and what it takes there.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include "codec/exif.h"
#include "codec/jpeg_layout.h"
#include "hash/device_filters.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace vamhash {

/// A picture in host memory.
struct DevicePicture {
    /// Grey pixels, width * height, upright and row by row; or a JPEG's coefficients as in
    /// codec/jpeg_layout.h, which may be anything; or a JPEG file, of which the same holds.
    std::span<const std::uint8_t> bytes;
    std::uint32_t width = 0; // of the grey picture, upright
    std::uint32_t height = 0;
    std::optional<JpegLayout> jpeg;                   // of coefficients
    Orientation orientation = Orientation::as_stored; // that a JPEG is to be given
    bool is_file = false; // for Device::decode_jpeg_files(): its luma is the grey picture
};

/// Throws std::invalid_argument for what is no picture: a side has 1 to a million pixels (of a JPEG
/// file, to max_jpeg_side), those of a layout are its own, and all bytes are there.
void check_picture(const DevicePicture& picture);

/// What a device has of a chunk of pictures, in the order in which it is in one array, the pool.
enum class PoolPart : std::uint8_t {
    // Results: flags of pictures, and their hashes, as ImageHashes.
    flags,
    hashes,
    // Tables, as the kernels take them (kernels/jpeg_picture.h, image_pass.h).
    jpeg_blocks,
    first_groups,
    jpeg_pictures,
    first_tiles,
    row_passes,
    first_rows,
    column_passes,
    first_columns,
    squares,
    // What is uploaded, and what is made of it.
    uploads,
    samples,
    grey,
    resized_rows,
    dhash_pixels,
    ahash_pixels, // and of whash16
    phash_pixels,
    whash_pixels,
    whash_sums,
};
constexpr std::size_t pool_parts = 20;

/// What a picture is resized to, and the hashes that are made of that.
struct ResizeTarget {
    std::uint32_t width;
    std::uint32_t height;
    std::uint32_t hashes; // bits of HashKind
    PoolPart pixels;

    /// Whether only the sums of its blocks are wanted.
    [[nodiscard]] bool is_square() const { return pixels == PoolPart::whash_pixels; }
};

/// What a picture is resized to; `wanted` are bits of HashKind.
class ResizeTargets {
  public:
    ResizeTargets(const DevicePicture& picture, std::uint32_t wanted);

    [[nodiscard]] const ResizeTarget* begin() const { return targets_.data(); }
    [[nodiscard]] const ResizeTarget* end() const { return targets_.data() + count_; }

  private:
    std::array<ResizeTarget, 4> targets_{};
    std::size_t count_ = 0;
};

/// Parts begin at multiples of this, and so does each JPEG.
constexpr std::uint64_t pool_alignment = 16;
constexpr std::uint64_t pool_aligned(std::uint64_t bytes) {
    return (bytes + pool_alignment - 1) / pool_alignment * pool_alignment;
}

/// The sizes of the parts, in bytes.
class PoolSizes {
  public:
    PoolSizes() = default;
    PoolSizes(const DevicePicture& picture, std::uint32_t wanted);

    PoolSizes& operator+=(const PoolSizes& other);

    /// Where a part begins.
    [[nodiscard]] std::uint64_t first(PoolPart part) const;
    [[nodiscard]] std::uint64_t all() const;

  private:
    void add(PoolPart part, std::uint64_t bytes) {
        sizes_[static_cast<std::size_t>(part)] += bytes;
    }
    void add_jpeg(const JpegLayout& layout);
    void add_file(const DevicePicture& picture);
    void add_conversion(std::uint32_t width, std::uint32_t height);

    std::array<std::uint64_t, pool_parts> sizes_{};
};

/// The bytes that filters for a picture would add, or more.
std::uint64_t filter_bytes_to_add(const DeviceFilters& filters, const DevicePicture& picture,
                                  std::uint32_t wanted);

} // namespace vamhash
