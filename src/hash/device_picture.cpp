#include "hash/device_picture.h"

#include "../../kernels/jpeg_picture.h"
#include "hash/image_hasher.h"

#include <algorithm>
#include <bit>
#include <stdexcept>

namespace vamhash {

namespace {

bool is_whole(const DevicePicture& picture) {
    if (picture.orientation < Orientation::as_stored ||
        picture.orientation > Orientation::rotate_anticlockwise) {
        return false;
    }
    if (picture.is_file) {
        return !picture.jpeg && picture.width != 0 && picture.height != 0 &&
               picture.width <= max_jpeg_side && picture.height <= max_jpeg_side &&
               !picture.bytes.empty();
    }
    if (picture.jpeg) {
        if (!is_valid(*picture.jpeg)) {
            return false;
        }
        const bool is_turned = swaps_axes(picture.orientation);
        return picture.width == (is_turned ? picture.jpeg->height : picture.jpeg->width) &&
               picture.height == (is_turned ? picture.jpeg->width : picture.jpeg->height) &&
               picture.bytes.size() == jpeg_bytes(*picture.jpeg);
    }
    return picture.width != 0 && picture.height != 0 && picture.width <= max_image_side &&
           picture.height <= max_image_side &&
           picture.bytes.size() == std::size_t{picture.width} * picture.height;
}

} // namespace

void check_picture(const DevicePicture& picture) {
    if (!is_whole(picture)) {
        throw std::invalid_argument("a picture has 1 to 1000000 pixels a side, or those of its "
                                    "layout or file, and all its bytes are there");
    }
}

ResizeTargets::ResizeTargets(const DevicePicture& picture, std::uint32_t wanted) {
    const std::uint32_t side =
        std::max(std::bit_floor(std::min(picture.width, picture.height)), 8U);
    for (const ResizeTarget& target :
         {ResizeTarget{9, 8, hash_dhash, PoolPart::dhash_pixels},
          ResizeTarget{8, 8, hash_ahash | hash_whash16, PoolPart::ahash_pixels},
          ResizeTarget{32, 32, hash_phash, PoolPart::phash_pixels},
          ResizeTarget{side, side, hash_whash, PoolPart::whash_pixels}}) {
        if ((wanted & target.hashes) != 0) {
            targets_[count_++] = target;
        }
    }
}

PoolSizes::PoolSizes(const DevicePicture& picture, std::uint32_t wanted) {
    add(PoolPart::flags, sizeof(std::uint32_t));
    add(PoolPart::hashes, sizeof(ImageHashes));
    if (picture.is_file) {
        add_file(picture);
    } else {
        add(PoolPart::uploads, pool_aligned(picture.bytes.size()));
    }
    if (picture.jpeg) {
        add_jpeg(*picture.jpeg);
    }
    for (const ResizeTarget& target : ResizeTargets(picture, wanted)) {
        add(PoolPart::row_passes, sizeof(ImagePass));
        add(PoolPart::first_rows, sizeof(std::uint64_t));
        add(PoolPart::column_passes, sizeof(ImagePass));
        add(PoolPart::first_columns, sizeof(std::uint64_t));
        add(PoolPart::resized_rows, std::uint64_t{target.width} * picture.height);
        add(target.pixels, std::uint64_t{target.width} * target.height);
        if (target.is_square()) {
            add(PoolPart::squares, sizeof(ImageSquare));
            add(PoolPart::whash_sums, 64 * sizeof(std::uint64_t));
        }
    }
}

// What becomes grey from samples.
void PoolSizes::add_conversion(std::uint32_t width, std::uint32_t height) {
    add(PoolPart::jpeg_pictures, sizeof(JpegPicture));
    add(PoolPart::first_tiles, sizeof(std::uint64_t));
    add(PoolPart::grey, std::uint64_t{width} * height);
}

void PoolSizes::add_file(const DevicePicture& picture) {
    add_conversion(picture.width, picture.height);
    add(PoolPart::samples, pool_aligned(std::uint64_t{picture.width} * picture.height));
}

void PoolSizes::add_jpeg(const JpegLayout& layout) {
    add_conversion(layout.width, layout.height);
    for (std::uint32_t i = 0; i < component_count(layout.colour); ++i) {
        add(PoolPart::jpeg_blocks, sizeof(JpegBlocks));
        add(PoolPart::first_groups, sizeof(std::uint64_t));
        // Not more than there are blocks: those beyond the component's own are not decoded.
        add(PoolPart::samples, 64 * jpeg_component(layout, i).blocks());
    }
}

PoolSizes& PoolSizes::operator+=(const PoolSizes& other) {
    std::ranges::transform(sizes_, other.sizes_, sizes_.begin(), std::plus());
    return *this;
}

std::uint64_t PoolSizes::first(PoolPart part) const {
    std::uint64_t place = 0;
    for (std::size_t i = 0; i < static_cast<std::size_t>(part); ++i) {
        place += pool_aligned(sizes_[i]);
    }
    return place;
}

std::uint64_t PoolSizes::all() const {
    return first(static_cast<PoolPart>(pool_parts));
}

std::uint64_t filter_bytes_to_add(const DeviceFilters& filters, const DevicePicture& picture,
                                  std::uint32_t wanted) {
    std::uint64_t bytes = 0;
    for (const ResizeTarget& target : ResizeTargets(picture, wanted)) {
        bytes += filters.bytes_to_add(picture.width, target.width) +
                 filters.bytes_to_add(picture.height, target.height);
    }
    return bytes;
}

} // namespace vamhash
