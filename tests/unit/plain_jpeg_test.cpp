// Which JPEG files are given to decoders of others' making.
#include "codec/plain_jpeg.h"

#include "made_image.h"
#include "made_jpeg.h"

#include <gtest/gtest.h>
#include <optional>

namespace vamhash {
namespace {

std::optional<std::size_t> plain_bytes(const Bytes& image) {
    const Bytes exact(image); // a read beyond it is seen
    const std::optional<PlainJpeg> plain = plain_jpeg(exact, {});
    return plain ? std::optional<std::size_t>(plain->bytes) : std::nullopt;
}

TEST(PlainJpeg, IsWhatCamerasWrite) {
    for (const JpegShape& shape :
         {JpegShape{}, JpegShape{.h_sampling = 1, .v_sampling = 1}, JpegShape{.v_sampling = 1},
          JpegShape{.pixels = JCS_GRAYSCALE, .stored = JCS_GRAYSCALE}, JpegShape{.restart_rows = 1},
          JpegShape{.optimized = true}}) {
        const Bytes image = make_jpeg(shape);
        EXPECT_EQ(plain_bytes(image), image.size());
        const std::optional<PlainJpeg> plain = plain_jpeg(image, {});
        ASSERT_TRUE(plain);
        EXPECT_EQ(plain->width, shape.width);
        EXPECT_EQ(plain->height, shape.height);
    }
}

TEST(PlainJpeg, EndsAtItsEndOfImage) {
    const Bytes image = make_jpeg({});
    EXPECT_EQ(plain_bytes(joined({image, Bytes(1000, 0)})), image.size());
    EXPECT_EQ(plain_bytes(joined({image, image})), image.size()); // as in a file of several
    EXPECT_EQ(plain_bytes(with_inserted(image, image.size() - 2, {0xFF, 0xFF})), image.size() + 2);
}

TEST(PlainJpeg, IsNoneOfAnotherKind) {
    for (const JpegShape& shape :
         {JpegShape{.progressive = true}, JpegShape{.arithmetic = true},
          JpegShape{.scan_per_component = true},
          JpegShape{.h_sampling = 1, .v_sampling = 1, .h_chroma = 2},
          JpegShape{.h_sampling = 2, .v_sampling = 1, .h_chroma = 1, .v_chroma = 2},
          JpegShape{.stored = JCS_RGB, .h_sampling = 1, .v_sampling = 1},
          JpegShape{.pixels = JCS_CMYK, .stored = JCS_CMYK, .h_sampling = 1, .v_sampling = 1},
          JpegShape{.pixels = JCS_CMYK, .stored = JCS_YCCK}}) {
        EXPECT_EQ(plain_bytes(make_jpeg(shape)), std::nullopt);
    }
    EXPECT_EQ(plain_bytes(text_bytes("no image")), std::nullopt);
    EXPECT_EQ(plain_bytes({}), std::nullopt);
    EXPECT_FALSE(plain_jpeg(make_jpeg({}), {.max_pixels = 100})); // larger than is allowed
}

TEST(PlainJpeg, IsNoneThatIsCutOff) {
    const Bytes image = make_jpeg({.restart_rows = 1});
    for (std::size_t size = 0; size < image.size(); ++size) {
        EXPECT_EQ(plain_bytes(Bytes(image.begin(), image.begin() + static_cast<int>(size))),
                  std::nullopt)
            << size;
    }
    // Another marker where the end should be.
    EXPECT_EQ(plain_bytes(with_byte(image, image.size() - 1, 0xDA)), std::nullopt);
}

} // namespace
} // namespace vamhash
