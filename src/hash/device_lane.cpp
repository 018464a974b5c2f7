#include "hash/device_lane.h"

#include <algorithm>
#include <array>

namespace vamhash {

using plugin::Kernel;

void DeviceLane::start(DeviceChunk& chunk, const DeviceFilters& filters, std::uint64_t most_bytes) {
    make_room(chunk.pool_bytes(), std::as_bytes(filters.windows()).size(),
              std::as_bytes(filters.coefficients()).size(), most_bytes);
    upload_filters(filters);
    device_.clear(pool_, chunk.first(PoolPart::hashes), queue_); // the flags
    device_.write(pool_, chunk.tables(), queue_,
                  chunk.first(PoolPart::jpeg_blocks) / sizeof(std::uint64_t));
    for (const DeviceChunk::Upload& upload : chunk.uploads()) {
        device_.write(pool_, upload.bytes, queue_, upload.place);
    }
    if (!chunk.files().empty()) {
        device_.decode_jpeg_files(pool_, chunk.files(), queue_);
    }
    launch(chunk);
}

// Lets the arrays grow. Those that grow lose what they have.
void DeviceLane::make_room(std::uint64_t pool, std::uint64_t windows, std::uint64_t coefficients,
                           std::uint64_t most_bytes) {
    struct Growth {
        DeviceMemory* array;
        std::uint64_t needed;
        std::uint64_t bytes;
    };
    std::array<Growth, 3> growths{
        {{&pool_, pool, 0}, {&windows_, windows, 0}, {&coefficients_, coefficients, 0}}};
    std::uint64_t all = 0;
    for (Growth& growth : growths) {
        const std::uint64_t present = growth.array->bytes();
        growth.bytes =
            growth.needed <= present ? present : growth.needed + growth.needed / 4; // for the next
        all += growth.bytes;
    }
    if (all > most_bytes) {
        release();
        for (Growth& growth : growths) {
            growth.bytes = growth.needed;
        }
    }
    for (const Growth& growth : growths) {
        if (growth.array->bytes() < growth.bytes) {
            if (growth.array != &pool_) {
                uploaded_windows_ = 0;
                uploaded_coefficients_ = 0;
            }
            *growth.array = {}; // before there is another
            *growth.array = DeviceMemory(device_, growth.bytes);
        }
    }
}

// Uploads those that are new since the last chunk.
void DeviceLane::upload_filters(const DeviceFilters& filters) {
    if (times_cleared_ != filters.times_cleared()) {
        times_cleared_ = filters.times_cleared();
        uploaded_windows_ = 0;
        uploaded_coefficients_ = 0;
    }
    device_.write(windows_, filters.windows().subspan(uploaded_windows_), queue_,
                  uploaded_windows_);
    device_.write(coefficients_, filters.coefficients().subspan(uploaded_coefficients_), queue_,
                  uploaded_coefficients_);
    uploaded_windows_ = filters.windows().size();
    uploaded_coefficients_ = filters.coefficients().size();
}

void DeviceLane::launch(const DeviceChunk& chunk) {
    if (chunk.blocks().entries != 0) {
        device_.launch(Kernel::decode_jpeg_blocks, chunk.blocks().groups, JPEG_BLOCK_GROUP,
                       {pool_, chunk.first(PoolPart::jpeg_blocks),
                        chunk.first(PoolPart::first_groups), chunk.blocks().entries},
                       queue_);
    }
    if (chunk.jpegs().entries != 0) {
        device_.launch(Kernel::convert_jpeg_tiles, chunk.jpegs().groups, JPEG_TILE_GROUP,
                       {pool_, chunk.first(PoolPart::jpeg_pictures),
                        chunk.first(PoolPart::first_tiles), chunk.jpegs().entries},
                       queue_);
    }
    device_.launch(Kernel::resample_lines, chunk.rows().groups, IMAGE_GROUP,
                   {pool_, chunk.first(PoolPart::row_passes), chunk.first(PoolPart::first_rows),
                    chunk.rows().entries, windows_, coefficients_},
                   queue_);
    device_.launch(Kernel::resample_lines, chunk.columns().groups, IMAGE_GROUP,
                   {pool_, chunk.first(PoolPart::column_passes),
                    chunk.first(PoolPart::first_columns), chunk.columns().entries, windows_,
                    coefficients_},
                   queue_);
    if (chunk.squares().entries != 0) {
        device_.launch(Kernel::sum_image_blocks, chunk.squares().groups, IMAGE_GROUP,
                       {pool_, chunk.first(PoolPart::squares), chunk.first(PoolPart::whash_sums)},
                       queue_);
    }
    device_.launch(Kernel::make_image_bits, chunk.pictures().size(), IMAGE_BITS_GROUP,
                   {pool_, chunk.first(PoolPart::dhash_pixels), chunk.first(PoolPart::ahash_pixels),
                    chunk.first(PoolPart::phash_pixels), chunk.first(PoolPart::whash_sums),
                    chunk.first(PoolPart::hashes), chunk.wanted()},
                   queue_);
}

std::span<const std::uint8_t> DeviceLane::finish(const DeviceChunk& chunk) {
    results_.resize(chunk.result_bytes());
    device_.read(pool_, std::span(results_), queue_);
    return results_;
}

void DeviceLane::abandon() noexcept {
    try {
        device_.finish(queue_);
    } catch (...) { // nothing reads on where a device has failed
    }
}

void DeviceLane::release() {
    pool_ = {};
    windows_ = {};
    coefficients_ = {};
    uploaded_windows_ = 0;
    uploaded_coefficients_ = 0;
}

} // namespace vamhash
