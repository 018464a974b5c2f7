// Pictures that are hashed on a device at once: where all of them is there, and the tables by which
// the kernels work.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include "../../kernels/jpeg_picture.h"
#include "hash/device_picture.h"
#include "hash/image_hasher.h"
#include "plugin/device_backend.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace vamhash {

class DeviceChunk {
  public:
    /// Bytes that go to a place in the pool.
    struct Upload {
        std::span<const std::uint8_t> bytes;
        std::uint64_t place;
    };

    /// A kernel's work: entries of a table, and the groups of all. The table's other half has the
    /// number of earlier groups of each.
    struct Work {
        std::uint32_t entries = 0;
        std::uint64_t groups = 0;
    };

    /// Makes the filters that are missing. The pictures have been checked, and their bytes stay.
    DeviceChunk(std::span<const DevicePicture> pictures, std::uint32_t wanted,
                DeviceFilters& filters);

    [[nodiscard]] std::span<const DevicePicture> pictures() const { return pictures_; }
    [[nodiscard]] std::uint32_t wanted() const { return wanted_; }
    [[nodiscard]] std::uint64_t first(PoolPart part) const { return sizes_.first(part); }
    [[nodiscard]] std::uint64_t pool_bytes() const { return sizes_.all(); }
    [[nodiscard]] std::uint64_t result_bytes() const { return first(PoolPart::jpeg_blocks); }

    /// What goes to PoolPart::jpeg_blocks and behind it.
    [[nodiscard]] std::span<const std::uint64_t> tables() const { return tables_; }
    [[nodiscard]] std::span<const Upload> uploads() const { return uploads_; }
    /// What the device decodes by itself before the kernels begin. It says of each whether it did.
    [[nodiscard]] std::span<plugin::JpegFile> files() { return files_; }

    /// Of the tables of JPEGs' blocks and of JPEGs, of the passes, and of the squares.
    [[nodiscard]] const Work& blocks() const { return blocks_; }
    [[nodiscard]] const Work& jpegs() const { return jpegs_; }
    [[nodiscard]] const Work& rows() const { return rows_; }
    [[nodiscard]] const Work& columns() const { return columns_; }
    [[nodiscard]] const Work& squares() const { return squares_; }

    /// Where the grey of a picture is.
    [[nodiscard]] std::uint64_t grey(std::size_t picture) const { return grey_[picture]; }

    /// The hashes of each picture among the results, or nothing where it is flagged, or a file that
    /// was not decoded.
    [[nodiscard]] std::vector<std::optional<ImageHashes>>
    hashes(std::span<const std::uint8_t> results) const;

  private:
    std::uint64_t take(PoolPart part, std::uint64_t bytes);
    template <typename Entry>
    void put(PoolPart part, const Entry& entry);
    template <typename Entry>
    void put(PoolPart part, PoolPart first_part, const Entry& entry, std::uint64_t groups,
             Work& work);
    std::uint64_t add_upload(const DevicePicture& picture);
    std::uint64_t add_grey(const DevicePicture& picture, std::uint32_t number);
    std::uint64_t add_jpeg(const DevicePicture& picture, std::uint64_t coefficients,
                           std::uint32_t number);
    std::uint64_t add_file(const DevicePicture& picture, std::uint32_t number);
    std::uint64_t add_conversion(JpegPicture made, Orientation orientation);
    void add_passes(const DevicePicture& picture, const ResizeTarget& target, std::uint64_t grey,
                    DeviceFilters& filters);

    std::span<const DevicePicture> pictures_;
    std::uint32_t wanted_;
    PoolSizes sizes_;
    std::array<std::uint64_t, pool_parts> next_{}; // free places of the parts
    std::vector<std::uint64_t> tables_;
    std::vector<Upload> uploads_;
    std::vector<plugin::JpegFile> files_;
    std::vector<std::uint32_t> file_pictures_; // their numbers
    std::vector<std::uint64_t> grey_;
    Work blocks_;
    Work jpegs_;
    Work rows_;
    Work columns_;
    Work squares_;
};

} // namespace vamhash
