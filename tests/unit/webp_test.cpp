// WebP: lossless pictures of every content against grey computed from their pixels (lossy ones are
// the exactness test's), animations and metadata put together by hand, and what each kind of damage
// is called.
#include "made_image.h"

#include <gtest/gtest.h>

#include <webp/encode.h>

namespace vamhash {
namespace {

Bytes encode_lossless(const Bytes& rgba, int width, int height) {
    std::uint8_t* data = nullptr;
    const std::size_t size = WebPEncodeLosslessRGBA(rgba.data(), width, height, 4 * width, &data);
    Bytes image(data, data + size);
    WebPFree(data);
    return image;
}

Bytes chunk(std::string_view type, const Bytes& data) {
    return joined({text_bytes(type), number(data.size(), 4), data, Bytes(data.size() % 2)});
}

Bytes container(std::initializer_list<Bytes> chunks) {
    const Bytes data = joined(chunks);
    return joined({text_bytes("RIFF"), number(data.size() + 4, 4), text_bytes("WEBP"), data});
}

enum Flags : std::uint8_t { animation = 0x02, xmp = 0x04, exif = 0x08 };

Bytes extended_head(int flags, std::uint32_t width, std::uint32_t height) {
    return chunk("VP8X", joined({number(static_cast<unsigned>(flags), 4), number(width - 1, 3),
                                 number(height - 1, 3)}));
}

/// A picture's own chunk, taken out of its container.
Bytes picture_chunk(const Bytes& image) {
    return {image.begin() + 12, image.end()};
}

Bytes frame(std::uint32_t x, std::uint32_t y, std::uint32_t width, std::uint32_t height,
            const Bytes& picture) {
    return chunk("ANMF", joined({number(x / 2, 3),
                                 number(y / 2, 3),
                                 number(width - 1, 3),
                                 number(height - 1, 3),
                                 number(50, 3),
                                 {0},
                                 picture}));
}

Bytes opaque(Bytes rgba) {
    for (std::size_t i = 3; i < rgba.size(); i += 4) {
        rgba[i] = 255;
    }
    return rgba;
}

Bytes expected_grey(const Bytes& rgba) {
    Bytes grey;
    for (std::size_t i = 0; i < rgba.size(); i += 4) {
        grey.push_back(pillow_l(rgba[i], rgba[i + 1], rgba[i + 2]));
    }
    return grey;
}

const Bytes small_rgba = opaque(random_values(9 * 11 * 4, 256));
const Bytes small_image = encode_lossless(small_rgba, 9, 11);

TEST(Webp, LosslessPixels) {
    for (const auto& [width, height] : {std::pair{1, 1}, {2, 3}, {33, 20}, {67, 41}}) {
        for (const unsigned values : {2U, 5U, 256U}) { // few make a palette
            const Bytes rgba =
                opaque(random_values(static_cast<std::size_t>(width * height) * 4, values));
            ImageInfo info;
            EXPECT_EQ(
                picture_of(encode_lossless(rgba, width, height), {.fast = true}, &info).pixels,
                expected_grey(rgba));
            EXPECT_EQ(info.width, static_cast<std::uint32_t>(width));
            EXPECT_EQ(info.height, static_cast<std::uint32_t>(height));
            EXPECT_EQ(info.format, "webp");
        }
    }
}

TEST(Webp, AlphaIsDropped) {
    Bytes rgba = random_values(9 * 11 * 4, 255);
    for (std::size_t i = 3; i < rgba.size(); i += 4) {
        ++rgba[i]; // the encoder clears pixels of no opacity
    }
    EXPECT_EQ(picture_of(encode_lossless(rgba, 9, 11)).pixels, expected_grey(rgba));
}

TEST(Webp, FirstFrameOnABlackCanvas) {
    const Bytes picture = picture_chunk(small_image);
    const Bytes grey = expected_grey(small_rgba);
    const Bytes image = container({extended_head(animation, 30, 25), chunk("ANIM", Bytes(6, 0xEE)),
                                   frame(4, 6, 9, 11, picture), chunk("ANMF", Bytes(300, 0xEE))});
    Bytes expected(30 * 25);
    for (std::size_t y = 0; y < 11; ++y) {
        std::copy_n(grey.begin() + static_cast<std::ptrdiff_t>(y * 9), 9,
                    expected.begin() + static_cast<std::ptrdiff_t>((y + 6) * 30 + 4));
    }
    ImageInfo info;
    EXPECT_EQ(picture_of(image, {}, &info).pixels, expected);
    EXPECT_EQ(info.width, 30U);
    EXPECT_EQ(info.height, 25U);
}

TEST(Webp, FramesThatDoNotFitAreCorrupt) {
    const Bytes picture = picture_chunk(small_image);
    std::string message;
    const auto status = [&](const Bytes& first) {
        return status_of(container({extended_head(animation, 30, 25), first}), {}, &message);
    };
    EXPECT_EQ(status(frame(20, 14, 9, 11, picture)), ImageStatus::ok);
    EXPECT_EQ(status(frame(22, 14, 9, 11, picture)), ImageStatus::corrupt);
    EXPECT_EQ(message, "WebP image is corrupt: the frame contradicts the canvas");
    EXPECT_EQ(status(frame(20, 16, 9, 11, picture)), ImageStatus::corrupt);
    EXPECT_EQ(status(frame(0, 0, 9, 10, picture)), ImageStatus::corrupt);
    EXPECT_EQ(status(frame(0xFFFFFE, 0xFFFFFE, 9, 11, picture)), ImageStatus::corrupt);
    EXPECT_EQ(status(chunk("ANIM", Bytes(6))), ImageStatus::corrupt);
    EXPECT_EQ(message, "WebP image is corrupt: no frame is there");
}

TEST(Webp, OrientationInExifAndXmp) {
    const Bytes picture = picture_chunk(small_image);
    const Bytes stored = expected_grey(small_rgba);
    const auto pixels = [&](int flags, const Bytes& chunks) {
        const Bytes image = container({extended_head(flags, 9, 11), picture, chunks});
        EXPECT_EQ(picture_of(image).pixels, stored);
        return picture_of(image, {.orient = true}).pixels;
    };
    for (int orientation = 1; orientation <= 8; ++orientation) {
        const Bytes data = exif_with_orientation(static_cast<std::uint8_t>(orientation));
        EXPECT_EQ(pixels(exif, chunk("EXIF", data)), turned(stored, 9, 11, orientation));
    }
    const Bytes six = chunk("EXIF", exif_with_orientation(6));
    const Bytes eight = chunk("XMP ", text_bytes("<x tiff:Orientation=\"8\"/>"));
    EXPECT_EQ(pixels(xmp, eight), turned(stored, 9, 11, 8));
    EXPECT_EQ(pixels(xmp | exif, joined({eight, six})), turned(stored, 9, 11, 6));
    EXPECT_EQ(pixels(exif, joined({six, chunk("EXIF", exif_with_orientation(3))})),
              turned(stored, 9, 11, 6)); // the first counts
    EXPECT_EQ(pixels(0, six), stored);   // not announced
}

TEST(Webp, DamageIsNamed) {
    std::string message;
    EXPECT_EQ(status_of({small_image.data(), small_image.size() / 2}, {}, &message),
              ImageStatus::truncated);
    EXPECT_EQ(message, "WebP image is truncated: the data ends before the picture");
    Bytes damaged = small_image;
    std::fill(damaged.begin() + 26, damaged.begin() + 60, std::uint8_t{0xFF});
    EXPECT_EQ(status_of(damaged, {}, &message), ImageStatus::corrupt);
    EXPECT_EQ(message, "WebP image is corrupt: the bitstream is damaged");
    EXPECT_EQ(status_of(container({chunk("abcd", {1, 2})})), ImageStatus::corrupt);
    EXPECT_EQ(status_of(container({extended_head(0, 9, 11)})), ImageStatus::truncated);
}

TEST(Webp, SizeIsLimitedBeforeDecoding) {
    EXPECT_EQ(status_of(small_image, {.max_pixels = 99}), ImageStatus::ok);
    std::string message;
    EXPECT_EQ(status_of(small_image, {.max_pixels = 98}, &message), ImageStatus::too_large);
    EXPECT_EQ(message, "WebP image is too large: 9 x 11 pixels");
    const Bytes first = frame(0, 0, 9, 11, picture_chunk(small_image));
    EXPECT_EQ(status_of(container({extended_head(animation, 30, 25), first}), {.max_pixels = 749}),
              ImageStatus::too_large);
    EXPECT_EQ(status_of(container({extended_head(animation, 1 << 24, 1 << 24), first})),
              ImageStatus::too_large);
}

TEST(Webp, EveryPrefixIsTruncated) {
    for (const char* name :
         {"webp-lossy_q5.webp", "webp-lossless_2-colours.webp", "webp-lossy-alpha_q40_100.webp",
          "webp-animated_inside.webp", "webp-orient_6.webp"}) {
        SCOPED_TRACE(name);
        const Bytes good = golden_image(name);
        std::size_t end = good.size();
        // Neither later frames nor metadata are missed.
        for (const char* after : {"ANMF", "EXIF"}) {
            const std::string_view text(reinterpret_cast<const char*>(good.data()), good.size());
            const std::size_t at = text.rfind(after);
            end = at == std::string_view::npos ? end : at;
        }
        // The decoder reads ahead: the last bytes of a picture may be of no consequence.
        cut_everywhere(good, 12, end - 4);
    }
}

TEST(Webp, FlippedBitsAreHarmless) {
    for (const char* name : {"webp-lossy_q1.webp", "webp-lossless_2-colours.webp",
                             "webp-animated_inside-lossy.webp", "webp-orient_both.webp"}) {
        flip_every_bit(golden_image(name));
    }
}

} // namespace
} // namespace vamhash
