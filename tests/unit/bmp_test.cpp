// BMP: every depth, order and header against grey computed from the samples, run lengths coded by
// hand, and what each kind of damage is called.
#include "made_image.h"

#include <gtest/gtest.h>

#include <array>

namespace vamhash {
namespace {

struct BmpParts {
    std::uint32_t width = 0;
    std::int32_t height = 0; // negative: top-down
    std::uint32_t bits = 8;
    std::uint32_t compression = 0;
    std::uint32_t colors = 0;
    Bytes after_header = {}; // masks, palette
    Bytes pixels = {};
    bool os2 = false;
};

Bytes make_bmp(const BmpParts& parts) {
    const std::size_t header_size = parts.os2 ? 12 : 40;
    const std::size_t offset = 14 + header_size + parts.after_header.size();
    const Bytes file_header =
        joined({text_bytes("BM"), number(0, 4), number(0, 4), number(offset, 4)});
    const auto height = static_cast<std::uint32_t>(parts.height);
    const Bytes header =
        parts.os2 ? joined({number(12, 4), number(parts.width, 2), number(height, 2), number(1, 2),
                            number(parts.bits, 2)})
                  : joined({number(40, 4), number(parts.width, 4), number(height, 4), number(1, 2),
                            number(parts.bits, 2), number(parts.compression, 4), number(0, 4),
                            number(0, 8), number(parts.colors, 4), number(0, 4)});
    return joined({file_header, header, parts.after_header, parts.pixels});
}

/// Rows of packed pixels, padded, in the order of a file.
Bytes packed(const std::vector<std::uint32_t>& pixels, std::uint32_t width, std::uint32_t bits,
             bool top_down) {
    const std::size_t height = pixels.size() / width;
    const std::size_t stride = (std::size_t{width} * bits + 31) / 32 * 4;
    Bytes data(stride * height);
    for (std::size_t y = 0; y < height; ++y) {
        std::uint8_t* row = data.data() + (top_down ? y : height - 1 - y) * stride;
        for (std::size_t x = 0; x < width; ++x) {
            const std::uint32_t pixel = pixels[y * width + x];
            if (bits >= 8) {
                for (std::size_t i = 0; i < bits / 8; ++i) {
                    row[x * bits / 8 + i] = static_cast<std::uint8_t>(pixel >> (8 * i));
                }
            } else {
                row[x * bits / 8] |= static_cast<std::uint8_t>(pixel << (8 - bits - x * bits % 8));
            }
        }
    }
    return data;
}

Bytes random_palette(std::size_t colors, std::size_t bytes_per_color) {
    return random_values(colors * bytes_per_color, 256, 99);
}

std::uint8_t palette_grey(const Bytes& palette, std::size_t index, std::size_t bytes_per_color) {
    const std::uint8_t* color = palette.data() + index * bytes_per_color;
    return pillow_l(color[2], color[1], color[0]);
}

TEST(Bmp, EveryPaletteDepthOrderAndHeader) {
    for (const std::uint32_t bits : {1U, 4U, 8U}) {
        for (const bool os2 : {false, true}) {
            for (const bool top_down : {false, true}) {
                if (os2 && top_down) {
                    continue; // its height has no sign
                }
                constexpr std::uint32_t width = 13;
                const std::size_t color_size = os2 ? 3 : 4;
                const Bytes palette = random_palette(std::size_t{1} << bits, color_size);
                const Bytes indexes = random_values(width * 20, 1U << bits, bits);
                Bytes expected;
                for (const std::uint8_t index : indexes) {
                    expected.push_back(palette_grey(palette, index, color_size));
                }
                const Bytes image = make_bmp(
                    {.width = width,
                     .height = top_down ? -20 : 20,
                     .bits = bits,
                     .after_header = palette,
                     .pixels = packed({indexes.begin(), indexes.end()}, width, bits, top_down),
                     .os2 = os2});
                ImageInfo info;
                EXPECT_EQ(picture_of(image, {.fast = true, .orient = true}, &info).pixels, expected)
                    << bits << " bits" << (os2 ? ", OS/2" : "") << (top_down ? ", top-down" : "");
                EXPECT_EQ(info.width, width);
                EXPECT_EQ(info.height, 20U);
                EXPECT_EQ(info.format, "bmp");
            }
        }
    }
}

TEST(Bmp, EveryKindOfDirectColour) {
    struct Kind {
        std::uint32_t bits;
        std::uint32_t compression;
        std::array<std::uint32_t, 3> masks;
    };
    for (const Kind& kind : {Kind{16, 0, {0x7C00, 0x3E0, 0x1F}},
                             {16, 3, {0xF800, 0x7E0, 0x1F}},
                             {16, 3, {0xF00, 0xF0, 0xF}},
                             {24, 0, {0xFF0000, 0xFF00, 0xFF}},
                             {32, 0, {0xFF0000, 0xFF00, 0xFF}},
                             {32, 3, {0xFF, 0xFF00, 0xFF0000}},
                             {32, 3, {0xFF000000, 0xFF0000, 0xFF00}},
                             {32, 3, {0x3FF00000, 0xFFC00, 0x3FF}}}) {
        std::mt19937 random(kind.bits);
        std::vector<std::uint32_t> pixels(17 * 20);
        Bytes expected;
        for (auto& pixel : pixels) {
            pixel = static_cast<std::uint32_t>(random());
            std::array<int, 3> rgb{};
            for (std::size_t i = 0; i < 3; ++i) {
                std::uint32_t most = kind.masks[i];
                std::uint32_t value = pixel & most;
                while (most % 2 == 0) {
                    most /= 2;
                    value /= 2;
                }
                rgb[i] = static_cast<int>(std::uint64_t{value} * 255 / most);
            }
            expected.push_back(pillow_l(rgb[0], rgb[1], rgb[2]));
        }
        const Bytes masks =
            joined({number(kind.masks[0], 4), number(kind.masks[1], 4), number(kind.masks[2], 4)});
        const Bytes image = make_bmp({.width = 17,
                                      .height = 20,
                                      .bits = kind.bits,
                                      .compression = kind.compression,
                                      .after_header = kind.compression == 3 ? masks : Bytes{},
                                      .pixels = packed(pixels, 17, kind.bits, false)});
        EXPECT_EQ(picture_of(image).pixels, expected)
            << kind.bits << " bits, green " << kind.masks[1];
    }
}

/// A picture of 7 x 3 pixels in run lengths; the palette makes index i the grey 2 i.
Bytes run_image(std::uint32_t bits, const Bytes& code) {
    Bytes palette;
    for (unsigned i = 0; i < 16; ++i) {
        palette.insert(palette.end(), 3, static_cast<std::uint8_t>(2 * i));
        palette.push_back(0);
    }
    return make_bmp({.width = 7,
                     .height = -3,
                     .bits = bits,
                     .compression = bits == 4 ? 2U : 1U,
                     .colors = 16,
                     .after_header = palette,
                     .pixels = code});
}

TEST(Bmp, RunLengths) {
    // A run and literals, odd in number; a run beyond the row; a run, an end, and an offset.
    const Bytes rows8{2, 5, 0, 5, 1, 2, 3, 4, 6, 0, 0, 0, 9, 7, 0, 0, 1, 8, 0, 2, 2, 0, 4, 9};
    const Bytes expected{10, 10, 2,  4,  6, 8, 12, 14, 14, 14, 14,
                         14, 14, 14, 16, 0, 0, 18, 18, 18, 18};
    EXPECT_EQ(picture_of(run_image(8, rows8)).pixels, expected);
    const Bytes rows4{2,    0x55, 0, 5, 0x12, 0x34, 0x60, 0, 0, 0, 9,
                      0x77, 0,    0, 1, 0x80, 0,    2,    2, 0, 4, 0x99};
    EXPECT_EQ(picture_of(run_image(4, rows4)).pixels, expected);
    const Bytes alternating{7, 0x12, 0, 0, 7, 0x34, 0, 0, 7, 0x56, 0, 1};
    EXPECT_EQ(picture_of(run_image(4, alternating)).pixels,
              (Bytes{2, 4, 2, 4, 2, 4, 2, 6, 8, 6, 8, 6, 8, 6, 10, 12, 10, 12, 10, 12, 10}));
    // What an early end of a line leaves out is index 0.
    const Bytes short_line{3, 1, 0, 0, 7, 2, 0, 0, 7, 3};
    EXPECT_EQ(picture_of(run_image(8, short_line)).pixels,
              (Bytes{2, 2, 2, 0, 0, 0, 0, 4, 4, 4, 4, 4, 4, 4, 6, 6, 6, 6, 6, 6, 6}));
}

TEST(Bmp, RunLengthsThatEndEarlyAreTruncated) {
    EXPECT_EQ(status_of(run_image(8, {7, 1, 0, 1})), ImageStatus::truncated);
    EXPECT_EQ(status_of(run_image(8, {7, 1, 0, 0, 7})), ImageStatus::truncated);
    EXPECT_EQ(status_of(run_image(8, {0, 5, 1, 2})), ImageStatus::truncated);
    EXPECT_EQ(status_of(run_image(8, {0, 2, 1})), ImageStatus::truncated);
    EXPECT_EQ(status_of(run_image(8, {0, 2, 255, 255})), ImageStatus::ok); // clipped: all zero
}

TEST(Bmp, DamageIsNamed) {
    std::string message;
    const Bytes palette = random_palette(256, 4);
    const auto image = [&](std::uint32_t bits, std::uint32_t compression, const Bytes& between) {
        return make_bmp({.width = 4,
                         .height = 4,
                         .bits = bits,
                         .compression = compression,
                         .after_header = between,
                         .pixels = Bytes(64)});
    };
    EXPECT_EQ(status_of(image(8, 0, palette)), ImageStatus::ok);
    EXPECT_EQ(status_of(image(8, 2, palette), {}, &message), ImageStatus::unsupported);
    EXPECT_EQ(message, "BMP image cannot be read by this build: compression 2");
    EXPECT_EQ(status_of(image(24, 4, {}), {}, &message), ImageStatus::unsupported); // JPEG inside
    EXPECT_EQ(status_of(image(2, 0, palette), {}, &message), ImageStatus::unsupported);
    EXPECT_EQ(message, "BMP image cannot be read by this build: bits a pixel: 2");
    const Bytes gap = joined({number(0xFF0000, 4), number(0xFF00, 4), number(0x55, 4)});
    EXPECT_EQ(status_of(image(32, 3, gap), {}, &message), ImageStatus::unsupported);
    EXPECT_EQ(message, "BMP image cannot be read by this build: odd bit fields");
    Bytes header = image(8, 0, palette);
    header[14] = 41;
    EXPECT_EQ(status_of(header), ImageStatus::unsupported);
    EXPECT_EQ(status_of(make_bmp({.width = 0, .height = 4, .after_header = palette})),
              ImageStatus::corrupt);
    EXPECT_EQ(status_of(make_bmp({.width = 4, .height = 0, .after_header = palette})),
              ImageStatus::corrupt);
    EXPECT_EQ(status_of(text_bytes("BMW is a car maker, not an image"), {}, &message),
              ImageStatus::unsupported);
    EXPECT_EQ(message, "not a recognised image format");
}

TEST(Bmp, SizeIsLimitedBeforeDecoding) {
    const auto sized = [](std::uint32_t width, std::int32_t height, std::uint64_t max_pixels) {
        return status_of(make_bmp({.width = width, .height = height, .bits = 24}),
                         {.max_pixels = max_pixels});
    };
    EXPECT_EQ(sized(10, 10, 99), ImageStatus::too_large);
    EXPECT_EQ(sized(10, -10, 99), ImageStatus::too_large);
    EXPECT_EQ(sized(10, 10, 100), ImageStatus::truncated);
    EXPECT_EQ(sized(0xFFFFFFFF, 0x7FFFFFFF, ~0ULL), ImageStatus::too_large);
    EXPECT_EQ(sized(1, -0x7FFFFFFF - 1, 100), ImageStatus::too_large);
}

TEST(Bmp, EveryPrefixIsTruncated) {
    for (const char* name : {"bmp-palette_4_16-entries_header-40.bmp", "bmp-fields_565.bmp",
                             "bmp-size_2x3.bmp", "bmp-rle_4_16-entries_literals.bmp"}) {
        SCOPED_TRACE(name);
        const Bytes good = golden_image(name);
        const bool has_end = std::string_view(name).starts_with("bmp-rle");
        // The last row's padding, and the end of line and picture, are not missed.
        const std::size_t unneeded = has_end ? 4 : 3;
        cut_everywhere(good, 18, good.size() - unneeded);
    }
}

TEST(Bmp, FlippedBitsAreHarmless) {
    for (const char* name : {"bmp-palette_1_2-entries_header-12.bmp", "bmp-size_2x3.bmp",
                             "bmp-rle_8_64-entries_runs.bmp", "bmp-fields_rgba.bmp"}) {
        flip_every_bit(golden_image(name));
    }
}

} // namespace
} // namespace vamhash
