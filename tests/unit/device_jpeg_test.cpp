// JPEGs decoded and hashed on every device that there is, PoCL's CPU among them, against libjpeg.
#include "hash/device_hasher.h"

#include "device/device.h"
#include "stored_jpeg.h"
#include "test_size.h"
#include "tested_devices.h"

#include <cstdint>
#include <gtest/gtest.h>
#include <limits>
#include <memory>
#include <string>
#include <vector>

namespace vamhash {
namespace {

using test::StoredJpeg;

// JPEGs in memory, as pictures, and what the CPU makes of them.
class Jpegs {
  public:
    void add(const Bytes& image, Orientation orientation = Orientation::as_stored) {
        stored_.push_back(test::stored_jpeg(image));
        const GreyPicture decoded = picture_of(image);
        const bool swaps = swaps_axes(orientation);
        grey_.push_back(
            turned(decoded.pixels, decoded.width, decoded.height, static_cast<int>(orientation)));
        add_picture(stored_.back(), swaps ? decoded.height : decoded.width,
                    swaps ? decoded.width : decoded.height, orientation);
    }

    // Coefficients of which nothing is expected.
    void add(const StoredJpeg& stored) {
        stored_.push_back(stored);
        grey_.emplace_back();
        add_picture(stored_.back(), stored.layout.width, stored.layout.height,
                    Orientation::as_stored);
    }

    void add(const JpegShape& shape) { add(make_jpeg(shape)); }

    [[nodiscard]] const std::vector<DevicePicture>& pictures() const { return pictures_; }
    [[nodiscard]] const Bytes& grey(std::size_t i) const { return grey_[i]; }
    [[nodiscard]] ImageHashes hashes(std::size_t i) const {
        ImageHasher hasher;
        hasher.start(pictures_[i].width, pictures_[i].height);
        hasher.rows(grey_[i].data(), pictures_[i].width, pictures_[i].height);
        return hasher.finish();
    }

  private:
    void add_picture(const StoredJpeg& stored, std::uint32_t width, std::uint32_t height,
                     Orientation orientation) {
        pictures_.push_back({.bytes = stored.bytes,
                             .width = width,
                             .height = height,
                             .jpeg = stored.layout,
                             .orientation = orientation});
    }

    std::vector<StoredJpeg> stored_; // whose bytes do not move
    std::vector<Bytes> grey_;
    std::vector<DevicePicture> pictures_;
};

// What a device makes of pictures in one chunk.
struct Decoded {
    std::vector<std::optional<ImageHashes>> hashes;
    std::vector<Bytes> grey;
};

Decoded decode_on(Device& device, const std::vector<DevicePicture>& pictures) {
    DeviceFilters filters;
    DeviceChunk chunk(pictures, hash_all, filters);
    DeviceLane lane(device, 1);
    lane.start(chunk, filters, std::numeric_limits<std::uint64_t>::max());
    Decoded decoded{.hashes = chunk.hashes(lane.finish(chunk)), .grey = {}};
    for (std::size_t i = 0; i < pictures.size(); ++i) {
        decoded.grey.emplace_back(std::size_t{pictures[i].width} * pictures[i].height);
        device.read(lane.pool(), std::span(decoded.grey.back()), 1, chunk.grey(i));
    }
    return decoded;
}

std::string name_of(const DevicePicture& picture) {
    const JpegLayout& layout = *picture.jpeg;
    std::string name = std::to_string(layout.width) + " x " + std::to_string(layout.height) +
                       ", colour " + std::to_string(static_cast<int>(layout.colour));
    for (const JpegSampling& sampling : layout.sampling) {
        name += ", " + std::to_string(sampling.across) + " x " + std::to_string(sampling.down);
    }
    return name;
}

JpegShape shape_of(J_COLOR_SPACE pixels, J_COLOR_SPACE stored, int across, int down) {
    return {.pixels = pixels, .stored = stored, .h_sampling = across, .v_sampling = down};
}

// Every kind that a layout can have.
std::vector<JpegShape> kinds() {
    std::vector<JpegShape> shapes = {shape_of(JCS_GRAYSCALE, JCS_GRAYSCALE, 1, 1)};
    for (const auto& [across, down] : {std::pair(1, 1), std::pair(2, 1), std::pair(2, 2)}) {
        shapes.push_back(shape_of(JCS_RGB, JCS_YCbCr, across, down));
        shapes.push_back(shape_of(JCS_RGB, JCS_RGB, across, down));
        shapes.push_back(shape_of(JCS_CMYK, JCS_CMYK, across, down));
        shapes.push_back(shape_of(JCS_CMYK, JCS_YCCK, across, down));
        shapes.push_back(shapes.back());
        shapes.back().full_black = true;
        shapes.push_back(shape_of(JCS_RGB, JCS_YCbCr, 1, 1)); // the first is sampled down
        shapes.back().h_chroma = across;
        shapes.back().v_chroma = down;
    }
    return shapes;
}

class DeviceJpegTest : public test::TestedDevices {
  protected:
    // All that is expected is there.
    static void compare(const Jpegs& jpegs) {
        for (const auto& device : devices) {
            const Decoded decoded = decode_on(*device, jpegs.pictures());
            for (std::size_t i = 0; i < jpegs.pictures().size(); ++i) {
                const std::string name = device->name() + ", " + name_of(jpegs.pictures()[i]);
                ASSERT_TRUE(decoded.hashes[i]) << name;
                ASSERT_EQ(decoded.grey[i], jpegs.grey(i)) << name;
                ASSERT_EQ(*decoded.hashes[i], jpegs.hashes(i)) << name;
            }
        }
    }

    // What is expected, or nothing. Returns how many of the pictures have hashes.
    static std::size_t compare_unflagged(const Jpegs& jpegs) {
        std::size_t count = 0;
        for (const auto& device : devices) {
            const Decoded decoded = decode_on(*device, jpegs.pictures());
            for (std::size_t i = 0; i < jpegs.pictures().size(); ++i) {
                if (decoded.hashes[i]) {
                    ++count;
                    EXPECT_EQ(decoded.grey[i], jpegs.grey(i))
                        << device->name() << ", picture " << i;
                    EXPECT_EQ(*decoded.hashes[i], jpegs.hashes(i));
                }
            }
        }
        return count;
    }
};

TEST_F(DeviceJpegTest, HashesAllSmallSizesOfEveryKind) {
    const std::uint32_t step = test::is_small() ? 9 : 1;
    for (JpegShape shape : kinds()) {
        Jpegs jpegs;
        for (shape.width = 1; shape.width <= 40; ++shape.width) {
            for (shape.height = 1; shape.height <= 40; shape.height += step) {
                jpegs.add(shape);
            }
        }
        compare(jpegs);
    }
}

TEST_F(DeviceJpegTest, HashesEveryQualityOfNoise) {
    Jpegs jpegs;
    const int step = test::is_small() ? 33 : 3;
    for (JpegShape shape : kinds()) {
        shape.width = 61;
        shape.height = 35;
        for (const unsigned noise : {1U, 64U, 256U}) {
            shape.noise = noise;
            for (shape.quality = 1; shape.quality <= 100; shape.quality += step) {
                jpegs.add(shape);
            }
        }
    }
    compare(jpegs);
}

TEST_F(DeviceJpegTest, HashesLargerPictures) {
    Jpegs jpegs;
    for (JpegShape shape : kinds()) {
        shape.noise = 100;
        shape.width = 613;
        shape.height = 407;
        jpegs.add(shape);
        shape.progressive = true;
        shape.width = 9;
        shape.height = 3001;
        jpegs.add(shape);
    }
    jpegs.add(JpegShape{.width = 2048, .height = 1536});
    compare(jpegs);
}

TEST_F(DeviceJpegTest, TurnsPicturesUpright) {
    Jpegs jpegs;
    for (JpegShape shape : kinds()) {
        for (const auto& [width, height] :
             {std::pair(1U, 7U), std::pair(70U, 45U), std::pair(32U, 32U), std::pair(33U, 129U)}) {
            shape.width = width;
            shape.height = height;
            const Bytes image = make_jpeg(shape);
            for (int orientation = 1; orientation <= 8; ++orientation) {
                jpegs.add(image, static_cast<Orientation>(orientation));
            }
        }
    }
    compare(jpegs);
}

// Where libjpeg's numbers leave 16 bits, or samples go far beyond black and white, its decoders
// part: what the device gives must be what this one gives, and ordinary pictures are not flagged.
TEST_F(DeviceJpegTest, FlagsWildCoefficients) {
    std::mt19937 random(7);
    const auto number = [&](int most) {
        return static_cast<int>(random() % static_cast<unsigned>(2 * most + 1)) - most;
    };
    for (const bool large_factors : {false, true}) {
        Jpegs jpegs;
        for (std::size_t i = 0; i < test::sized(1500, 300); ++i) {
            const int most = 1 << (i % (large_factors ? 4 : 14));
            const unsigned rarity = 1U << (random() % 10);
            const Bytes image =
                make_jpeg({.width = 24, .height = 16, .quality = 1 + static_cast<int>(i % 100)});
            jpegs.add(test::with_changed_blocks(image, [&](auto table, auto coefficients) {
                if (large_factors) {
                    std::ranges::fill(coefficients, std::int16_t{0});
                    std::ranges::generate(table, [&] {
                        return static_cast<std::uint16_t>(0xFFFFU >> random() % 16);
                    });
                }
                for (std::int16_t& coefficient : coefficients) {
                    if (random() % rarity == 0) {
                        coefficient = static_cast<std::int16_t>(number(most));
                    }
                }
            }));
        }
        const std::size_t all = jpegs.pictures().size() * devices.size();
        const std::size_t unflagged = compare_unflagged(jpegs);
        EXPECT_GT(unflagged, all / 50);
        EXPECT_LT(unflagged, all - all / 50);
    }
}

// One large coefficient a block: at the very edges of what is flagged.
TEST_F(DeviceJpegTest, FlagsWhatIsJustTooLarge) {
    for (const std::size_t place : {0U, 1U, 3U, 8U, 18U, 36U, 63U}) {
        Jpegs jpegs;
        for (int value = -32767; value <= 32767;
             value += value > -9000 && value < 9000 ? 61 : 487) {
            const Bytes image = make_jpeg({.width = 8,
                                           .height = 8,
                                           .pixels = JCS_GRAYSCALE,
                                           .stored = JCS_GRAYSCALE,
                                           .h_sampling = 1,
                                           .v_sampling = 1});
            jpegs.add(test::with_changed_blocks(image, [&](auto table, auto coefficients) {
                std::ranges::fill(table, std::uint16_t{1});
                std::ranges::fill(coefficients, std::int16_t{0});
                coefficients[place] = static_cast<std::int16_t>(value);
            }));
        }
        const std::size_t unflagged = compare_unflagged(jpegs);
        EXPECT_GT(unflagged, 20 * devices.size());
        EXPECT_LT(unflagged, jpegs.pictures().size() * devices.size());
    }
}

// Whatever the memory holds, other pictures are hashed as ever.
TEST_F(DeviceJpegTest, BearsAnyBytes) {
    std::mt19937 random(3);
    Jpegs jpegs;
    for (int i = 0; i < 60; ++i) {
        const Bytes image = make_jpeg({.width = 50, .height = 41, .v_sampling = 1 + i % 2});
        if (i % 3 == 0) {
            jpegs.add(image);
        } else {
            StoredJpeg stored = test::stored_jpeg(image);
            for (std::uint8_t& byte : stored.bytes) {
                byte = i % 3 == 1 ? static_cast<std::uint8_t>(random()) : 0xFF;
            }
            jpegs.add(stored);
        }
    }
    for (const auto& device : devices) {
        const auto hashes = DeviceHasher(*device, hash_all).hash(jpegs.pictures());
        for (std::size_t i = 0; i < hashes.size(); ++i) {
            if (i % 3 == 0) {
                EXPECT_EQ(hashes[i], jpegs.hashes(i));
            } else {
                EXPECT_FALSE(hashes[i]);
            }
        }
    }
}

TEST_F(DeviceJpegTest, RefusesWhatIsNoPicture) {
    Jpegs jpegs;
    jpegs.add(JpegShape{.width = 30, .height = 20});
    const DevicePicture& good = jpegs.pictures()[0];
    DeviceHasher hasher(*devices[0], hash_all);
    const auto refuses = [&](const auto& spoil) {
        DevicePicture picture = good;
        spoil(picture);
        EXPECT_THROW(hasher.hash({&picture, 1}), std::invalid_argument);
    };
    refuses([](DevicePicture& picture) { picture.bytes = picture.bytes.first(128); });
    refuses([](DevicePicture& picture) { picture.width = 31; });
    refuses([](DevicePicture& picture) { picture.orientation = Orientation::transpose; });
    refuses([](DevicePicture& picture) { picture.orientation = static_cast<Orientation>(9); });
    refuses([](DevicePicture& picture) { picture.jpeg->colour = static_cast<JpegColour>(5); });
    refuses([](DevicePicture& picture) { picture.jpeg->sampling[1].down = 3; });
    EXPECT_EQ(hasher.hash({&good, 1})[0], jpegs.hashes(0));
}

} // namespace
} // namespace vamhash
