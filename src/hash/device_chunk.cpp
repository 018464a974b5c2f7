#include "hash/device_chunk.h"

#include "../../kernels/image_pass.h"

#include <algorithm>
#include <cstring>
#include <type_traits>
#include <utility>

namespace vamhash {

namespace {

static_assert(JPEG_COLOUR_GREY == static_cast<int>(JpegColour::grey) &&
              JPEG_COLOUR_YCC == static_cast<int>(JpegColour::ycc) &&
              JPEG_COLOUR_RGB == static_cast<int>(JpegColour::rgb) &&
              JPEG_COLOUR_CMYK == static_cast<int>(JpegColour::cmyk) &&
              JPEG_COLOUR_YCCK == static_cast<int>(JpegColour::ycck));

static_assert(hash_dhash == 1U << IMAGE_DHASH && hash_ahash == 1U << IMAGE_AHASH &&
              hash_whash == 1U << IMAGE_WHASH && hash_phash == 1U << IMAGE_PHASH &&
              hash_whash16 == 1U << IMAGE_WHASH16);
static_assert(offsetof(ImageHashes, dhash) == sizeof(std::uint64_t) * IMAGE_DHASH &&
              offsetof(ImageHashes, ahash) == sizeof(std::uint64_t) * IMAGE_AHASH &&
              offsetof(ImageHashes, whash) == sizeof(std::uint64_t) * IMAGE_WHASH &&
              offsetof(ImageHashes, phash) == sizeof(std::uint64_t) * IMAGE_PHASH &&
              offsetof(ImageHashes, whash16) == sizeof(std::uint64_t) * IMAGE_WHASH16 &&
              sizeof(ImageHashes) == sizeof(std::uint64_t) * IMAGE_HASHES);

std::uint32_t divide_up(std::uint32_t number, std::uint32_t by) {
    return (number + by - 1) / by;
}

// The blocks of a component that have samples of its own.
JpegBlocks own_blocks(const JpegComponent& component) {
    JpegBlocks blocks{};
    blocks.across = divide_up(component.width, 8);
    blocks.stored_across = component.blocks_across;
    blocks.count = blocks.across * divide_up(component.height, 8);
    return blocks;
}

// Sets where grey goes that is upright from `place` on.
void orient(JpegPicture& picture, Orientation orientation, std::uint64_t place) {
    const bool is_turned = swaps_axes(orientation);
    const std::uint64_t width = is_turned ? picture.height : picture.width;
    picture.x_step = is_turned ? width : 1;
    picture.y_step = is_turned ? 1 : width;
    picture.out = place;
    const auto is_one_of = [&](auto... any) { return ((orientation == any) || ...); };
    if (is_one_of(Orientation::flip_left_right, Orientation::rotate_180, Orientation::transverse,
                  Orientation::rotate_anticlockwise)) {
        picture.out += (picture.width - 1) * picture.x_step;
        picture.x_step = -picture.x_step;
    }
    if (is_one_of(Orientation::rotate_180, Orientation::flip_top_bottom, Orientation::transverse,
                  Orientation::rotate_clockwise)) {
        picture.out += (picture.height - 1) * picture.y_step;
        picture.y_step = -picture.y_step;
    }
}

} // namespace

DeviceChunk::DeviceChunk(std::span<const DevicePicture> pictures, std::uint32_t wanted,
                         DeviceFilters& filters)
    : pictures_(pictures), wanted_(wanted) {
    for (const DevicePicture& picture : pictures) {
        sizes_ += PoolSizes(picture, wanted);
    }
    for (std::size_t i = 0; i < pool_parts; ++i) {
        next_[i] = first(static_cast<PoolPart>(i));
    }
    tables_.resize((first(PoolPart::uploads) - result_bytes()) / sizeof(std::uint64_t));
    grey_.reserve(pictures.size());
    for (std::uint32_t i = 0; i < pictures.size(); ++i) {
        const DevicePicture& picture = pictures[i];
        grey_.push_back(add_grey(picture, i));
        for (const ResizeTarget& target : ResizeTargets(picture, wanted)) {
            add_passes(picture, target, grey_.back(), filters);
        }
    }
}

// Takes bytes of a part; returns where they are.
std::uint64_t DeviceChunk::take(PoolPart part, std::uint64_t bytes) {
    std::uint64_t& next = next_[static_cast<std::size_t>(part)];
    return std::exchange(next, next + bytes);
}

// Adds an entry to a table.
template <typename Entry>
void DeviceChunk::put(PoolPart part, const Entry& entry) {
    static_assert(std::is_trivially_copyable_v<Entry> && sizeof(Entry) % sizeof tables_[0] == 0);
    const std::uint64_t place = take(part, sizeof entry) - result_bytes();
    std::memcpy(&tables_[place / sizeof tables_[0]], &entry, sizeof entry);
}

// Adds an entry to a kernel's work.
template <typename Entry>
void DeviceChunk::put(PoolPart part, PoolPart first_part, const Entry& entry, std::uint64_t groups,
                      Work& work) {
    put(part, entry);
    put(first_part, work.groups);
    ++work.entries;
    work.groups += groups;
}

// Pictures that follow one another in host memory are copied together.
std::uint64_t DeviceChunk::add_upload(const DevicePicture& picture) {
    std::uint64_t& next = next_[static_cast<std::size_t>(PoolPart::uploads)];
    if (!uploads_.empty()) {
        auto& [bytes, place] = uploads_.back();
        const bool follows = bytes.data() + bytes.size() == picture.bytes.data();
        if (follows && (!picture.jpeg || pool_aligned(next) == next)) {
            bytes = {bytes.data(), bytes.size() + picture.bytes.size()};
            return take(PoolPart::uploads, picture.bytes.size());
        }
    }
    next = pool_aligned(next);
    uploads_.push_back({picture.bytes, next});
    return take(PoolPart::uploads, picture.bytes.size());
}

// Adds what it takes to have a picture's grey; returns where that is.
std::uint64_t DeviceChunk::add_grey(const DevicePicture& picture, std::uint32_t number) {
    if (picture.is_file) {
        return add_file(picture, number);
    }
    const std::uint64_t upload = add_upload(picture);
    return picture.jpeg ? add_jpeg(picture, upload, number) : upload;
}

std::uint64_t DeviceChunk::add_file(const DevicePicture& picture, std::uint32_t number) {
    const bool is_turned = swaps_axes(picture.orientation);
    JpegPicture made{};
    made.width = is_turned ? picture.height : picture.width;
    made.height = is_turned ? picture.width : picture.height;
    made.colour = JPEG_COLOUR_GREY;
    const std::uint64_t luma =
        take(PoolPart::samples, pool_aligned(std::uint64_t{made.width} * made.height));
    made.components[0] = {.in = luma,
                          .row_step = made.width,
                          .width = made.width,
                          .height = made.height,
                          .across = 1,
                          .down = 1,
                          .unused = 0};
    files_.push_back({.bytes = picture.bytes.data(),
                      .size = picture.bytes.size(),
                      .offset = luma,
                      .width = made.width,
                      .height = made.height,
                      .decoded = 0});
    file_pictures_.push_back(number);
    return add_conversion(made, picture.orientation);
}

// Adds what makes a picture's samples grey.
std::uint64_t DeviceChunk::add_conversion(JpegPicture made, Orientation orientation) {
    const std::uint64_t grey = take(PoolPart::grey, std::uint64_t{made.width} * made.height);
    made.tiles_across = divide_up(made.width, JPEG_TILE);
    orient(made, orientation, grey);
    put(PoolPart::jpeg_pictures, PoolPart::first_tiles, made,
        std::uint64_t{made.tiles_across} * divide_up(made.height, JPEG_TILE), jpegs_);
    return grey;
}

std::uint64_t DeviceChunk::add_jpeg(const DevicePicture& picture, std::uint64_t coefficients,
                                    std::uint32_t number) {
    const JpegLayout& layout = *picture.jpeg;
    JpegPicture made{};
    for (std::uint32_t i = 0; i < component_count(layout.colour); ++i) {
        const JpegComponent component = jpeg_component(layout, i);
        JpegBlocks blocks = own_blocks(component);
        blocks.in = coefficients + component.offset;
        blocks.out = take(PoolPart::samples, std::uint64_t{64} * blocks.count);
        blocks.picture = number;
        put(PoolPart::jpeg_blocks, PoolPart::first_groups, blocks,
            divide_up(blocks.count, JPEG_GROUP_BLOCKS), blocks_);
        made.components[i] = {.in = blocks.out,
                              .row_step = 8 * blocks.across,
                              .width = component.width,
                              .height = component.height,
                              .across = layout.sampling[i].across,
                              .down = layout.sampling[i].down,
                              .unused = 0};
    }
    made.width = layout.width;
    made.height = layout.height;
    made.colour = static_cast<std::uint32_t>(layout.colour);
    return add_conversion(made, picture.orientation);
}

void DeviceChunk::add_passes(const DevicePicture& picture, const ResizeTarget& target,
                             std::uint64_t grey, DeviceFilters& filters) {
    ImagePass pass{};
    pass.in = grey;
    pass.out = take(PoolPart::resized_rows, std::uint64_t{target.width} * picture.height);
    pass.line_step = picture.width;
    pass.tap_step = 1;
    pass.outputs = target.width;
    pass.windows = filters.windows_of(picture.width, target.width);
    put(PoolPart::row_passes, PoolPart::first_rows, pass, picture.height, rows_);
    const std::uint64_t resized = pass.out;
    pass = {};
    pass.in = resized;
    pass.out = take(target.pixels, std::uint64_t{target.width} * target.height);
    pass.output_step = 1;
    pass.tap_step = target.width;
    pass.outputs = target.width;
    pass.windows = filters.windows_of(picture.height, target.height);
    pass.by_line = 1;
    put(PoolPart::column_passes, PoolPart::first_columns, pass, target.height, columns_);
    if (target.is_square()) {
        put(PoolPart::squares, ImageSquare{pass.out, target.width, 0});
        ++squares_.entries;
        squares_.groups += 64;
    }
}

std::vector<std::optional<ImageHashes>>
DeviceChunk::hashes(std::span<const std::uint8_t> results) const {
    std::vector<std::optional<ImageHashes>> hashes(pictures_.size());
    const std::uint8_t* const flags = results.data() + first(PoolPart::flags);
    const std::uint8_t* const made = results.data() + first(PoolPart::hashes);
    for (std::size_t i = 0; i < hashes.size(); ++i) {
        std::uint32_t flag = 0;
        std::memcpy(&flag, flags + i * sizeof flag, sizeof flag);
        if (flag == 0) {
            std::memcpy(&hashes[i].emplace(), made + i * sizeof(ImageHashes), sizeof(ImageHashes));
        }
    }
    for (std::size_t i = 0; i < files_.size(); ++i) {
        if (files_[i].decoded == 0) {
            hashes[file_pictures_[i]].reset();
        }
    }
    return hashes;
}

} // namespace vamhash
