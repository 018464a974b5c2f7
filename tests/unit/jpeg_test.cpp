// JPEG: grey rows against a plain libjpeg decode, scaled and turned pictures, and what each kind of
// damage is called. Images are made here by libjpeg, so the tests need no files.
#include "codec/jpeg.h"

#include "made_jpeg.h"
#include "test_size.h"

#include <gtest/gtest.h>

#include <array>

namespace vamhash {
namespace {

/// Grey from plainly decoded RGB.
Bytes expected_grey(const Bytes& image, unsigned scale = 1) {
    const Bytes rgb = plain_decode(image, JCS_RGB, scale);
    Bytes grey(rgb.size() / 3);
    for (std::size_t i = 0; i < grey.size(); ++i) {
        grey[i] = pillow_l(rgb[3 * i], rgb[3 * i + 1], rgb[3 * i + 2]);
    }
    return grey;
}

/// An APP1 segment.
Bytes app1(std::string_view prefix, const Bytes& data) {
    const std::size_t length = 2 + prefix.size() + data.size();
    Bytes segment(2 + length);
    segment[0] = 0xFF;
    segment[1] = 0xE1;
    segment[2] = static_cast<std::uint8_t>(length >> 8);
    segment[3] = static_cast<std::uint8_t>(length);
    std::copy(prefix.begin(), prefix.end(), segment.begin() + 4);
    std::copy(data.begin(), data.end(), segment.end() - static_cast<std::ptrdiff_t>(data.size()));
    return segment;
}

constexpr std::string_view exif_prefix{"Exif\0\0", 6};
constexpr std::size_t after_soi = 2;
constexpr std::uint8_t sof0 = 0xC0;
constexpr std::uint8_t sos = 0xDA;

TEST(Jpeg, SamplingsSizesAndProcesses) {
    for (const auto& [width, height] :
         {std::pair{1U, 1U}, {7U, 9U}, {16U, 16U}, {33U, 17U}, {100U, 131U}}) {
        for (const auto& [h, v] : {std::pair{1, 1}, {2, 1}, {1, 2}, {2, 2}, {4, 1}, {4, 2}}) {
            for (int process = 0; process < 4; ++process) {
                const Bytes image = make_jpeg({.width = width,
                                               .height = height,
                                               .h_sampling = h,
                                               .v_sampling = v,
                                               .progressive = process == 1,
                                               .arithmetic = process == 2,
                                               .restart_rows = process == 3 ? 1 : 0});
                ImageInfo info;
                const GreyPicture picture = picture_of(image, {}, &info);
                ASSERT_EQ(picture.pixels, expected_grey(image))
                    << width << "x" << height << " " << h << "x" << v << " " << process;
                EXPECT_EQ(picture.width, width);
                EXPECT_EQ(picture.height, height);
                EXPECT_EQ(info.width, width);
                EXPECT_EQ(info.height, height);
                EXPECT_EQ(info.format, "jpeg");
            }
        }
    }
}

class JpegByIsa : public testing::TestWithParam<Isa> {
  protected:
    /// Checks a picture by the instruction set against plainly decoded RGB.
    static void check(const JpegShape& shape) {
        const Bytes image = make_jpeg(shape);
        PictureSink sink;
        decode_jpeg(image, {}, sink, GetParam());
        ASSERT_TRUE(sink.picture.complete());
        ASSERT_EQ(sink.picture.pixels, expected_grey(image))
            << shape.width << "x" << shape.height << " " << shape.h_sampling << "x"
            << shape.v_sampling << " quality " << shape.quality;
    }
};

INSTANTIATE_TEST_SUITE_P(Isas, JpegByIsa, testing::ValuesIn(available_isas()),
                         [](const auto& info) { return std::string(isa_name(info.param)); });

TEST_P(JpegByIsa, EverySmallSize) {
    for (const auto& [h, v] : {std::pair{1, 1}, {2, 1}, {2, 2}}) {
        for (std::uint32_t width = 1; width <= 70; ++width) {
            for (std::uint32_t height = 1; height <= 40; ++height) {
                ASSERT_NO_FATAL_FAILURE(check({.width = width,
                                               .height = height,
                                               .h_sampling = h,
                                               .v_sampling = v,
                                               .progressive = (width + height) % 2 == 0,
                                               .restart_rows = height % 3 == 0 ? 1 : 0}));
            }
        }
    }
}

TEST_P(JpegByIsa, EveryQuality) {
    for (const auto& [h, v] : {std::pair{1, 1}, {2, 1}, {2, 2}}) {
        for (int quality = 1; quality <= 100; ++quality) {
            for (const bool progressive : {false, true}) {
                ASSERT_NO_FATAL_FAILURE(check({.width = 211,
                                               .height = 83,
                                               .h_sampling = h,
                                               .v_sampling = v,
                                               .quality = quality,
                                               .progressive = progressive}));
            }
        }
    }
}

TEST_P(JpegByIsa, SamplingFactorsWithCommonDivisors) {
    for (const auto& [h, v, h_chroma, v_chroma] : {std::array{2, 2, 2, 2},
                                                   {1, 3, 1, 3},
                                                   {4, 4, 4, 4},
                                                   {4, 2, 2, 1},
                                                   {4, 2, 2, 2},
                                                   {2, 4, 1, 2},
                                                   {4, 4, 2, 2},
                                                   {2, 4, 1, 4},
                                                   {3, 3, 3, 1},
                                                   {4, 4, 1, 2}}) {
        for (const auto& [width, height] :
             {std::pair{3U, 2U}, {40U, 24U}, {133U, 31U}, {70U, 33U}, {75U, 129U}}) {
            ASSERT_NO_FATAL_FAILURE(check({.width = width,
                                           .height = height,
                                           .h_sampling = h,
                                           .v_sampling = v,
                                           .h_chroma = h_chroma,
                                           .v_chroma = v_chroma,
                                           .scan_per_component = true}));
        }
    }
}

TEST(Jpeg, GreyIsTakenAsItIs) {
    const Bytes image = make_jpeg(
        {.pixels = JCS_GRAYSCALE, .stored = JCS_GRAYSCALE, .h_sampling = 1, .v_sampling = 1});
    EXPECT_EQ(picture_of(image).pixels, plain_decode(image, JCS_GRAYSCALE));
    EXPECT_EQ(picture_of(image, {.fast = true}).pixels, plain_decode(image, JCS_GRAYSCALE));
}

TEST(Jpeg, StoredRgb) {
    const Bytes image = make_jpeg({.stored = JCS_RGB, .h_sampling = 1, .v_sampling = 1});
    EXPECT_EQ(picture_of(image).pixels, expected_grey(image));
}

/// Grey of Adobe's inverted CMYK, in Pillow's order of rounding.
std::uint8_t grey_of_inverted_cmyk(const std::uint8_t* stored) {
    std::array<int, 3> rgb{};
    for (std::size_t i = 0; i < 3; ++i) {
        const int product = (255 - stored[i]) * stored[3] + 128;
        rgb[i] = stored[3] - (((product >> 8) + product) >> 8);
    }
    return pillow_l(rgb[0], rgb[1], rgb[2]);
}

TEST(Jpeg, CmykAndYcckAreInverted) {
    for (const J_COLOR_SPACE stored : {JCS_CMYK, JCS_YCCK}) {
        const Bytes image =
            make_jpeg({.pixels = JCS_CMYK, .stored = stored, .h_sampling = 1, .v_sampling = 1});
        const Bytes cmyk = plain_decode(image, JCS_CMYK);
        Bytes expected;
        for (std::size_t i = 0; i < cmyk.size(); i += 4) {
            expected.push_back(grey_of_inverted_cmyk(cmyk.data() + i));
        }
        EXPECT_EQ(picture_of(image).pixels, expected);
    }
}

TEST(Jpeg, FastScalesLumaInTheDct) {
    struct Case {
        std::uint32_t width, height;
        unsigned scale;
    };
    for (const Case& c : {Case{63, 500, 1}, Case{127, 127, 1}, Case{128, 300, 2}, Case{300, 256, 4},
                          Case{517, 511, 4}, Case{515, 611, 8}}) {
        for (const bool progressive : {false, true}) {
            const Bytes image =
                make_jpeg({.width = c.width, .height = c.height, .progressive = progressive});
            ImageInfo info;
            const GreyPicture picture = picture_of(image, {.fast = true}, &info);
            EXPECT_EQ(picture.width, (c.width + c.scale - 1) / c.scale);
            EXPECT_EQ(picture.height, (c.height + c.scale - 1) / c.scale);
            EXPECT_EQ(picture.pixels, plain_decode(image, JCS_GRAYSCALE, c.scale));
            EXPECT_EQ(info.width, c.width);
            EXPECT_EQ(info.height, c.height);
        }
    }
}

TEST(Jpeg, FastKeepsTheColourConversionOfRgb) {
    const Bytes image = make_jpeg(
        {.width = 256, .height = 300, .stored = JCS_RGB, .h_sampling = 1, .v_sampling = 1});
    EXPECT_EQ(picture_of(image, {.fast = true}).pixels, expected_grey(image, 4));
}

TEST(Jpeg, OrientationOnlyWhereAskedFor) {
    const Bytes plain = make_jpeg({});
    const Bytes stored = picture_of(plain).pixels;
    for (int orientation = 1; orientation <= 8; ++orientation) {
        const Bytes exif = exif_with_orientation(static_cast<std::uint8_t>(orientation), true);
        const Bytes image = with_inserted(plain, after_soi, app1(exif_prefix, exif));
        EXPECT_EQ(picture_of(image).pixels, stored);
        ImageInfo info;
        const GreyPicture shown = picture_of(image, {.orient = true}, &info);
        EXPECT_EQ(shown.pixels, turned(stored, 45, 70, orientation)) << orientation;
        EXPECT_EQ(info.width, orientation < 5 ? 45U : 70U);
        EXPECT_EQ(info.height, orientation < 5 ? 70U : 45U);
    }
}

TEST(Jpeg, OrientationWithFast) {
    const Bytes plain = make_jpeg({.width = 256, .height = 300});
    const Bytes image =
        with_inserted(plain, after_soi, app1(exif_prefix, exif_with_orientation(6)));
    ImageInfo info;
    const GreyPicture shown = picture_of(image, {.fast = true, .orient = true}, &info);
    EXPECT_EQ(shown.pixels, turned(plain_decode(plain, JCS_GRAYSCALE, 4), 64, 75, 6));
    EXPECT_EQ(shown.width, 75U);
    EXPECT_EQ(info.width, 300U);
    EXPECT_EQ(info.height, 256U);
}

TEST(Jpeg, ExifInTwoSegmentsAndXmp) {
    const Bytes plain = make_jpeg({});
    const Bytes upright = turned(picture_of(plain).pixels, 45, 70, 8);
    const Bytes exif = exif_with_orientation(8);
    Bytes image =
        with_inserted(plain, after_soi, app1(exif_prefix, {exif.begin() + 13, exif.end()}));
    image = with_inserted(image, after_soi, app1(exif_prefix, {exif.begin(), exif.begin() + 13}));
    EXPECT_EQ(picture_of(image, {.orient = true}).pixels, upright);

    const std::string_view packet = "<x tiff:Orientation=\"8\"/>";
    image =
        with_inserted(plain, after_soi,
                      app1({"http://ns.adobe.com/xap/1.0/\0", 29}, {packet.begin(), packet.end()}));
    EXPECT_EQ(picture_of(image, {.orient = true}).pixels, upright);
}

TEST(Jpeg, HarmlessOdditiesPass) {
    const Bytes plain = make_jpeg({});
    const Bytes grey = picture_of(plain).pixels;
    const std::size_t first_scan = find_marker(plain, sos);
    Bytes after_end = plain;
    after_end.insert(after_end.end(), 1000, 0xFF);
    EXPECT_EQ(picture_of(after_end).pixels, grey);
    EXPECT_EQ(picture_of(with_inserted(plain, plain.size() - 2, {1, 2, 3})).pixels, grey);
    EXPECT_EQ(picture_of(with_inserted(plain, first_scan, {1, 2, 0xFF, 0, 3})).pixels, grey);
    EXPECT_EQ(picture_of(with_byte(plain, 11, 9)).pixels, grey);              // JFIF 9.1
    EXPECT_EQ(picture_of(with_byte(plain, first_scan + 11, 5)).pixels, grey); // sequential, Ss = 5
    EXPECT_EQ(
        picture_of(with_inserted(plain, 0, {0xFF, 0xD8, 0xFF, 0xFE, 0, 2, 0xFF, 0xD9})).pixels,
        grey);
    const Bytes bogus = app1(exif_prefix, {'I', 'I', 42, 0, 0xFF, 0xFF, 0xFF, 0xFF});
    EXPECT_EQ(picture_of(with_inserted(plain, after_soi, bogus), {.orient = true}).pixels, grey);
}

TEST(Jpeg, DamageIsNamed) {
    const Bytes plain = make_jpeg({});
    const std::size_t frame = find_marker(plain, sof0);
    std::string message;

    Bytes cut(plain.begin(), plain.begin() + static_cast<std::ptrdiff_t>(plain.size() / 2));
    EXPECT_EQ(status_of(cut, {}, &message), ImageStatus::truncated);
    EXPECT_EQ(message, "JPEG image is truncated: Premature end of JPEG file");

    cut.insert(cut.end(), {0xFF, 0xD9});
    EXPECT_EQ(status_of(cut, {}, &message), ImageStatus::corrupt);
    EXPECT_EQ(message, "JPEG image is corrupt: premature end of data segment");

    EXPECT_EQ(status_of(with_byte(plain, frame + 4, 12), {}, &message), ImageStatus::unsupported);
    EXPECT_EQ(message,
              "JPEG image cannot be read by this build: Unsupported JPEG data precision 12");
    EXPECT_EQ(status_of(with_byte(plain, frame + 1, 0xC3)), ImageStatus::unsupported); // lossless
    EXPECT_EQ(status_of(with_byte(with_byte(plain, frame + 5, 0), frame + 6, 0)),
              ImageStatus::corrupt); // no height
    EXPECT_EQ(status_of(with_byte(with_byte(plain, frame + 5, 0xFF), frame + 6, 0xFF)),
              ImageStatus::too_large); // over 65500 rows
    EXPECT_EQ(status_of(with_byte(plain, frame + 11, 0x55)), ImageStatus::corrupt); // sampling 5
    EXPECT_EQ(status_of(with_byte(plain, find_marker(plain, 0xDB) + 3, 1)), ImageStatus::corrupt);
}

TEST(Jpeg, LostRestartMarkerIsCorrupt) {
    const Bytes image = make_jpeg({.restart_rows = 1});
    EXPECT_EQ(status_of(with_byte(image, find_marker(image, 0xD1) + 1, 0xD6)),
              ImageStatus::corrupt);
}

TEST(Jpeg, TwoComponentsAreUnsupported) {
    // A grey image whose frame is made to have a second component, like the first.
    const Bytes plain = make_jpeg(
        {.pixels = JCS_GRAYSCALE, .stored = JCS_GRAYSCALE, .h_sampling = 1, .v_sampling = 1});
    const std::size_t frame = find_marker(plain, sof0);
    Bytes image = with_inserted(plain, frame + 13, {2, 0x11, 0});
    image[frame + 3] = 14;
    image[frame + 9] = 2;
    std::string message;
    EXPECT_EQ(status_of(image, {}, &message), ImageStatus::unsupported);
    EXPECT_EQ(message, "JPEG image cannot be read by this build: 2 colour components");
}

TEST(Jpeg, PixelLimitIsCheckedBeforeDecoding) {
    const Bytes image = make_jpeg({});
    EXPECT_EQ(status_of(image, {.max_pixels = 45 * 70}), ImageStatus::ok);
    PictureSink sink;
    try {
        decode_grey(image, {.max_pixels = 45 * 70 - 1}, sink);
        FAIL();
    } catch (const ImageError& error) {
        EXPECT_EQ(error.status(), ImageStatus::too_large);
        EXPECT_STREQ(error.what(), "JPEG image is too large: 45 x 70 pixels");
    }
    EXPECT_EQ(sink.picture.height, 0U);
}

TEST(Jpeg, ScansAreBounded) {
    const Bytes image = make_jpeg({.width = 16, .height = 16, .scan_per_component = true});
    std::size_t last_scan = 0;
    for (std::size_t i = 0; i + 1 < image.size(); ++i) {
        if (image[i] == 0xFF && image[i + 1] == sos) {
            last_scan = i;
        }
    }
    const auto scan_begin = image.begin() + static_cast<std::ptrdiff_t>(last_scan);
    const Bytes scan(scan_begin, image.end() - 2);
    Bytes repeated(image.begin(), image.end() - 2);
    for (int i = 0; i < 400; ++i) {
        repeated.insert(repeated.end(), scan.begin(), scan.end());
    }
    Bytes bomb = repeated;
    for (int i = 0; i < 200; ++i) {
        bomb.insert(bomb.end(), scan.begin(), scan.end());
    }
    repeated.insert(repeated.end(), {0xFF, 0xD9});
    bomb.insert(bomb.end(), {0xFF, 0xD9});
    EXPECT_EQ(status_of(repeated), ImageStatus::ok);
    std::string message;
    EXPECT_EQ(status_of(bomb, {}, &message), ImageStatus::corrupt);
    EXPECT_EQ(message, "JPEG image is corrupt: more than 500 scans");
}

TEST(Jpeg, EveryPrefixIsTruncated) {
    for (const bool progressive : {false, true}) {
        const Bytes image =
            with_inserted(make_jpeg({.width = 40, .height = 24, .progressive = progressive}),
                          after_soi, app1(exif_prefix, exif_with_orientation(6)));
        for (std::size_t length = 0; length < image.size(); length += test::stride(image.size())) {
            const ImageStatus expected =
                length == 1 || length == 2 ? ImageStatus::unsupported : ImageStatus::truncated;
            ASSERT_EQ(status_of({image.data(), length}, {.orient = true}), expected) << length;
        }
    }
}

TEST(Jpeg, FlippedBitsAreHarmless) {
    for (int process = 0; process < 3; ++process) {
        const Bytes good = with_inserted(make_jpeg({.width = 24,
                                                    .height = 40,
                                                    .progressive = process == 1,
                                                    .arithmetic = process == 2,
                                                    .restart_rows = process == 0 ? 1 : 0}),
                                         after_soi, app1(exif_prefix, exif_with_orientation(5)));
        for (std::size_t bit = 0; bit < good.size() * 8; bit += test::stride(good.size() * 8)) {
            Bytes image = good;
            image[bit / 8] ^= static_cast<std::uint8_t>(1U << bit % 8);
            // The limit keeps flipped dimensions from making the test slow.
            status_of(image,
                      {.fast = bit % 2 == 0, .orient = bit % 3 == 0, .max_pixels = 1'000'000});
        }
    }
}

} // namespace
} // namespace vamhash
