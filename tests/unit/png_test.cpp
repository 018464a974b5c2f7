// PNG: every colour type and depth against grey computed from the samples, and what each kind of
// damage is called. The writer below is the test's own, so that it can write what no library would.
#include "grey_picture.h"
#include "test_size.h"

#include <gtest/gtest.h>

#include <array>
#include <random>

#include <zlib.h>

namespace vamhash {
namespace {

enum ColorType : std::uint8_t { grey = 0, rgb = 2, indexed = 3, grey_alpha = 4, rgb_alpha = 6 };

std::size_t samples_per_pixel(ColorType type) {
    switch (type) {
    case rgb:
        return 3;
    case grey_alpha:
        return 2;
    case rgb_alpha:
        return 4;
    default:
        return 1;
    }
}

void put_u32(Bytes& bytes, std::uint32_t value) {
    for (int shift = 24; shift >= 0; shift -= 8) {
        bytes.push_back(static_cast<std::uint8_t>(value >> shift));
    }
}

Bytes chunk(std::string_view type, const Bytes& data) {
    Bytes bytes;
    put_u32(bytes, static_cast<std::uint32_t>(data.size()));
    bytes.insert(bytes.end(), type.begin(), type.end());
    bytes.insert(bytes.end(), data.begin(), data.end());
    put_u32(bytes, static_cast<std::uint32_t>(
                       crc32(0, bytes.data() + 4, static_cast<uInt>(bytes.size() - 4))));
    return bytes;
}

Bytes deflated(const Bytes& data) {
    uLongf size = compressBound(data.size());
    Bytes bytes(size);
    EXPECT_EQ(compress(bytes.data(), &size, data.data(), data.size()), Z_OK);
    bytes.resize(size);
    return bytes;
}

Bytes joined(std::initializer_list<Bytes> parts) {
    Bytes bytes;
    for (const Bytes& part : parts) {
        bytes.insert(bytes.end(), part.begin(), part.end());
    }
    return bytes;
}

const Bytes signature{0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};
const Bytes end_chunk = chunk("IEND", {});

Bytes header(std::uint32_t width, std::uint32_t height, std::uint8_t depth, std::uint8_t type,
             bool interlaced = false) {
    Bytes data;
    put_u32(data, width);
    put_u32(data, height);
    data.insert(data.end(), {depth, type, 0, 0, static_cast<std::uint8_t>(interlaced ? 1 : 0)});
    return chunk("IHDR", data);
}

/// Samples, row by row, of an image of any colour type.
struct Samples {
    std::uint32_t width;
    std::uint32_t height;
    ColorType type;
    std::uint8_t depth;
    std::vector<std::uint32_t> values;

    [[nodiscard]] std::uint32_t at(std::size_t x, std::size_t y, std::size_t sample) const {
        return values[(y * width + x) * samples_per_pixel(type) + sample];
    }
};

Samples random_samples(std::uint32_t width, std::uint32_t height, ColorType type,
                       std::uint8_t depth) {
    Samples samples{.width = width, .height = height, .type = type, .depth = depth, .values = {}};
    std::mt19937 random(width + 100 * height + depth);
    samples.values.resize(std::size_t{width} * height * samples_per_pixel(type));
    for (auto& value : samples.values) {
        value = random() >> (32 - depth);
    }
    return samples;
}

/// The scanlines of the pixels (x0 + i dx, y0 + j dy), unfiltered, packed to whole bytes.
void put_scanlines(Bytes& data, const Samples& samples, std::size_t x0, std::size_t y0,
                   std::size_t dx, std::size_t dy) {
    if (x0 >= samples.width) {
        return;
    }
    for (std::size_t y = y0; y < samples.height; y += dy) {
        data.push_back(0); // no filter
        unsigned bits = 0;
        for (std::size_t x = x0; x < samples.width; x += dx) {
            for (std::size_t s = 0; s < samples_per_pixel(samples.type); ++s) {
                for (int bit = samples.depth - 1; bit >= 0; --bit) {
                    if (bits % 8 == 0) {
                        data.push_back(0);
                    }
                    const std::uint32_t value = samples.at(x, y, s) >> bit & 1;
                    data.back() |= static_cast<std::uint8_t>(value << (7 - bits % 8));
                    ++bits;
                }
            }
        }
    }
}

/// An image, with other chunks before and after its data, which is in two IDAT chunks.
Bytes make_png(const Samples& samples, bool interlaced, const Bytes& before = {},
               const Bytes& after = {}) {
    Bytes data;
    if (interlaced) {
        for (const auto& [x0, y0, dx, dy] :
             std::initializer_list<std::array<std::size_t, 4>>{{0, 0, 8, 8},
                                                               {4, 0, 8, 8},
                                                               {0, 4, 4, 8},
                                                               {2, 0, 4, 4},
                                                               {0, 2, 2, 4},
                                                               {1, 0, 2, 2},
                                                               {0, 1, 1, 2}}) {
            put_scanlines(data, samples, x0, y0, dx, dy);
        }
    } else {
        put_scanlines(data, samples, 0, 0, 1, 1);
    }
    const Bytes stream = deflated(data);
    const auto half = stream.begin() + static_cast<std::ptrdiff_t>(stream.size() / 2);
    return joined({signature,
                   header(samples.width, samples.height, samples.depth, samples.type, interlaced),
                   before, chunk("IDAT", {stream.begin(), half}),
                   chunk("IDAT", {half, stream.end()}), after, end_chunk});
}

/// A small grey image from which the tests of damage start.
Bytes small_png() {
    return make_png(random_samples(9, 11, rgb, 8), false);
}

const Bytes palette{255, 0, 0, 0, 255, 0, 200, 100, 50, 1, 2, 3};

/// Grey of one pixel: of 16 bits the high byte, of fewer than 8 the value spread over 0 to 255.
std::uint8_t expected_pixel(const Samples& samples, std::size_t x, std::size_t y) {
    const auto byte = [&](std::size_t sample) {
        const std::uint32_t value = samples.at(x, y, sample);
        return static_cast<int>(samples.depth == 16 ? value >> 8
                                                    : value * 255 / ((1U << samples.depth) - 1));
    };
    switch (samples.type) {
    case rgb:
    case rgb_alpha:
        return pillow_l(byte(0), byte(1), byte(2));
    case indexed: {
        const std::size_t index = samples.at(x, y, 0) * std::size_t{3};
        return index < palette.size()
                   ? pillow_l(palette[index], palette[index + 1], palette[index + 2])
                   : 0;
    }
    default:
        return static_cast<std::uint8_t>(byte(0));
    }
}

Bytes expected_grey(const Samples& samples) {
    Bytes pixels;
    for (std::size_t y = 0; y < samples.height; ++y) {
        for (std::size_t x = 0; x < samples.width; ++x) {
            pixels.push_back(expected_pixel(samples, x, y));
        }
    }
    return pixels;
}

/// A tRNS chunk that makes something transparent, which must not change a pixel.
Bytes transparency(ColorType type) {
    switch (type) {
    case grey:
        return chunk("tRNS", {0, 1});
    case rgb:
        return chunk("tRNS", {0, 1, 0, 2, 0, 3});
    case indexed:
        return chunk("tRNS", {0, 128});
    default:
        return {};
    }
}

TEST(Png, EveryColourTypeDepthAndInterlace) {
    using Shape = std::pair<ColorType, std::uint8_t>;
    for (const auto& [type, depth] : {Shape{grey, 1},
                                      {grey, 2},
                                      {grey, 4},
                                      {grey, 8},
                                      {grey, 16},
                                      {rgb, 8},
                                      {rgb, 16},
                                      {indexed, 1},
                                      {indexed, 2},
                                      {indexed, 4},
                                      {indexed, 8},
                                      {grey_alpha, 8},
                                      {grey_alpha, 16},
                                      {rgb_alpha, 8},
                                      {rgb_alpha, 16}}) {
        for (const auto& [width, height] :
             {std::pair{1U, 1U}, {2U, 3U}, {5U, 7U}, {33U, 20U}, {67U, 41U}}) {
            for (const bool interlaced : {false, true}) {
                // The palette of 4 colours has fewer entries than 4 or 8 bits can name.
                const Samples samples = random_samples(width, height, type, depth);
                const auto entries =
                    std::min(static_cast<std::ptrdiff_t>(palette.size()), 3L << depth);
                const Bytes colours =
                    type == indexed ? chunk("PLTE", {palette.begin(), palette.begin() + entries})
                                    : Bytes{};
                const Bytes gamma = chunk("gAMA", {0, 3, 13, 64});
                const Bytes image =
                    make_png(samples, interlaced, joined({gamma, colours, transparency(type)}));
                ImageInfo info;
                const GreyPicture picture = picture_of(image, {.fast = true}, &info);
                ASSERT_EQ(picture.pixels, expected_grey(samples))
                    << "type " << type << " depth " << int{depth} << " " << width << "x" << height
                    << (interlaced ? " interlaced" : "");
                EXPECT_EQ(info.width, width);
                EXPECT_EQ(info.height, height);
                EXPECT_EQ(info.format, "png");
            }
        }
    }
}

TEST(Png, OrientationBeforeAndAfterTheData) {
    const Samples samples = random_samples(37, 53, rgb, 8);
    const Bytes stored = expected_grey(samples);
    for (int orientation = 1; orientation <= 8; ++orientation) {
        const Bytes exif =
            chunk("eXIf", exif_with_orientation(static_cast<std::uint8_t>(orientation)));
        for (const bool interlaced : {false, true}) {
            for (const Bytes& image :
                 {make_png(samples, interlaced, exif), make_png(samples, interlaced, {}, exif)}) {
                EXPECT_EQ(picture_of(image).pixels, stored);
                ImageInfo info;
                EXPECT_EQ(picture_of(image, {.orient = true}, &info).pixels,
                          turned(stored, 37, 53, orientation));
                EXPECT_EQ(info.width, orientation < 5 ? 37U : 53U);
            }
        }
    }
}

TEST(Png, OrientationInXmp) {
    const Samples samples = random_samples(9, 5, grey, 8);
    const std::string_view text{"XML:com.adobe.xmp\0\0\0en\0\0<x tiff:Orientation=\"3\"/>", 49};
    const Bytes xmp = chunk("iTXt", {text.begin(), text.end()});
    EXPECT_EQ(picture_of(make_png(samples, false, xmp), {.orient = true}).pixels,
              turned(expected_grey(samples), 9, 5, 3));
    const Bytes exif = chunk("eXIf", exif_with_orientation(2));
    EXPECT_EQ(picture_of(make_png(samples, false, joined({xmp, exif})), {.orient = true}).pixels,
              turned(expected_grey(samples), 9, 5, 2));
}

TEST(Png, AncillaryChunksCostNothing) {
    const Samples samples = random_samples(9, 5, grey, 8);
    Bytes bomb{'a', 0, 0}; // 64 MiB of text when inflated
    const Bytes inflated = deflated(Bytes(std::size_t{64} << 20U));
    bomb.insert(bomb.end(), inflated.begin(), inflated.end());
    Bytes bad_crc = chunk("tEXt", {'a', 0, 'b'});
    bad_crc.back() ^= 1;
    for (const Bytes& before :
         {chunk("zTXt", bomb), chunk("tEXt", Bytes(20'000'000, 'a')), chunk("iCCP", {1, 2, 3}),
          chunk("eXIf", Bytes(5'000'000)), chunk("abCd", {1}), bad_crc}) {
        EXPECT_EQ(picture_of(make_png(samples, false, before), {.orient = true}).pixels,
                  expected_grey(samples));
    }
    Bytes endless = joined({signature, header(9, 5, 8, grey)}); // a text of 2 GiB, not there
    put_u32(endless, 0x7FFFFFFF);
    endless.insert(endless.end(), {'t', 'E', 'X', 't', 'a', 0});
    EXPECT_EQ(status_of(endless, {.orient = true}), ImageStatus::truncated);
}

TEST(Png, WhatFollowsThePictureIsNotRead) {
    Bytes image = small_png();
    image.resize(image.size() - end_chunk.size());
    EXPECT_EQ(status_of(image), ImageStatus::ok);
    image.insert(image.end(), 100, 0xAB);
    EXPECT_EQ(status_of(image), ImageStatus::ok);
}

TEST(Png, DamageIsNamed) {
    const Bytes good = small_png();
    std::string message;
    EXPECT_EQ(status_of({good.data(), good.size() / 2}, {}, &message), ImageStatus::truncated);
    EXPECT_EQ(message, "PNG image is truncated: the data ends before the picture");

    Bytes bad_crc = good;
    bad_crc[good.size() - end_chunk.size() - 1] ^= 1;
    EXPECT_EQ(status_of(bad_crc, {}, &message), ImageStatus::corrupt);
    EXPECT_EQ(message, "PNG image is corrupt: IDAT: CRC error");

    const auto grey_png = [](std::uint32_t width, std::uint32_t height, const Bytes& data,
                             std::uint8_t depth = 8, std::uint8_t type = 0,
                             const Bytes& before = {}) {
        return joined({signature, header(width, height, depth, type), before, chunk("IDAT", data),
                       end_chunk});
    };
    const Bytes rows = deflated(Bytes(4 * 5));
    EXPECT_EQ(status_of(grey_png(4, 4, rows)), ImageStatus::ok);
    EXPECT_EQ(status_of(grey_png(4, 5, rows)), ImageStatus::truncated);       // a row is missing
    EXPECT_EQ(status_of(grey_png(4, 4, {1, 2, 3, 4})), ImageStatus::corrupt); // not zlib
    EXPECT_EQ(status_of(grey_png(4, 4, deflated(Bytes(20, 7)))), ImageStatus::corrupt); // filter 7
    EXPECT_EQ(status_of(grey_png(0, 4, rows)), ImageStatus::corrupt);
    EXPECT_EQ(status_of(grey_png(4, 0, rows)), ImageStatus::corrupt);
    EXPECT_EQ(status_of(grey_png(4, 4, rows, 4, 2)), ImageStatus::corrupt); // RGB of 4 bits
    EXPECT_EQ(status_of(grey_png(4, 4, rows, 8, 3)), ImageStatus::corrupt); // no palette
    EXPECT_EQ(status_of(grey_png(4, 4, rows, 8, 0, chunk("ABCD", {1}))), ImageStatus::corrupt);
    EXPECT_EQ(status_of(grey_png(4, 4, rows, 8, 3, chunk("PLTE", {1, 2, 3, 4}))),
              ImageStatus::corrupt);
}

TEST(Png, SizeIsLimitedBeforeDecoding) {
    const Bytes image = small_png();
    EXPECT_EQ(status_of(image, {.max_pixels = 99}), ImageStatus::ok);
    PictureSink sink;
    try {
        decode_grey(image, {.max_pixels = 98}, sink);
        FAIL();
    } catch (const ImageError& error) {
        EXPECT_EQ(error.status(), ImageStatus::too_large);
        EXPECT_STREQ(error.what(), "PNG image is too large: 9 x 11 pixels");
    }
    EXPECT_EQ(sink.picture.height, 0U);
    const auto sized = [](std::uint32_t width, std::uint32_t height) {
        return joined({signature, header(width, height, 8, grey), chunk("IDAT", {})});
    };
    EXPECT_EQ(status_of(sized(0x7FFFFFFF, 0x7FFFFFFF)), ImageStatus::too_large);
    EXPECT_EQ(status_of(sized(1'000'001, 1)), ImageStatus::too_large);
    EXPECT_EQ(status_of(sized(1, 2'000'000)), ImageStatus::truncated);
}

TEST(Png, EveryPrefixIsTruncated) {
    for (const bool interlaced : {false, true}) {
        const Bytes image = make_png(random_samples(9, 11, rgb_alpha, 8), interlaced,
                                     chunk("eXIf", exif_with_orientation(6)));
        const std::size_t end = image.size() - end_chunk.size();
        for (std::size_t length = 0; length < end; length += test::stride(end)) {
            const ImageStatus expected = length > 0 && length < signature.size()
                                             ? ImageStatus::unsupported
                                             : ImageStatus::truncated;
            ASSERT_EQ(status_of({image.data(), length}, {.orient = true}), expected) << length;
        }
    }
}

TEST(Png, FlippedBitsAreHarmless) {
    for (const bool interlaced : {false, true}) {
        const Bytes good = make_png(random_samples(9, 11, indexed, 4), interlaced,
                                    joined({chunk("eXIf", exif_with_orientation(7)),
                                            chunk("PLTE", palette), chunk("tRNS", {1, 2})}));
        for (std::size_t bit = 0; bit < good.size() * 8; bit += test::stride(good.size() * 8)) {
            Bytes image = good;
            image[bit / 8] ^= static_cast<std::uint8_t>(1U << bit % 8);
            status_of(image, {.orient = true, .max_pixels = 1'000'000});
        }
    }
}

} // namespace
} // namespace vamhash
