// Hashes on every device that there is, PoCL's CPU among them, against the CPU's.
#include "hash/device_hasher.h"

#include "device/device.h"
#include "tested_devices.h"

#include <cstdint>
#include <gtest/gtest.h>
#include <memory>
#include <random>
#include <stdexcept>
#include <utility>
#include <vector>

namespace vamhash {
namespace {

// Noise over a slope: no two hashes alike, and sums on both sides of what is clipped.
std::vector<std::uint8_t> made_pixels(std::uint32_t width, std::uint32_t height,
                                      std::uint64_t seed) {
    std::mt19937_64 random(seed);
    std::vector<std::uint8_t> pixels(std::size_t{width} * height);
    for (std::size_t i = 0; i < pixels.size(); ++i) {
        const auto slope = static_cast<std::uint64_t>(i % width * 200 / width);
        pixels[i] = static_cast<std::uint8_t>(random() % 3 == 0 ? random() % 2 * 255
                                                                : slope + random() % 55);
    }
    return pixels;
}

class DeviceHasherTest : public testing::Test {
  protected:
    static void SetUpTestSuite() { devices = test::open_tested_devices(); }
    static void TearDownTestSuite() { devices.clear(); }

    void SetUp() override {
        if (devices.empty()) {
            GTEST_SKIP() << "there is no device, not even PoCL's";
        }
    }

    // Hashes pictures of these sizes in one batch.
    static void compare(const std::vector<std::pair<std::uint32_t, std::uint32_t>>& sizes,
                        std::uint32_t wanted = hash_all) {
        std::vector<std::vector<std::uint8_t>> pixels;
        std::vector<GreyPicture> pictures;
        std::vector<ImageHashes> expected;
        std::uint64_t bytes = 0;
        for (const auto& [width, height] : sizes) {
            pixels.push_back(made_pixels(width, height, pixels.size()));
            pictures.push_back({pixels.back(), width, height});
            ImageHasher hasher(wanted);
            hasher.start(width, height);
            hasher.rows(pixels.back().data(), width, height);
            expected.push_back(hasher.finish());
            bytes += device_hash_bytes(width, height, wanted);
        }
        for (const auto& device : devices) {
            device->take_peak_bytes();
            const std::vector<ImageHashes> hashes = hash_on_device(*device, pictures, wanted);
            ASSERT_EQ(hashes.size(), expected.size());
            for (std::size_t i = 0; i < hashes.size(); ++i) {
                EXPECT_EQ(hashes[i], expected[i])
                    << device->name() << ", " << sizes[i].first << " x " << sizes[i].second;
            }
            EXPECT_LE(device->take_peak_bytes(), bytes);
            EXPECT_EQ(device->take_peak_bytes(), 0U) << "all is released";
        }
    }

    static std::vector<std::unique_ptr<Device>> devices;
};

std::vector<std::unique_ptr<Device>> DeviceHasherTest::devices;

TEST_F(DeviceHasherTest, HashesSmallPictures) {
    std::vector<std::pair<std::uint32_t, std::uint32_t>> sizes;
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
    const std::vector<std::pair<std::uint32_t, std::uint32_t>> sizes = {{100, 80}, {33, 200}};
    for (std::uint32_t wanted = 0; wanted <= hash_all; ++wanted) {
        compare(sizes, wanted);
    }
    compare({});
}

TEST_F(DeviceHasherTest, RefusesWhatIsNoPicture) {
    const std::vector<std::uint8_t> pixels(6);
    for (const GreyPicture& picture : {GreyPicture{pixels, 2, 2}, GreyPicture{pixels, 0, 6},
                                       GreyPicture{{}, 0, 0}, GreyPicture{{}, 1'000'001, 1}}) {
        EXPECT_THROW(hash_on_device(*devices[0], {&picture, 1}, hash_all), std::invalid_argument);
    }
}

} // namespace
} // namespace vamhash
