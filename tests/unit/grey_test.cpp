// Grey conversion: every instruction set against Pillow's formula, and values taken from Pillow.
#include "codec/grey.h"

#include "grey_picture.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>

namespace vamhash {
namespace {

class GreyConversion : public testing::TestWithParam<Isa> {};

INSTANTIATE_TEST_SUITE_P(Isas, GreyConversion, testing::ValuesIn(available_isas()),
                         [](const auto& info) { return std::string(isa_name(info.param)); });

/// Converts a row that ends where its buffer does, and checks each pixel and the byte after them.
void check_row(GreyRow to_grey, std::size_t bytes_per_pixel, std::size_t count, unsigned seed) {
    std::mt19937 random(seed);
    const auto pixels = std::make_unique<std::uint8_t[]>(count * bytes_per_pixel);
    for (std::size_t i = 0; i < count * bytes_per_pixel; ++i) {
        pixels[i] = static_cast<std::uint8_t>(random());
    }
    Bytes grey(count + 1, 0xA5);
    to_grey(pixels.get(), grey.data(), count);
    for (std::size_t i = 0; i < count; ++i) {
        const std::uint8_t* pixel = pixels.get() + i * bytes_per_pixel;
        ASSERT_EQ(grey[i], pillow_l(pixel[0], pixel[1], pixel[2])) << i << " of " << count;
    }
    EXPECT_EQ(grey[count], 0xA5) << "wrote beyond " << count << " pixels";
}

TEST_P(GreyConversion, EveryLengthOfRow) {
    for (std::size_t count = 0; count <= 200; ++count) {
        check_row(rgb_to_grey(GetParam()), 3, count, 1);
        check_row(rgbx_to_grey(GetParam()), 4, count, 2);
    }
}

TEST_P(GreyConversion, EveryColour) {
    constexpr std::size_t colours = 65536; // a row of every green and blue
    Bytes rgb(colours * 3);
    Bytes rgbx(colours * 4, 0x5A);
    Bytes expected(colours);
    Bytes grey(colours);
    for (int red = 0; red < 256; ++red) {
        for (std::size_t i = 0; i < colours; ++i) {
            const std::array<std::uint8_t, 3> pixel{static_cast<std::uint8_t>(red),
                                                    static_cast<std::uint8_t>(i >> 8),
                                                    static_cast<std::uint8_t>(i)};
            std::copy(pixel.begin(), pixel.end(), rgb.begin() + 3 * i);
            std::copy(pixel.begin(), pixel.end(), rgbx.begin() + 4 * i);
            expected[i] = pillow_l(pixel[0], pixel[1], pixel[2]);
        }
        rgb_to_grey(GetParam())(rgb.data(), grey.data(), colours);
        ASSERT_EQ(grey, expected) << "red " << red;
        rgbx_to_grey(GetParam())(rgbx.data(), grey.data(), colours);
        ASSERT_EQ(grey, expected) << "red " << red;
    }
}

TEST_P(GreyConversion, ValuesOfPillow) {
    const Bytes rgb{255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255, 1, 2, 3, 200, 100, 50};
    Bytes grey(6);
    rgb_to_grey(GetParam())(rgb.data(), grey.data(), grey.size());
    EXPECT_EQ(grey, (Bytes{76, 150, 29, 255, 2, 124}));
}

TEST(Grey, InvertedCmykIsThatOfPillow) {
    const Bytes cmyk{0,  0,   0, 0, 255, 255, 255, 255, 255, 0,   0,  255, 10, 200,
                     30, 128, 1, 2, 3,   4,   250, 100, 50,  200, 77, 178, 9,  254};
    Bytes grey(7);
    inverted_cmyk_to_grey(cmyk.data(), grey.data(), grey.size());
    EXPECT_EQ(grey, (Bytes{0, 255, 76, 62, 0, 109, 128}));
}

TEST(Grey, AlphaIsDropped) {
    const Bytes grey_alpha{10, 0, 20, 128, 30, 255};
    Bytes grey(3);
    grey_alpha_to_grey(grey_alpha.data(), grey.data(), grey.size());
    EXPECT_EQ(grey, (Bytes{10, 20, 30}));
}

TEST(Grey, PaletteIsBlackBeyondItsEnd) {
    const Bytes palette{255, 0, 0, 200, 100, 50};
    const auto grey = palette_to_grey(palette);
    EXPECT_EQ(grey[0], 76);
    EXPECT_EQ(grey[1], 124);
    EXPECT_EQ(grey[2], 0);
    EXPECT_EQ(grey[255], 0);
}

} // namespace
} // namespace vamhash
