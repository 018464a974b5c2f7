// An eighth of a JPEG's size from its DC coefficients, against libjpeg's own scaled decode: to the
// bit where decode_dc takes an image, and with the same outcome in all ways where it may not.
#include "codec/jpeg_dc.h"

#include "codec/jpeg.h"
#include "hard_jpegs.h"
#include "made_image.h"
#include "made_jpeg.h"
#include "test_size.h"

#include <gtest/gtest.h>

namespace vamhash {
namespace {

using test::sized;
using test::stride;

/// What decode_dc makes of an image, without the padding of its rows; nothing where it leaves it to
/// libjpeg.
std::optional<GreyPicture> dc_picture(const Bytes& image) {
    std::optional<DcPicture> picture;
    with_libjpeg(image, [&](jpeg_decompress_struct& cinfo) { picture = decode_dc(cinfo); });
    if (!picture) {
        return std::nullopt;
    }
    GreyPicture grey{
        .width = picture->width, .height = picture->height, .rows = picture->height, .pixels = {}};
    for (std::size_t row = 0; row < picture->height; ++row) {
        const auto first =
            picture->pixels.begin() + static_cast<std::ptrdiff_t>(row * picture->stride);
        grey.pixels.insert(grey.pixels.end(), first, first + picture->width);
    }
    return grey;
}

/// Expects decode_dc to take an image, and to give libjpeg's pixels.
void expect_taken(const JpegShape& shape) {
    const Bytes image = make_jpeg(shape);
    SCOPED_TRACE(testing::Message()
                 << shape.width << "x" << shape.height << " sampling " << shape.h_sampling << "x"
                 << shape.v_sampling << " quality " << shape.quality << " restart "
                 << shape.restart_mcus << " " << shape.restart_rows << " optimized "
                 << shape.optimized << ", " << image.size() << " bytes");
    const std::optional<GreyPicture> picture = dc_picture(image);
    ASSERT_TRUE(picture.has_value());
    ASSERT_EQ(picture->width, (shape.width + 7) / 8);
    ASSERT_EQ(picture->height, (shape.height + 7) / 8);
    ASSERT_EQ(picture->pixels, plain_decode(image, JCS_GRAYSCALE, 8));
}

/// As many kinds of tables and restarts as there are numbers.
JpegShape with_coding(JpegShape shape, unsigned number) {
    shape.optimized = number % 2 != 0;
    shape.restart_mcus = std::array{0U, 1U, 7U, 0U}[number / 2 % 4];
    shape.restart_rows = number / 2 % 4 == 3 ? 1 : 0;
    return shape;
}

constexpr std::array<test::Sampling, 7> samplings{
    {{1, 1}, {2, 1}, {1, 2}, {2, 2}, {4, 1}, {1, 4}, {4, 2}}};

TEST(JpegDc, EverySamplingAndQuality) {
    unsigned number = 0;
    for (const auto& [h, v] : samplings) {
        for (const int quality : {1, 10, 30, 50, 75, 85, 90, 95, 98, 100}) {
            for (const unsigned noise : {1U, 32U, 256U}) {
                for (std::size_t i = 0; i < sized(3, 1); ++i) {
                    ASSERT_NO_FATAL_FAILURE(expect_taken(with_coding({.width = 213,
                                                                      .height = 157,
                                                                      .h_sampling = h,
                                                                      .v_sampling = v,
                                                                      .quality = quality,
                                                                      .noise = noise},
                                                                     number++)));
                }
            }
        }
    }
}

TEST(JpegDc, EverySmallSize) {
    unsigned number = 0;
    for (const auto& [h, v] : samplings) {
        for (std::uint32_t width = 1; width <= 70; width += stride(70, 10)) {
            for (std::uint32_t height = 1; height <= 34; height += 1 + number % 4) {
                ASSERT_NO_FATAL_FAILURE(expect_taken(with_coding(
                    {.width = width, .height = height, .h_sampling = h, .v_sampling = v},
                    number++)));
            }
        }
    }
}

TEST(JpegDc, GreyOfAnySampling) {
    unsigned number = 0;
    for (const auto& [h, v] : samplings) {
        for (const auto& [width, height] :
             {std::pair{1U, 1U}, {8U, 8U}, {9U, 17U}, {100U, 131U}, {331U, 20U}}) {
            for (int i = 0; i < 8; ++i) {
                ASSERT_NO_FATAL_FAILURE(expect_taken(with_coding({.width = width,
                                                                  .height = height,
                                                                  .pixels = JCS_GRAYSCALE,
                                                                  .stored = JCS_GRAYSCALE,
                                                                  .h_sampling = h,
                                                                  .v_sampling = v},
                                                                 number++)));
            }
        }
    }
}

TEST(JpegDc, SamplingFactorsWithCommonDivisors) {
    for (const auto& [h, v, h_chroma, v_chroma] :
         {std::array{2, 2, 1, 2}, {2, 1, 2, 1}, {1, 3, 1, 3}, {3, 1, 1, 1}, {2, 2, 2, 1}}) {
        ASSERT_NO_FATAL_FAILURE(expect_taken({.width = 133,
                                              .height = 75,
                                              .h_sampling = h,
                                              .v_sampling = v,
                                              .h_chroma = h_chroma,
                                              .v_chroma = v_chroma}));
    }
}

constexpr std::array<test::Sampling, 2> some_samplings{{{1, 1}, {2, 2}}};

TEST(JpegDc, LargeImages) {
    for (const JpegShape& shape : test::large_shapes(some_samplings)) {
        ASSERT_NO_FATAL_FAILURE(expect_taken(shape));
    }
}

TEST(JpegDc, LongCodes) {
    for (const JpegShape& shape : test::long_code_shapes(some_samplings)) {
        ASSERT_NO_FATAL_FAILURE(expect_taken(shape));
    }
}

TEST(JpegDc, CommittedImages) {
    int taken = 0;
    for (const auto& entry :
         std::filesystem::directory_iterator(std::filesystem::path(VAMHASH_TEST_DATA) / "images")) {
        const std::string name = entry.path().filename().string();
        if (!name.starts_with("jpeg-")) {
            continue;
        }
        const Bytes image = golden_image(name);
        PictureSink expected;
        PictureSink sink;
        decode_jpeg(image, {.fast = true}, expected, Isa::scalar, 1);
        decode_jpeg(image, {.fast = true}, sink, best_isa(), 1);
        ASSERT_EQ(sink.picture.pixels, expected.picture.pixels) << name;
        if (!name.starts_with("jpeg-container")) { // which may begin with another image's tables
            taken += dc_picture(image).has_value() ? 1 : 0;
        }
    }
    EXPECT_GT(taken, 100);
}

TEST(JpegDc, OthersAreLeftToLibjpeg) {
    for (const JpegShape& shape :
         {JpegShape{.progressive = true}, JpegShape{.arithmetic = true},
          JpegShape{.scan_per_component = true},
          JpegShape{.stored = JCS_RGB, .h_sampling = 1, .v_sampling = 1},
          JpegShape{.pixels = JCS_CMYK, .stored = JCS_CMYK, .h_sampling = 1, .v_sampling = 1},
          // Luma that libjpeg enlarges, or scales by 1/4 itself.
          JpegShape{.h_sampling = 1, .v_sampling = 1, .h_chroma = 2},
          JpegShape{.h_sampling = 1, .v_sampling = 1, .h_chroma = 2, .v_chroma = 2}}) {
        const Bytes image = make_jpeg(shape);
        EXPECT_FALSE(dc_picture(image).has_value());
        PictureSink expected;
        PictureSink sink;
        decode_jpeg(image, {.fast = true}, expected, Isa::scalar, 1);
        decode_jpeg(image, {.fast = true}, sink, best_isa(), 1);
        EXPECT_EQ(sink.picture.pixels, expected.picture.pixels);
    }
}

/// All that decoding an image leaves behind.
struct Outcome {
    ImageStatus status = ImageStatus::ok;
    std::string message; // of what is wrong, error or not
    std::uint32_t width = 0;
    Bytes pixels;

    bool operator==(const Outcome&) const = default;
};

Outcome outcome_of(const Bytes& image, bool keep_truncated, Isa isa) {
    PictureSink sink;
    Outcome outcome;
    try {
        outcome.message =
            decode_jpeg(image,
                        {.fast = true, .keep_truncated = keep_truncated, .max_pixels = 1'000'000},
                        sink, isa, 1)
                .truncated;
        EXPECT_TRUE(sink.picture.complete());
        outcome.width = sink.picture.width;
        outcome.pixels = sink.picture.pixels;
    } catch (const ImageError& error) {
        outcome.status = error.status();
        outcome.message = error.what();
    }
    return outcome;
}

/// Counts of images compared.
struct Compared {
    std::size_t good = 0;
    std::size_t kept = 0;
    std::size_t bad = 0;
};

/// Expects an image to come to the same with and without decode_dc.
void expect_same(const Bytes& image, Compared& compared) {
    for (const bool keep_truncated : {false, true}) {
        const Outcome expected = outcome_of(image, keep_truncated, Isa::scalar);
        const Outcome outcome = outcome_of(image, keep_truncated, best_isa());
        ASSERT_EQ(outcome, expected) << outcome.message << " / " << expected.message;
        ++(outcome.status != ImageStatus::ok ? compared.bad
           : outcome.message.empty()         ? compared.good
                                             : compared.kept);
    }
}

std::vector<Bytes> victims() {
    std::vector<JpegShape> shapes;
    for (unsigned number = 0; number < 8; ++number) {
        const auto& [h, v] = samplings[number % samplings.size()];
        shapes.push_back(with_coding(
            {.width = 61, .height = 43, .h_sampling = h, .v_sampling = v, .quality = 60}, number));
    }
    return test::victims_of(shapes);
}

TEST(JpegDc, CutAnywhere) {
    Compared compared;
    for (const Bytes& image : victims()) {
        for (std::size_t size = 2; size < image.size(); size += stride(image.size())) {
            const Bytes cut(image.begin(), image.begin() + static_cast<std::ptrdiff_t>(size));
            ASSERT_NO_FATAL_FAILURE(expect_same(cut, compared)) << size;
            // Ended all the same.
            ASSERT_NO_FATAL_FAILURE(expect_same(joined({cut, {0xFF, JPEG_EOI}}), compared)) << size;
        }
    }
    EXPECT_GT(compared.bad, sized(1000, 100));
    EXPECT_GT(compared.kept, sized(1000, 100));
}

TEST(JpegDc, FlippedBits) {
    Compared compared;
    ASSERT_NO_FATAL_FAILURE(
        test::flip_bits(victims(), 5, [&](const Bytes& image) { expect_same(image, compared); }));
    EXPECT_GT(compared.good, sized(1000, 100));
    EXPECT_GT(compared.bad, sized(1000, 100));
}

TEST(JpegDc, BytesThatAreTooMany) {
    Compared compared;
    for (const Bytes& image : victims()) {
        for (std::size_t at = find_marker(image, 0xDA); at <= image.size();
             at += 3 * stride(image.size())) {
            for (const Bytes& inserted :
                 {Bytes{0}, Bytes{0xFF}, Bytes{0xFF, 0}, Bytes{0xFF, JPEG_RST0},
                  Bytes{0xFF, JPEG_EOI}, Bytes{0xFF, 0xFF, 0xFF}, Bytes(40, 0x55)}) {
                ASSERT_NO_FATAL_FAILURE(expect_same(with_inserted(image, at, inserted), compared))
                    << at << " " << int{inserted.back()};
            }
        }
    }
    EXPECT_GT(compared.good, sized(1000, 100));
    EXPECT_GT(compared.bad, sized(1000, 100));
}

TEST(JpegDc, RandomDamage) {
    Compared compared;
    ASSERT_NO_FATAL_FAILURE(test::damage_at_random(
        victims(), sized(20'000, 500), [&](const Bytes& image) { expect_same(image, compared); }));
    EXPECT_GT(compared.good, sized(1000, 100));
    EXPECT_GT(compared.bad, sized(1000, 100));
}

} // namespace
} // namespace vamhash
