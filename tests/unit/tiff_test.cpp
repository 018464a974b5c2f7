// TIFF: every photometric interpretation, depth and arrangement against grey computed from the
// samples (compressed ones are the exactness test's), hostile directories, and what each kind of
// damage is called.
#include "made_image.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

namespace vamhash {
namespace {

constexpr std::uint32_t width = 37;
constexpr std::uint32_t height = 21;

enum Photometric : std::uint16_t { white_is_zero, black_is_zero, rgb, palette, mask, cmyk, ycbcr };

/// A directory entry; its numbers are SHORTs, or LONGs where one does not fit.
struct Entry {
    std::uint16_t tag;
    std::vector<std::uint32_t> values;
};

constexpr std::uint16_t orientation_tag = 274;

/// Puts blocks, a directory and its values into a little-endian file.
Bytes make_tiff(std::vector<Entry> entries, const std::vector<Bytes>& blocks, bool tiled = false) {
    Bytes data;
    Entry offsets{.tag = static_cast<std::uint16_t>(tiled ? 324 : 273), .values = {}};
    Entry sizes{.tag = static_cast<std::uint16_t>(tiled ? 325 : 279), .values = {}};
    for (const Bytes& block : blocks) {
        offsets.values.push_back(static_cast<std::uint32_t>(8 + data.size()));
        sizes.values.push_back(static_cast<std::uint32_t>(block.size()));
        data = joined({data, block});
    }
    entries.push_back(offsets);
    entries.push_back(sizes);
    std::sort(entries.begin(), entries.end(),
              [](const Entry& a, const Entry& b) { return a.tag < b.tag; });
    const std::size_t directory = 8 + data.size();
    const std::size_t values_at = directory + 2 + 12 * entries.size() + 4;
    Bytes directory_bytes = number(entries.size(), 2);
    Bytes values;
    for (const Entry& entry : entries) {
        const bool is_long = std::any_of(entry.values.begin(), entry.values.end(),
                                         [](std::uint32_t value) { return value > 0xFFFF; });
        Bytes packed;
        for (const std::uint32_t value : entry.values) {
            packed = joined({packed, number(value, is_long ? 4 : 2)});
        }
        Bytes slot = packed;
        if (packed.size() > 4) {
            slot = number(values_at + values.size(), 4);
            values = joined({values, packed});
        }
        slot.resize(4);
        directory_bytes = joined({directory_bytes, number(entry.tag, 2), number(is_long ? 4 : 3, 2),
                                  number(entry.values.size(), 4), slot});
    }
    return joined({text_bytes("II"), number(42, 2), number(directory, 4), data, directory_bytes,
                   number(0, 4), values});
}

struct Samples {
    Photometric photometric = black_is_zero;
    std::uint32_t bits = 8;
    std::uint32_t channels = 1;
    std::vector<std::uint32_t> values; // pixel by pixel

    [[nodiscard]] std::uint32_t at(std::size_t x, std::size_t y, std::size_t channel) const {
        return values[(y * width + x) * channels + channel];
    }
};

Samples random_samples(Photometric photometric, std::uint32_t bits, std::uint32_t channels) {
    Samples samples{.photometric = photometric, .bits = bits, .channels = channels, .values = {}};
    std::mt19937 random(100 * photometric + bits);
    samples.values.resize(std::size_t{width} * height * channels);
    for (auto& value : samples.values) {
        value = static_cast<std::uint32_t>(random()) >> (32 - bits);
    }
    return samples;
}

/// Appends samples to a row that began with `row_start`; of 16 bits they are little-endian.
void put_sample(Bytes& row, std::size_t& used_bits, std::uint32_t value, std::uint32_t bits) {
    if (bits == 16) {
        row.push_back(static_cast<std::uint8_t>(value));
        row.push_back(static_cast<std::uint8_t>(value >> 8U));
        return;
    }
    for (std::uint32_t i = bits; i-- > 0; ++used_bits) {
        if (used_bits % 8 == 0) {
            row.push_back(0);
        }
        row.back() |= static_cast<std::uint8_t>((value >> i & 1U) << (7 - used_bits % 8));
    }
}

/// Some pixels of some channels, rows padded to whole bytes; beyond the picture there are zeros.
Bytes block_of(const Samples& samples, std::size_t x0, std::size_t y0, std::size_t wide,
               std::size_t high, std::size_t first, std::size_t count) {
    Bytes block;
    for (std::size_t y = y0; y < y0 + high; ++y) {
        std::size_t used_bits = 0;
        for (std::size_t x = x0; x < x0 + wide; ++x) {
            for (std::size_t c = first; c < first + count; ++c) {
                put_sample(block, used_bits, x < width && y < height ? samples.at(x, y, c) : 0,
                           samples.bits);
            }
        }
    }
    return block;
}

struct Arrangement {
    bool planar = false;
    std::uint32_t tile_width = 0; // 0: strips
    std::uint32_t rows = height;  // of a strip or tile
};

std::vector<Entry> basic_entries(const Samples& samples) {
    return {{256, {width}},
            {257, {height}},
            {258, std::vector<std::uint32_t>(samples.channels, samples.bits)},
            {259, {1}},
            {262, {samples.photometric}},
            {277, {samples.channels}}};
}

Bytes encode(const Samples& samples, const Arrangement& arrangement = {},
             const std::vector<Entry>& more = {}) {
    const bool tiled = arrangement.tile_width != 0;
    std::vector<Bytes> blocks;
    for (std::size_t plane = 0; plane < (arrangement.planar ? samples.channels : 1); ++plane) {
        for (std::size_t y = 0; y < height; y += arrangement.rows) {
            const std::size_t high =
                tiled ? arrangement.rows : std::min<std::size_t>(arrangement.rows, height - y);
            const std::size_t wide = tiled ? arrangement.tile_width : width;
            for (std::size_t x = 0; x < width; x += wide) {
                blocks.push_back(block_of(samples, x, y, wide, high, plane,
                                          arrangement.planar ? 1 : samples.channels));
            }
        }
    }
    std::vector<Entry> entries = basic_entries(samples);
    if (tiled) {
        entries.push_back({322, {arrangement.tile_width}});
        entries.push_back({323, {arrangement.rows}});
    } else {
        entries.push_back({278, {arrangement.rows}});
    }
    if (arrangement.planar) {
        entries.push_back({284, {2}});
    }
    entries.insert(entries.end(), more.begin(), more.end());
    return make_tiff(entries, blocks, tiled);
}

std::uint32_t map_value(std::size_t channel, std::uint32_t index) {
    return (index * 977 + channel * 5003 + 12345) & 0xFFFFU;
}

Entry colour_map(std::uint32_t bits) {
    Entry entry{.tag = 320, .values = {}};
    for (std::size_t channel = 0; channel < 3; ++channel) {
        for (std::uint32_t index = 0; index < 1U << bits; ++index) {
            entry.values.push_back(map_value(channel, index));
        }
    }
    return entry;
}

Bytes expected_grey(const Samples& samples) {
    Bytes grey;
    for (std::size_t y = 0; y < height; ++y) {
        for (std::size_t x = 0; x < width; ++x) {
            const auto byte = [&](std::size_t channel) {
                const std::uint32_t value = samples.at(x, y, channel);
                return static_cast<int>(samples.bits > 8
                                            ? value >> (samples.bits - 8)
                                            : value * 255 / ((1U << samples.bits) - 1));
            };
            const auto mapped = [&](std::size_t channel) {
                return static_cast<int>(map_value(channel, samples.at(x, y, 0)) >> 8U);
            };
            const auto light = [&](std::size_t channel) {
                // Pillow's rounding of ink * light / 255
                const int product = byte(channel) * (255 - byte(3)) + 128;
                return 255 - byte(3) - ((product >> 8) + product) / 256;
            };
            switch (samples.photometric) {
            case rgb:
                grey.push_back(pillow_l(byte(0), byte(1), byte(2)));
                break;
            case palette:
                grey.push_back(pillow_l(mapped(0), mapped(1), mapped(2)));
                break;
            case cmyk:
                grey.push_back(pillow_l(light(0), light(1), light(2)));
                break;
            default:
                grey.push_back(static_cast<std::uint8_t>(
                    samples.photometric == white_is_zero ? 255 - byte(0) : byte(0)));
            }
        }
    }
    return grey;
}

TEST(Tiff, EveryInterpretationDepthAndArrangement) {
    struct Kind {
        Photometric photometric;
        std::uint32_t bits;
        std::uint32_t channels;
    };
    std::vector<Kind> kinds;
    for (std::uint32_t bits = 1; bits <= 16; ++bits) {
        kinds.push_back({black_is_zero, bits, 1});
        kinds.push_back({white_is_zero, bits, 1});
    }
    for (const std::uint32_t bits : {1U, 2U, 4U, 8U}) {
        kinds.push_back({palette, bits, 1});
    }
    for (const std::uint32_t bits : {4U, 8U, 12U, 16U}) {
        for (const std::uint32_t extra : {0U, 1U, 3U}) {
            kinds.push_back({rgb, bits, 3 + extra});
        }
        kinds.push_back({cmyk, bits, 4});
        kinds.push_back({cmyk, bits, 5});
        kinds.push_back({black_is_zero, bits, 2});
    }
    for (const Kind& kind : kinds) {
        const Samples samples = random_samples(kind.photometric, kind.bits, kind.channels);
        const Bytes expected = expected_grey(samples);
        const std::vector<Entry> more =
            kind.photometric == palette ? std::vector{colour_map(kind.bits)} : std::vector<Entry>{};
        for (const bool planar : {false, true}) {
            for (const Arrangement& arrangement : {Arrangement{planar, 0, height},
                                                   {planar, 0, 4},
                                                   {planar, 16, 16},
                                                   {planar, 48, 32}}) {
                ImageInfo info;
                ASSERT_EQ(
                    picture_of(encode(samples, arrangement, more), {.fast = true}, &info).pixels,
                    expected)
                    << "photometric " << kind.photometric << ", " << kind.bits << " bits, "
                    << kind.channels << " channels" << (planar ? " in planes" : "") << ", tiles of "
                    << arrangement.tile_width << " x " << arrangement.rows;
                EXPECT_EQ(info.width, width);
                EXPECT_EQ(info.height, height);
                EXPECT_EQ(info.format, "tiff");
            }
        }
    }
}

TEST(Tiff, OnlyAssociatedAlphaIsDividedBy) {
    const Samples samples = random_samples(rgb, 8, 4);
    constexpr std::uint16_t extra_samples = 338;
    for (const std::uint32_t kind : {0U, 2U}) {
        EXPECT_EQ(picture_of(encode(samples, {}, {{extra_samples, {kind}}})).pixels,
                  expected_grey(samples));
    }
    Bytes expected;
    for (std::size_t y = 0; y < height; ++y) {
        for (std::size_t x = 0; x < width; ++x) {
            const int alpha = static_cast<int>(samples.at(x, y, 3));
            const auto divided = [&](std::size_t channel) {
                const int value = static_cast<int>(samples.at(x, y, channel));
                return alpha == 0 ? 0 : std::min(255, value * 255 / alpha);
            };
            expected.push_back(pillow_l(divided(0), divided(1), divided(2)));
        }
    }
    for (const bool planar : {false, true}) {
        EXPECT_EQ(picture_of(encode(samples, {.planar = planar}, {{extra_samples, {1}}})).pixels,
                  expected);
    }
}

TEST(Tiff, UprightAskedForOrNot) {
    const Samples samples = random_samples(rgb, 8, 3);
    for (int orientation = 1; orientation <= 8; ++orientation) {
        const Bytes image =
            encode(samples, {}, {{orientation_tag, {static_cast<std::uint32_t>(orientation)}}});
        for (const bool asked : {false, true}) {
            ImageInfo info;
            EXPECT_EQ(picture_of(image, {.orient = asked}, &info).pixels,
                      turned(expected_grey(samples), width, height, orientation));
            EXPECT_EQ(info.width, orientation < 5 ? width : height);
        }
    }
    EXPECT_EQ(picture_of(encode(samples, {}, {{orientation_tag, {9}}})).pixels,
              expected_grey(samples));
}

TEST(Tiff, OtherSamplesAreUnsupported) {
    std::string message;
    const auto status = [&](const Samples& samples, const std::vector<Entry>& more = {}) {
        return status_of(encode(samples, {}, more), {}, &message);
    };
    constexpr std::uint16_t sample_format = 339;
    const Samples grey = random_samples(black_is_zero, 8, 1);
    EXPECT_EQ(status(grey, {{sample_format, {1}}}), ImageStatus::ok);
    EXPECT_EQ(status(grey, {{sample_format, {2}}}), ImageStatus::unsupported);
    EXPECT_EQ(message, "TIFF image cannot be read by this build: signed samples");
    EXPECT_EQ(status(grey, {{sample_format, {3}}}), ImageStatus::unsupported);
    EXPECT_EQ(message, "TIFF image cannot be read by this build: floating-point samples");
    EXPECT_EQ(status(random_samples(black_is_zero, 32, 1)), ImageStatus::unsupported);
    EXPECT_EQ(message, "TIFF image cannot be read by this build: 32 bits a sample");
    constexpr auto cielab = static_cast<Photometric>(8);
    EXPECT_EQ(status(random_samples(cielab, 8, 3)), ImageStatus::unsupported);
    EXPECT_EQ(message, "TIFF image cannot be read by this build: photometric interpretation 8");
    EXPECT_EQ(status(random_samples(rgb, 8, 2)), ImageStatus::unsupported);
    EXPECT_EQ(status(random_samples(black_is_zero, 8, 17)), ImageStatus::unsupported);
    EXPECT_EQ(status(random_samples(palette, 4, 1)), ImageStatus::corrupt); // without a palette
    std::vector<Entry> entries = basic_entries(grey);
    entries[3] = {259, {40000}};
    EXPECT_EQ(status_of(make_tiff(entries, {Bytes(777)}), {}, &message), ImageStatus::unsupported);
    EXPECT_EQ(message, "TIFF image cannot be read by this build: compression 40000");
}

TEST(Tiff, HostileDirectories) {
    const Samples samples = random_samples(black_is_zero, 8, 1);
    std::string message;
    std::vector<Entry> many;
    for (std::uint32_t i = 0; i < 600; ++i) {
        many.push_back({static_cast<std::uint16_t>(40000 + i), {i}});
    }
    EXPECT_EQ(status_of(encode(samples, {}, many), {}, &message), ImageStatus::corrupt);
    EXPECT_EQ(message, "TIFF image is corrupt: 609 tags");
    many.resize(100);
    const Bytes good = encode(samples, {}, many);
    EXPECT_EQ(status_of(good), ImageStatus::ok);

    // Every one of the further tags has the whole file for its value.
    Bytes overlapping = good;
    const auto directory = static_cast<std::size_t>(good[4] | good[5] << 8);
    for (std::size_t i = 9; i < 109; ++i) {
        const std::size_t entry = directory + 2 + 12 * i;
        overlapping[entry + 2] = 7; // bytes
        const Bytes count = number(good.size(), 4);
        std::copy(count.begin(), count.end(),
                  overlapping.begin() + static_cast<std::ptrdiff_t>(entry + 4));
        std::fill_n(overlapping.begin() + static_cast<std::ptrdiff_t>(entry + 8), 4,
                    std::uint8_t{0});
    }
    EXPECT_EQ(status_of(overlapping, {}, &message), ImageStatus::corrupt);
    EXPECT_EQ(message, "TIFF image is corrupt: its directory claims more than the file holds");

    // The next directory is this one again.
    Bytes loop = good;
    std::copy_n(good.begin() + 4, 4,
                loop.begin() + static_cast<std::ptrdiff_t>(directory + 2 + 12 * 109));
    EXPECT_EQ(picture_of(loop).pixels, expected_grey(samples));
}

TEST(Tiff, SizeIsLimitedBeforeDecoding) {
    const Samples samples = random_samples(black_is_zero, 8, 1);
    EXPECT_EQ(status_of(encode(samples), {.max_pixels = width * height}), ImageStatus::ok);
    std::string message;
    EXPECT_EQ(status_of(encode(samples), {.max_pixels = width * height - 1}, &message),
              ImageStatus::too_large);
    EXPECT_EQ(message, "TIFF image is too large: 37 x 21 pixels");
    // Tiles much larger than the picture.
    const auto tiles = [&](std::uint32_t wide, std::uint32_t high) {
        std::vector<Entry> entries = basic_entries(samples);
        entries.push_back({322, {wide}});
        entries.push_back({323, {high}});
        return status_of(make_tiff(entries, {Bytes(64)}, true), {.max_pixels = 1'000'000});
    };
    EXPECT_EQ(tiles(1008, 1008), ImageStatus::too_large);
    EXPECT_EQ(tiles(1U << 30U, 1U << 30U), ImageStatus::too_large);
    EXPECT_EQ(tiles(64, 64), ImageStatus::corrupt); // the tile is shorter than its pixels
}

TEST(Tiff, DamageIsNamed) {
    const Samples samples = random_samples(black_is_zero, 8, 1);
    Bytes cut = encode(samples);
    constexpr std::size_t first_strip_entry = 6; // StripOffsets, by its tag
    const auto directory = static_cast<std::size_t>(cut[4] | cut[5] << 8);
    const std::size_t value = directory + 2 + 12 * (first_strip_entry - 1) + 8;
    const Bytes far = number(cut.size() - 10, 2);
    std::copy(far.begin(), far.end(), cut.begin() + static_cast<std::ptrdiff_t>(value));
    EXPECT_EQ(status_of(cut), ImageStatus::truncated);
    for (const char* name : {"tiff-rgb_5.tif", "tiff-rgb_8.tif", "tiff-jpeg_420_tiles.tif",
                             "tiff-fax_group4_99x70.tif"}) {
        Bytes damaged = golden_image(name);
        std::fill_n(damaged.begin() + 60, 40, std::uint8_t{0x5A});
        EXPECT_EQ(status_of(damaged), ImageStatus::corrupt) << name;
    }
}

TEST(Tiff, EveryPrefixIsTruncated) {
    for (const char* name : {"tiff-rgb_5.tif", "tiff-tiles_palette.tif", "tiff-rgb_big-tiff.tif",
                             "tiff-jpeg_rgb_0.tif"}) {
        SCOPED_TRACE(name);
        const Bytes good = golden_image(name);
        const std::string_view text(reinterpret_cast<const char*>(good.data()), 4);
        cut_everywhere(good, 4, good.size() - 8); // the last tag may be one of no consequence
        EXPECT_EQ(text.substr(0, 2), "II");
    }
}

TEST(Tiff, FlippedBitsAreHarmless) {
    for (const char* name :
         {"tiff-size_2x3.tif", "tiff-grey_2_compressed-8_fill-2.tif", "tiff-tiles_grey_1.tif",
          "tiff-fax_group3_64x33.tif", "tiff-orient_xmp.tif"}) {
        flip_every_bit(golden_image(name));
    }
}

} // namespace
} // namespace vamhash
