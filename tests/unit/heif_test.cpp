// HEIC and AVIF: lossless pictures against grey computed from their pixels, what a file's boxes do
// to a picture against the same picture without them, sizes that lie, and what each kind of damage
// is called. The images are those of the plugins' exactness test, some of them changed here.
#include "codec/heif.h"
#include "codec/picture_plugin.h"
#include "made_image.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <thread>
#include <tuple>

// For builds with LeakSanitizer: libheif 1.15 leaves dav1d 40 bytes of data that it cannot decode.
// GCC's run-time library is shared, and sees only what is visible.
// NOLINTNEXTLINE(bugprone-reserved-identifier)
extern "C" [[gnu::visibility("default")]] const char* __lsan_default_suppressions() {
    return "leak:libdav1d";
}

namespace vamhash {
namespace {

class HeifTest : public testing::TestWithParam<const char*> {
  protected:
    void SetUp() override {
        if (heic_format.decode == nullptr) {
            GTEST_SKIP() << "this build has no libheif";
        }
    }
    static Bytes image(const std::string& name) {
        const std::string coding = GetParam();
        return test_image("plugin_images/" + coding + "-" + name + "." + coding);
    }
    static std::string title() { return GetParam() == std::string("heic") ? "HEIC" : "AVIF"; }
};

/// The place of the first of these bytes in an image.
Bytes::iterator find_bytes(Bytes& image, const Bytes& bytes) {
    const auto at = std::search(image.begin(), image.end(), bytes.begin(), bytes.end());
    EXPECT_NE(at, image.end());
    return at;
}

// As in a request for many images; none waits for another's library to be loaded half.
TEST_P(HeifTest, FirstImagesOfManyThreads) {
    const Bytes bytes = image("lossless");
    const Bytes expected = picture_of(bytes).pixels;
    PicturePlugin plugin("vamhash_heif.so", "libheif");
    std::array<PictureSink, 8> sinks;
    {
        std::vector<std::jthread> threads;
        for (PictureSink& sink : sinks) {
            threads.emplace_back([&] { plugin.decode(heic_format, bytes, {}, sink); });
        }
    }
    for (const PictureSink& sink : sinks) {
        EXPECT_EQ(sink.picture.pixels, expected);
    }
}

TEST_P(HeifTest, LosslessPixels) {
    constexpr int width = 60;
    constexpr int height = 44;
    Bytes expected;
    for (int y = 0; y < height; ++y) {
        for (int x = 0; x < width; ++x) { // as tests/exactness/heif_images.py paints it
            expected.push_back(
                pillow_l((x * 4 + y) % 256, (255 - x * 2 - y * 3 % 90 + 256) % 256, x * y % 251));
        }
    }
    ImageInfo info;
    EXPECT_EQ(picture_of(image("lossless"), {.fast = true}, &info).pixels, expected);
    EXPECT_EQ(info.width, static_cast<std::uint32_t>(width));
    EXPECT_EQ(info.height, static_cast<std::uint32_t>(height));
    EXPECT_EQ(info.format, GetParam());
}

// By the properties irot and imir, whether asked for or not; never by EXIF.
TEST_P(HeifTest, UprightAskedForOrNot) {
    const GreyPicture plain = picture_of(image("brand_mif1"));
    for (const auto& [name, orientation] : {std::pair{"turned_1", 8},
                                            {"turned_2", 3},
                                            {"turned_3", 6},
                                            {"mirrored_0", 4},
                                            {"mirrored_1", 2},
                                            {"mirrored_rotated", 5},
                                            {"exif_3", 6},
                                            {"exif_6", 1}}) {
        const Bytes expected = turned(plain.pixels, plain.width, plain.height, orientation);
        for (const bool asked : {false, true}) {
            ImageInfo info;
            EXPECT_EQ(picture_of(image(name), {.orient = asked}, &info).pixels, expected) << name;
            EXPECT_EQ(info.width, orientation < 5 ? plain.width : plain.height) << name;
        }
    }
}

TEST_P(HeifTest, ThePrimaryPicture) {
    EXPECT_EQ(picture_of(image("second_primary")).pixels, picture_of(image("brand_mif1")).pixels);
}

TEST_P(HeifTest, LimitOfPixels) {
    std::string message;
    const Bytes grid = image("grid_3x2");
    EXPECT_EQ(status_of(grid, {.max_pixels = 170 * 110}), ImageStatus::ok);
    EXPECT_EQ(status_of(grid, {.max_pixels = 170 * 110 - 1}, &message), ImageStatus::too_large);
    EXPECT_EQ(message, title() + " image is too large: 170 x 110 pixels");
}

TEST(Heif, LimitOfPixelsBeforeCropping) {
    if (heic_format.decode == nullptr) {
        GTEST_SKIP() << "this build has no libheif";
    }
    const Bytes cropped = test_image("plugin_images/heic-cropped.heic");
    EXPECT_EQ(status_of(cropped, {.max_pixels = 96 * 64}), ImageStatus::ok);
    EXPECT_EQ(status_of(cropped, {.max_pixels = 60 * 40}), ImageStatus::too_large);
}

TEST_P(HeifTest, SizesThatLie) {
    std::string message;
    Bytes large = image("brand_mif1");
    const Bytes sides = {0, 0, 0xF0, 0, 0, 0, 0xF0, 0}; // big-endian
    std::copy(sides.begin(), sides.end(), find_bytes(large, text_bytes("ispe")) + 8);
    EXPECT_EQ(status_of(large, {}, &message), ImageStatus::too_large);
    // A grid's canvas of more than the grid's size: 4 + 8 bytes of data, rows and columns less one.
    Bytes canvas = image("grid_3x2");
    const auto at = find_bytes(canvas, {0, 0, 1, 2, 0, 170, 0, 110});
    at[4] = 0x7F;
    at[6] = 0x7F;
    EXPECT_EQ(status_of(canvas, {.max_pixels = 1'000'000}), ImageStatus::too_large);
}

TEST_P(HeifTest, DamageIsNamed) {
    std::string message;
    const Bytes good = image("brand_mif1");
    EXPECT_EQ(status_of({good.data(), good.size() - 1}, {}, &message), ImageStatus::truncated);
    EXPECT_TRUE(message.starts_with(title() + " image is truncated: ")) << message;
    Bytes damaged = good;
    std::fill(find_bytes(damaged, text_bytes("mdat")) + 4, damaged.end(), std::uint8_t{0x5A});
    EXPECT_NE(status_of(damaged, {}, &message), ImageStatus::ok);
    EXPECT_TRUE(message.starts_with(title() + " image is ")) << message;
    damaged = good;
    *find_bytes(damaged, text_bytes("pitm")) = 'x';
    EXPECT_EQ(status_of(damaged, {}, &message), ImageStatus::corrupt);
    EXPECT_TRUE(message.starts_with(title() + " image is corrupt: ")) << message;
    // A coding that libheif has no decoder for.
    damaged = good;
    const auto coding = text_bytes(GetParam() == std::string("heic") ? "hvc1" : "av01");
    const Bytes unknown = text_bytes("xyz1");
    std::copy(unknown.begin(), unknown.end(), find_bytes(damaged, coding));
    EXPECT_NE(status_of(damaged, {}, &message), ImageStatus::ok);
}

TEST_P(HeifTest, EveryPrefixIsTruncated) {
    constexpr std::size_t signature_size = 12;
    const Bytes good = image("second_primary");
    for (std::size_t length = signature_size; length < good.size(); ++length) {
        std::string message;
        ASSERT_EQ(status_of({good.data(), length}, {}, &message), ImageStatus::truncated)
            << length << " of " << good.size() << ": " << message;
    }
}

TEST_P(HeifTest, ChangedBytesAreHarmless) {
    const Bytes good = image("grey");
    std::mt19937 random(1);
    for (std::size_t at = 8; at < good.size(); ++at) {
        Bytes changed = good;
        changed[at] ^= static_cast<std::uint8_t>(1 + random() % 255);
        status_of(changed, {.max_pixels = 1'000'000});
    }
}

INSTANTIATE_TEST_SUITE_P(Codings, HeifTest, testing::Values("heic", "avif"),
                         [](const auto& tested) { return std::string(tested.param); });

TEST(Heif, ASequenceWithoutAPictureIsUnsupported) {
    if (heic_format.decode == nullptr) {
        GTEST_SKIP() << "this build has no libheif";
    }
    Bytes sequence = test_image("plugin_images/avif-sequence.avif");
    EXPECT_EQ(status_of(sequence), ImageStatus::ok); // its first picture is an item, too
    const Bytes nothing = text_bytes("free");
    std::copy(nothing.begin(), nothing.end(), find_bytes(sequence, text_bytes("meta")));
    std::string message;
    EXPECT_EQ(status_of(sequence, {}, &message), ImageStatus::unsupported) << message;
}

} // namespace
} // namespace vamhash
