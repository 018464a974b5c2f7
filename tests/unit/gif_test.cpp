// GIF: where the first frame lies and what surrounds it, against grey computed from the indexes,
// and what each kind of damage is called.
#include "made_image.h"

#include <gtest/gtest.h>

#include <optional>

namespace vamhash {
namespace {

/// LZW without compression: a clear code before the table grows to need longer codes.
Bytes lzw(const Bytes& indexes, bool ended = true) {
    Bytes codes;
    unsigned bits = 0;
    const auto put = [&](unsigned code) {
        for (unsigned i = 0; i < 9; ++i, ++bits) {
            if (bits % 8 == 0) {
                codes.push_back(0);
            }
            codes.back() |= static_cast<std::uint8_t>((code >> i & 1U) << bits % 8);
        }
    };
    for (std::size_t i = 0; i < indexes.size(); ++i) {
        if (i % 250 == 0) {
            put(256);
        }
        put(indexes[i]);
    }
    if (ended) {
        put(257);
    }
    Bytes blocks{8}; // bits an index
    for (std::size_t at = 0; at < codes.size(); at += 200) {
        const std::size_t count = std::min<std::size_t>(200, codes.size() - at);
        blocks.push_back(static_cast<std::uint8_t>(count));
        blocks.insert(blocks.end(), codes.begin() + static_cast<std::ptrdiff_t>(at),
                      codes.begin() + static_cast<std::ptrdiff_t>(at + count));
    }
    blocks.push_back(0);
    return blocks;
}

struct Place {
    std::uint32_t left = 0;
    std::uint32_t top = 0;
    std::uint32_t width = 0;
    std::uint32_t height = 0;
};

/// A palette's flag and field, or none.
std::uint8_t palette_field(const Bytes& palette) {
    if (palette.empty()) {
        return 0;
    }
    std::uint8_t field = 0;
    while (std::size_t{6} << field < palette.size()) {
        ++field;
    }
    return static_cast<std::uint8_t>(0x80 | field);
}

Bytes frame(const Place& place, const Bytes& data, const Bytes& palette = {},
            bool interlaced = false) {
    const auto flags = static_cast<std::uint8_t>(palette_field(palette) | (interlaced ? 0x40 : 0));
    return joined({text_bytes(","),
                   number(place.left, 2),
                   number(place.top, 2),
                   number(place.width, 2),
                   number(place.height, 2),
                   {flags},
                   palette,
                   data});
}

Bytes transparent_index(std::uint8_t index) {
    return {'!', 0xF9, 4, 1, 0, 0, index, 0};
}

Bytes make_gif(std::uint32_t width, std::uint32_t height, const Bytes& palette,
               std::initializer_list<Bytes> blocks) {
    return joined({text_bytes("GIF89a"),
                   number(width, 2),
                   number(height, 2),
                   {palette_field(palette), 0, 0},
                   palette,
                   joined(blocks),
                   text_bytes(";")});
}

/// The greys of a frame on a screen.
Bytes expected_grey(std::uint32_t width, std::uint32_t height, const Place& place,
                    const Bytes& indexes, const Bytes& palette, std::size_t background) {
    const auto grey = [&](std::size_t index) -> std::uint8_t {
        if (palette.empty()) {
            return static_cast<std::uint8_t>(index);
        }
        const std::size_t at = 3 * index;
        return at < palette.size() ? pillow_l(palette[at], palette[at + 1], palette[at + 2]) : 0;
    };
    Bytes pixels(std::size_t{width} * height, grey(background));
    for (std::size_t y = 0; y < place.height; ++y) {
        for (std::size_t x = 0; x < place.width; ++x) {
            pixels[(place.top + y) * width + place.left + x] = grey(indexes[y * place.width + x]);
        }
    }
    return pixels;
}

/// The rows in the order in which an interlaced frame has them.
Bytes interlace(const Bytes& indexes, std::size_t width) {
    const std::size_t height = indexes.size() / width;
    Bytes rows;
    for (const auto& [first, step] :
         {std::pair<std::size_t, std::size_t>{0, 8}, {4, 8}, {2, 4}, {1, 2}}) {
        for (std::size_t y = first; y < height; y += step) {
            rows.insert(rows.end(), indexes.begin() + static_cast<std::ptrdiff_t>(y * width),
                        indexes.begin() + static_cast<std::ptrdiff_t>((y + 1) * width));
        }
    }
    return rows;
}

const Bytes global_palette = random_values(std::size_t{3} << 7, 256, 7); // indexes go beyond it
const Bytes local_palette = random_values(std::size_t{3} << 5, 256, 8);

TEST(Gif, EveryPlacePaletteAndOrder) {
    struct Screen {
        std::uint32_t width;
        std::uint32_t height;
        Place place;
    };
    for (const auto& [width, height, place] : {Screen{9, 11, {0, 0, 9, 11}},
                                               {30, 40, {5, 20, 9, 11}},
                                               {20, 33, {11, 22, 9, 11}},
                                               {10, 10, {4, 7, 9, 11}}, // beyond the screen
                                               {0, 0, {0, 0, 33, 20}}}) {
        const Bytes indexes = random_values(std::size_t{place.width} * place.height, 256);
        const std::uint32_t shown_width = std::max(width, place.left + place.width);
        const std::uint32_t shown_height = std::max(height, place.top + place.height);
        for (const bool interlaced : {false, true}) {
            for (const std::optional<std::uint8_t> transparent :
                 {std::optional<std::uint8_t>(), std::optional<std::uint8_t>(9)}) {
                for (const bool local : {false, true}) {
                    for (const Bytes& global : {global_palette, Bytes{}}) {
                        const Bytes& own = local ? local_palette : Bytes{};
                        const Bytes image = make_gif(
                            width, height, global,
                            {transparent ? transparent_index(*transparent) : Bytes{},
                             frame(place,
                                   lzw(interlaced ? interlace(indexes, place.width) : indexes), own,
                                   interlaced)});
                        ImageInfo info;
                        const GreyPicture picture = picture_of(image, {.orient = true}, &info);
                        ASSERT_EQ(picture.pixels,
                                  expected_grey(shown_width, shown_height, place, indexes,
                                                local ? own : global, transparent.value_or(0)));
                        EXPECT_EQ(info.width, shown_width);
                        EXPECT_EQ(info.height, shown_height);
                        EXPECT_EQ(info.format, "gif");
                    }
                }
            }
        }
    }
}

TEST(Gif, PaletteThatIsARampHasNoEnd) {
    const Place place{0, 0, 16, 16};
    const Bytes indexes = random_values(256, 256);
    Bytes ramp;
    for (unsigned i = 0; i < 64; ++i) {
        ramp.insert(ramp.end(), 3, static_cast<std::uint8_t>(i));
    }
    EXPECT_EQ(picture_of(make_gif(16, 16, ramp, {frame(place, lzw(indexes))})).pixels, indexes);
    ramp.back() ^= 1;
    EXPECT_EQ(picture_of(make_gif(16, 16, ramp, {frame(place, lzw(indexes))})).pixels,
              expected_grey(16, 16, place, indexes, ramp, 0));
}

TEST(Gif, OnlyTheFirstFrameIsRead) {
    const Place place{0, 0, 9, 11};
    const Bytes indexes = random_values(99, 256);
    const Bytes expected = expected_grey(9, 11, place, indexes, global_palette, 0);
    const Bytes one = frame(place, lzw(indexes));
    EXPECT_EQ(picture_of(make_gif(9, 11, global_palette, {one, one, text_bytes("rubbish")})).pixels,
              expected);
    Bytes cut = make_gif(9, 11, global_palette, {one, one});
    cut.resize(cut.size() - one.size());
    EXPECT_EQ(picture_of(cut).pixels, expected);
    // Extensions before it, and bytes that are none, are passed over.
    const Bytes comment{'!', 0xFE, 3, 'a', 'b', 'c', 1, 'd', 0};
    EXPECT_EQ(
        picture_of(make_gif(9, 11, global_palette, {comment, {0, 0, 17}, comment, one})).pixels,
        expected);
}

TEST(Gif, DamageIsNamed) {
    const Bytes indexes = random_values(99, 256);
    std::string message;
    const auto status = [&](const Bytes& data, const Place& at = {0, 0, 9, 11}) {
        return status_of(make_gif(9, 11, global_palette, {frame(at, data)}), {}, &message);
    };
    EXPECT_EQ(status(lzw(indexes)), ImageStatus::ok);
    EXPECT_EQ(status(lzw({indexes.begin(), indexes.end() - 1})), ImageStatus::truncated);
    EXPECT_EQ(message, "GIF image is truncated: the data ends before the picture");
    EXPECT_EQ(status({8, 3, 0xFF, 0xFF, 0xFF, 0}), ImageStatus::corrupt); // code 511 at first
    EXPECT_EQ(message, "GIF image is corrupt: Image is defective, decoding aborted");
    EXPECT_EQ(status(lzw(indexes), {0, 0, 0, 11}), ImageStatus::corrupt);
    EXPECT_EQ(status_of(make_gif(9, 11, global_palette, {}), {}, &message), ImageStatus::corrupt);
    EXPECT_EQ(message, "GIF image is corrupt: no frame is there");
}

TEST(Gif, SizeIsLimitedBeforeDecoding) {
    const Bytes small = frame({0, 0, 2, 2}, lzw({1, 2, 3, 4}));
    EXPECT_EQ(status_of(make_gif(10, 10, {}, {small}), {.max_pixels = 99}), ImageStatus::too_large);
    EXPECT_EQ(status_of(make_gif(10, 10, {}, {small}), {.max_pixels = 100}), ImageStatus::ok);
    const Bytes far = frame({65000, 65000, 65000, 65000}, lzw({1}));
    EXPECT_EQ(status_of(make_gif(2, 2, {}, {far}), {.max_pixels = ~0ULL >> 32U}),
              ImageStatus::too_large);
}

TEST(Gif, EveryPrefixIsTruncated) {
    for (const char* name : {"gif-size_5x8.gif", "gif-palette_4-interlaced.gif",
                             "gif-frame_local.gif", "gif-coding_extensions.gif"}) {
        SCOPED_TRACE(name);
        const Bytes good = golden_image(name);
        // What follows the codes of the last line is not missed, nor comments.
        const bool has_comment = std::string_view(name).ends_with("extensions.gif");
        cut_everywhere(good, 6, good.size() - (has_comment ? 7 : 2));
    }
}

TEST(Gif, FlippedBitsAreHarmless) {
    for (const char* name : {"gif-size_5x8.gif", "gif-palette_2-interlaced.gif",
                             "gif-frame_local.gif", "gif-frame_beyond-transparent.gif"}) {
        flip_every_bit(golden_image(name));
    }
}

} // namespace
} // namespace vamhash
