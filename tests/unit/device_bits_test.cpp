// The bits of hashes on every device that there is, PoCL's CPU among them, against the CPU's, of
// pictures with values that equal their median, their mean or their neighbour.
#include "hash/dct.h"
#include "hash/device_hasher.h"

#include "picture_batch.h"
#include "tested_devices.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <gtest/gtest.h>
#include <numeric>
#include <random>
#include <utility>
#include <vector>

namespace vamhash {
namespace {

using Pixel = std::function<std::size_t(std::size_t x, std::size_t y)>;

Bytes painted(std::uint32_t width, std::uint32_t height, const Pixel& pixel) {
    Bytes pixels;
    for (std::uint32_t y = 0; y < height; ++y) {
        for (std::uint32_t x = 0; x < width; ++x) {
            pixels.push_back(static_cast<std::uint8_t>(pixel(x, y)));
        }
    }
    return pixels;
}

// All pictures of one size.
std::vector<Bytes> pictures_with_ties(std::uint32_t width, std::uint32_t height) {
    std::vector<Bytes> pictures;
    const auto paint = [&](const Pixel& pixel) {
        pictures.push_back(painted(width, height, pixel));
    };
    for (const std::size_t value : {0, 1, 127, 128, 254, 255}) {
        paint([=](auto, auto) { return value; });
    }
    for (const std::size_t cell : {1, 2, 3, 4, 5, 8, 16}) {
        for (const std::size_t low : {0, 100, 254}) {
            paint([=](auto x, auto y) { return (x / cell + y / cell) % 2 == 0 ? low : 255; });
            paint([=](auto x, auto y) { return (x / cell + y / cell) % 2 != 0 ? low : 255; });
        }
    }
    for (const std::size_t step : {1, 2, 3, 4, 8}) {
        paint([=](auto x, auto) { return x / step * 5 % 256; });
        paint([=](auto, auto y) { return 255 - y / step * 5 % 256; });
        paint([=](auto x, auto y) { return (x + y) / step * 3 % 256; });
        paint([=](auto x, auto y) { return x / step * 7 % 128 + y / step * 7 % 128; });
        paint([=](auto x, auto y) { return x * y / step % 256; });
    }
    std::mt19937 random(width * 1000 + height);
    // So many white pixels, from none to all: the middle values are equal, but for one half.
    for (std::uint32_t i = 0; i <= 64; ++i) {
        Bytes pixels(std::size_t{width} * height, 30);
        std::fill_n(pixels.begin(), pixels.size() * i / 64, std::uint8_t{200});
        std::ranges::shuffle(pixels, random);
        pictures.push_back(pixels);
    }
    for (const std::size_t values : {2, 3, 4, 7, 16, 256}) {
        for (int i = 0; i < 6; ++i) {
            const std::size_t first = random() % (257 - values);
            paint([&](auto, auto) { return first + random() % values; });
            // Pictures that mirror themselves: frequencies are 0, or equal two by two.
            const Bytes noise = pictures.back();
            const auto at = [&](std::size_t x, std::size_t y) { return noise[y * width + x]; };
            const auto left = [&](std::size_t x) { return std::min(x, width - 1 - x); };
            const auto top = [&](std::size_t y) { return std::min(y, height - 1 - y); };
            paint([&](auto x, auto y) { return at(left(x), y); });
            paint([&](auto x, auto y) { return at(x, top(y)); });
            paint([&](auto x, auto y) { return at(left(x), top(y)); });
            paint([&](auto x, auto y) { return at(x, y % 2); });
            if (width == height) {
                paint([&](auto x, auto y) { return at(std::min(x, y), std::max(x, y)); });
                paint([&](auto x, auto y) {
                    return at(std::min(left(x), top(y)), std::max(left(x), top(y)));
                });
            }
        }
    }
    return pictures;
}

void compare(const test::PictureBatch& batch) {
    const auto devices = test::open_tested_devices();
    if (devices.empty()) {
        GTEST_SKIP() << "there is no device, not even PoCL's";
    }
    for (const auto& device : devices) {
        const test::MaybeHashes hashes = DeviceHasher(*device, hash_all).hash(batch.pictures());
        for (std::size_t i = 0; i < hashes.size(); ++i) {
            SCOPED_TRACE(device->name() + ", picture " + std::to_string(i));
            ASSERT_TRUE(hashes[i]);
            EXPECT_EQ(hashes[i]->dhash, batch.expected()[i]->dhash);
            EXPECT_EQ(hashes[i]->ahash, batch.expected()[i]->ahash);
            EXPECT_EQ(hashes[i]->whash, batch.expected()[i]->whash);
            EXPECT_EQ(hashes[i]->phash, batch.expected()[i]->phash);
            EXPECT_EQ(hashes[i]->whash16, batch.expected()[i]->whash16);
        }
    }
}

// Whether a value is the median, the mean of the two in the middle.
bool has_median(std::vector<std::int64_t> values) {
    std::ranges::sort(values);
    const std::size_t half = values.size() / 2;
    return values[half - 1] == values[half];
}

TEST(DeviceBits, EqualTheCpusWhereValuesTie) {
    test::PictureBatch batch;
    for (const auto& [width, height] :
         {std::pair(64U, 64U), std::pair(128U, 128U), std::pair(45U, 70U), std::pair(300U, 40U)}) {
        for (const Bytes& pixels : pictures_with_ties(width, height)) {
            batch.add(width, height, pixels);
        }
    }
    compare(batch);
}

// Pictures that no resize changes on the way to a hash, so that the ties can be counted.
TEST(DeviceBits, EqualTheCpusOfPixelsAsTheyAre) {
    test::PictureBatch batch;
    std::size_t small = 0;
    std::size_t whash_ties = 0;
    std::size_t whash16_ties = 0;
    std::size_t mean_ties = 0;
    for (const Bytes& pixels : pictures_with_ties(8, 8)) {
        batch.add(8, 8, pixels);
        const std::vector<std::int64_t> values(pixels.begin(), pixels.end());
        std::vector<std::int64_t> blocks(16);
        for (std::size_t i = 0; i < 64; ++i) {
            blocks[i / 16 * 4 + i % 8 / 2] += values[i];
        }
        const std::int64_t sum = std::accumulate(values.begin(), values.end(), std::int64_t{0});
        ++small;
        whash_ties += has_median(values) ? 1 : 0;
        whash16_ties += has_median(blocks) ? 1 : 0;
        mean_ties += std::ranges::count(values, sum / 64) > 0 && sum % 64 == 0 ? 1 : 0;
    }
    EXPECT_GT(whash_ties, small / 2);
    EXPECT_LT(whash_ties, small);
    EXPECT_GT(whash16_ties, small / 2);
    EXPECT_LT(whash16_ties, small);
    EXPECT_GT(mean_ties, 6U);
    std::size_t zero_medians = 0;
    std::size_t other_medians = 0;
    for (const Bytes& pixels : pictures_with_ties(32, 32)) {
        batch.add(32, 32, pixels);
        const auto low = low_frequencies(std::span(pixels).first<dct_size * dct_size>());
        std::vector<std::int64_t> sorted(low.begin(), low.end());
        std::ranges::sort(sorted);
        if (has_median(sorted)) {
            ++(sorted[32] == 0 ? zero_medians : other_medians);
        }
    }
    EXPECT_GT(zero_medians, 20U);
    EXPECT_GT(other_medians, 5U);
    for (const Bytes& pixels : pictures_with_ties(9, 8)) {
        batch.add(9, 8, pixels);
    }
    compare(batch);
}

} // namespace
} // namespace vamhash
