#include "hash/device_hasher.h"

#include <algorithm>

namespace vamhash {

namespace {

// A chunk's bytes on the device, and those of its JPEG files: so many that launches cost little,
// and so few that a batch has several, whose copies and kernels overlap. A larger picture is one by
// itself.
constexpr std::uint64_t chunk_bytes = 128U << 20U;

// Of filters that are kept.
constexpr std::uint64_t most_filter_bytes = 64U << 20U;

std::uint64_t usable_bytes(Device& device, std::uint64_t limit) {
    if (limit != 0) {
        return limit;
    }
    std::uint64_t free = device.free_bytes();
    if (free == plugin::unknown_device_bytes) {
        free = device.properties().memory_bytes;
    }
    return free - free / 10; // drivers need some themselves
}

} // namespace

std::uint64_t device_hash_bytes(const DevicePicture& picture, std::uint32_t wanted) {
    return PoolSizes(picture, wanted).all() + filter_bytes_to_add(DeviceFilters(), picture, wanted);
}

DeviceHasher::DeviceHasher(Device& device, std::uint32_t wanted, std::uint64_t memory_limit)
    : wanted_(wanted & hash_all),
      lane_bytes_(usable_bytes(device, memory_limit) / plugin::device_queues),
      lanes_{DeviceLane(device, 0), DeviceLane(device, 1)} {}

// How many of the pictures are the next chunk; 0: the first is too large.
std::size_t DeviceHasher::next_chunk(std::span<const DevicePicture> pictures) {
    const DevicePicture& first = pictures.front();
    const std::uint64_t with_first =
        filters_.bytes() + filter_bytes_to_add(filters_, first, wanted_);
    if (with_first > most_filter_bytes ||
        with_first + PoolSizes(first, wanted_).all() > lane_bytes_) {
        filters_.clear();
    }
    PoolSizes sizes;
    std::uint64_t filter_bytes = filters_.bytes();
    std::uint64_t file_bytes = 0;
    std::size_t count = 0;
    for (const DevicePicture& picture : pictures) {
        sizes += PoolSizes(picture, wanted_);
        filter_bytes += filter_bytes_to_add(filters_, picture, wanted_);
        file_bytes += picture.is_file ? picture.bytes.size() : 0;
        if (sizes.all() + filter_bytes > lane_bytes_ ||
            (count > 0 && std::max(sizes.all(), file_bytes) > chunk_bytes)) {
            break;
        }
        ++count;
    }
    return count;
}

// Hashes pictures from number `done` on, which it moves on; may throw between two chunks.
void DeviceHasher::run(std::span<const DevicePicture> pictures, Hashes hashes, std::size_t& done) {
    struct Running {
        DeviceLane* lane;
        DeviceChunk chunk;
        std::size_t first;
    };
    std::optional<Running> earlier;
    const auto finish = [&](const Running& running) {
        std::ranges::copy(running.chunk.hashes(running.lane->finish(running.chunk)),
                          hashes.begin() + static_cast<std::ptrdiff_t>(running.first));
        done = running.first + running.chunk.pictures().size();
    };
    std::size_t next = done;
    for (std::size_t number = 0; next < pictures.size();) {
        const std::size_t count = next_chunk(pictures.subspan(next));
        if (count == 0) {
            ++next;
            continue;
        }
        Running running{&lanes_[number % lanes_.size()],
                        DeviceChunk(pictures.subspan(next, count), wanted_, filters_), next};
        running.lane->start(running.chunk, filters_, lane_bytes_);
        if (earlier) {
            finish(*earlier);
        }
        earlier = std::move(running);
        next += count;
        ++number;
    }
    if (earlier) {
        finish(*earlier);
    }
    done = pictures.size();
}

std::vector<std::optional<ImageHashes>>
DeviceHasher::hash(std::span<const DevicePicture> pictures) {
    std::ranges::for_each(pictures, check_picture);
    std::vector<std::optional<ImageHashes>> hashes(pictures.size());
    if (wanted_ == 0) {
        std::ranges::fill(hashes, ImageHashes{});
        return hashes;
    }
    const auto abandon = [this] {
        std::ranges::for_each(lanes_, [](DeviceLane& lane) { lane.abandon(); });
    };
    for (std::size_t done = 0; done < pictures.size();) {
        try {
            run(pictures, hashes, done);
        } catch (const DeviceMemoryExceeded&) {
            abandon();
            std::ranges::for_each(lanes_, [](DeviceLane& lane) { lane.release(); });
            lane_bytes_ /= 2;
        } catch (...) {
            abandon();
            throw;
        }
    }
    return hashes;
}

} // namespace vamhash
