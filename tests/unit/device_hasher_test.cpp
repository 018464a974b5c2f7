// Hashes on every device that there is, PoCL's CPU among them, against the CPU's.
#include "hash/device_hasher.h"

#include "device/device.h"
#include "picture_batch.h"
#include "tested_devices.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <gtest/gtest.h>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>
#include <tuple>
#include <utility>
#include <vector>

namespace vamhash {
namespace {

using test::MaybeHashes;
using test::PictureBatch;
using test::Sizes;

class DeviceHasherTest : public test::TestedDevices {
  protected:
    // Hashes pictures of these sizes in one batch.
    static void compare(const Sizes& sizes, std::uint32_t wanted = hash_all) {
        const PictureBatch batch(sizes, wanted);
        for (const auto& device : devices) {
            device->take_peak_bytes();
            {
                DeviceHasher hasher(*device, wanted);
                EXPECT_EQ(hasher.hash(batch.pictures()), batch.expected()) << device->name();
            }
            EXPECT_LE(device->take_peak_bytes(), 2 * batch.all_bytes());
            EXPECT_EQ(device->take_peak_bytes(), 0U) << "all is released";
        }
    }
};

TEST_F(DeviceHasherTest, HashesSmallPictures) {
    Sizes sizes;
    for (const std::uint32_t width : {1, 2, 3, 7, 8, 9, 10, 31, 32, 33, 64}) {
        for (const std::uint32_t height : {1, 2, 7, 8, 9, 33, 65}) {
            sizes.emplace_back(width, height);
        }
    }
    compare(sizes);
}

TEST_F(DeviceHasherTest, HashesPicturesOfMixedSizes) {
    compare({{640, 480}, {1, 1}, {129, 1000}, {1000, 127}, {128, 128}, {640, 480}, {513, 511}});
}

TEST_F(DeviceHasherTest, HashesAPhotographsSize) {
    compare({{2000, 1500}});
}

TEST_F(DeviceHasherTest, HashesLongPictures) {
    compare({{30000, 1}, {1, 30000}, {20000, 3}, {9, 20000}});
}

TEST_F(DeviceHasherTest, HashesWhatIsWanted) {
    const Sizes sizes = {{100, 80}, {33, 200}};
    for (std::uint32_t wanted = 0; wanted <= hash_all; ++wanted) {
        compare(sizes, wanted);
    }
    compare({});
}

TEST_F(DeviceHasherTest, HashesJpegsAmongGreyPictures) {
    const PictureBatch batch = test::mixed_batch(150);
    const std::vector<DevicePicture> backwards(batch.pictures().rbegin(), batch.pictures().rend());
    for (const auto& device : devices) {
        DeviceHasher hasher(*device, hash_all);
        EXPECT_EQ(hasher.hash(batch.pictures()), batch.expected());
        EXPECT_EQ(hasher.hash(backwards),
                  MaybeHashes(batch.expected().rbegin(), batch.expected().rend()));
        for (std::size_t first = 0; first < 9; ++first) {
            EXPECT_EQ(
                hasher.hash(std::span(batch.pictures()).subspan(first, 5)),
                MaybeHashes(batch.expected().begin() + static_cast<std::ptrdiff_t>(first),
                            batch.expected().begin() + static_cast<std::ptrdiff_t>(first) + 5));
        }
    }
}

TEST_F(DeviceHasherTest, RefusesWhatIsNoPicture) {
    const std::vector<std::uint8_t> pixels(6);
    DeviceHasher hasher(*devices[0], hash_all);
    for (const auto& [bytes, width, height] :
         {std::tuple(6U, 2U, 2U), std::tuple(6U, 0U, 6U), std::tuple(0U, 0U, 0U),
          std::tuple(0U, 1'000'001U, 1U)}) {
        const DevicePicture picture{
            .bytes = std::span(pixels).first(bytes), .width = width, .height = height, .jpeg = {}};
        EXPECT_THROW(hasher.hash({&picture, 1}), std::invalid_argument);
    }
}

TEST_F(DeviceHasherTest, HashesInLittleMemory) {
    const PictureBatch batch = test::mixed_batch(60);
    for (const auto& device : devices) {
        const std::uint64_t most = batch.most_bytes();
        for (const std::uint64_t memory :
             {most, 2 * most, 3 * most, 5 * most, 2 * batch.all_bytes()}) {
            device->take_peak_bytes();
            DeviceHasher hasher(*device, hash_all, memory);
            for (int round = 0; round < 3; ++round) {
                const MaybeHashes hashes = hasher.hash(batch.pictures());
                for (std::size_t i = 0; i < hashes.size(); ++i) {
                    const bool fits = batch.bytes(i) <= memory / 2;
                    if (fits || hashes[i]) {
                        EXPECT_EQ(hashes[i], batch.expected()[i]);
                    }
                }
                EXPECT_EQ(hashes[0], batch.expected()[0]);
            }
            EXPECT_LE(device->take_peak_bytes(), memory);
        }
        EXPECT_EQ(DeviceHasher(*device, hash_all, 1).hash(batch.pictures()),
                  MaybeHashes(batch.pictures().size()));
    }
}

// More than one chunk holds, with more filters than are kept.
TEST_F(DeviceHasherTest, HashesManyChunks) {
    Sizes sizes;
    for (std::uint32_t i = 0; i < 12; ++i) {
        sizes.emplace_back(i % 3 == 0 ? 5000 + i : 300'000 + i, i % 3 == 0 ? 4000 : 3);
    }
    const PictureBatch batch(sizes);
    for (const auto& device : devices) {
        DeviceHasher hasher(*device, hash_all);
        EXPECT_EQ(hasher.hash(batch.pictures()), batch.expected());
    }
}

TEST_F(DeviceHasherTest, CopiesNeighboursTogether) {
    const PictureBatch batch({{3, 5}, {7, 9}, {100, 3}, {16, 16}});
    DeviceFilters filters;
    EXPECT_EQ(DeviceChunk(batch.pictures(), hash_all, filters).uploads().size(), 1U);
    const std::vector<DevicePicture> backwards(batch.pictures().rbegin(), batch.pictures().rend());
    const DeviceChunk chunk(backwards, hash_all, filters);
    ASSERT_EQ(chunk.uploads().size(), 4U);
    for (const DeviceChunk::Upload& upload : chunk.uploads()) {
        EXPECT_EQ(upload.place % 16, 0U);
    }
}

// The sizes of the writes to a device, and nothing else of it is changed.
struct WatchedWrites {
    explicit WatchedWrites(const plugin::DeviceBackend& other) : table(other) {
        real = other.write;
        sources.clear();
        table.write = [](plugin::OpenDevice* device, std::uint32_t queue,
                         plugin::DeviceArray* array, std::uint64_t offset, const void* source,
                         std::uint64_t bytes) noexcept {
            sources.emplace_back(static_cast<const std::uint8_t*>(source), bytes);
            return real(device, queue, array, offset, source, bytes);
        };
    }

    static inline decltype(plugin::DeviceBackend::write) real;
    static inline std::vector<std::span<const std::uint8_t>> sources;
    plugin::DeviceBackend table;
};

TEST_F(DeviceHasherTest, CopiesFromPinnedMemory) {
    constexpr std::size_t page = 4096;
    const PictureBatch batch({{64, 64}, {48, 100}, {7, 9}, {90, 200}});
    struct Free {
        void operator()(std::uint8_t* memory) const { std::free(memory); }
    };
    const std::size_t size = (batch.memory().size() + page - 1) / page * page;
    const std::unique_ptr<std::uint8_t, Free> memory(
        static_cast<std::uint8_t*>(std::aligned_alloc(page, size)));
    std::ranges::copy(batch.memory(), memory.get());
    std::vector<DevicePicture> pictures = batch.pictures();
    for (DevicePicture& picture : pictures) {
        picture.bytes = {memory.get() + (picture.bytes.data() - batch.memory().data()),
                         picture.bytes.size()};
    }
    for (const DeviceListing& listing : test::tested_devices()) {
        const WatchedWrites watched(*load_device_backend(listing.backend).backend);
        Device device(watched.table, static_cast<std::uint32_t>(listing.number));
        const std::span all = std::as_bytes(std::span(memory.get(), size));
        DeviceHasher hasher(device, hash_all);
        {
            // Two pieces, which no copy may cross.
            const PinnedMemory first(device, all.first(2 * page));
            const PinnedMemory second(device, all.subspan(2 * page));
            EXPECT_TRUE(first.is_pinned());
            EXPECT_TRUE(second.is_pinned());
            EXPECT_EQ(hasher.hash(pictures), batch.expected());
        }
        std::size_t copied = 0;
        for (const std::span<const std::uint8_t> source : WatchedWrites::sources) {
            if (source.data() >= memory.get() && source.data() < memory.get() + size) {
                ++copied;
                EXPECT_TRUE(source.data() + source.size() <= memory.get() + 2 * page ||
                            source.data() >= memory.get() + 2 * page);
            }
        }
        EXPECT_EQ(copied, 2U);
        EXPECT_EQ(hasher.hash(pictures), batch.expected());
    }
}

} // namespace
} // namespace vamhash
