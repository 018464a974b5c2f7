// EXIF and XMP orientation: what is found in good data, and that bad data is only ever "as stored";
// and that pictures are turned as Pillow's ImageOps.exif_transpose turns them.
#include "codec/exif.h"
#include "codec/orient.h"

#include "grey_picture.h"

#include <gtest/gtest.h>

#include <numeric>

namespace vamhash {
namespace {

std::optional<int> found_in(const Bytes& exif) {
    const auto orientation = exif_orientation(exif);
    return orientation ? std::optional(static_cast<int>(*orientation)) : std::nullopt;
}

TEST(Exif, EveryOrientationInBothByteOrders) {
    for (std::uint8_t orientation = 1; orientation <= 8; ++orientation) {
        EXPECT_EQ(found_in(exif_with_orientation(orientation, false)), orientation);
        EXPECT_EQ(found_in(exif_with_orientation(orientation, true)), orientation);
    }
}

TEST(Exif, ValueOutOfRangeIsAsStored) {
    EXPECT_EQ(found_in(exif_with_orientation(0)), 1);
    EXPECT_EQ(found_in(exif_with_orientation(9)), 1);
    EXPECT_EQ(found_in(exif_with_orientation(255, true)), 1);
}

TEST(Exif, PrefixOnceTwiceOrNot) {
    Bytes exif = exif_with_orientation(6);
    const Bytes prefix{'E', 'x', 'i', 'f', 0, 0};
    for (int i = 0; i < 2; ++i) {
        exif.insert(exif.begin(), prefix.begin(), prefix.end());
        EXPECT_EQ(found_in(exif), 6);
    }
}

TEST(Exif, MagicInTheWrongByteOrderIsRead) {
    Bytes exif = exif_with_orientation(8);
    std::swap(exif[2], exif[3]);
    EXPECT_EQ(found_in(exif), 8);
}

TEST(Exif, LongValueAndSeveralValues) {
    Bytes exif = exif_with_orientation(5);
    exif[12] = 4; // LONG
    EXPECT_EQ(found_in(exif), 5);
    exif[12] = 3;
    exif[14] = 3; // three SHORT values do not fit the entry
    exif[18] = 26;
    exif.insert(exif.end(), {7, 0, 1, 0, 1, 0});
    EXPECT_EQ(found_in(exif), 7);
}

TEST(Exif, LastOfTwoEntriesCounts) {
    Bytes exif = exif_with_orientation(3);
    exif[8] = 2;
    const Bytes entry{0x12, 0x01, 3, 0, 1, 0, 0, 0, 4, 0, 0, 0};
    exif.insert(exif.begin() + 22, entry.begin(), entry.end());
    EXPECT_EQ(found_in(exif), 4);
}

TEST(Exif, NothingWhereThereIsNoSuchTag) {
    EXPECT_EQ(found_in({}), std::nullopt);
    EXPECT_EQ(found_in({'E', 'x', 'i', 'f', 0, 0}), std::nullopt);
    Bytes exif = exif_with_orientation(6);
    exif[10] = 0x13; // another tag
    EXPECT_EQ(found_in(exif), std::nullopt);
    exif = exif_with_orientation(6);
    exif[12] = 2; // ASCII
    EXPECT_EQ(found_in(exif), std::nullopt);
    exif = exif_with_orientation(6);
    exif[14] = 0; // no value
    EXPECT_EQ(found_in(exif), std::nullopt);
    exif = exif_with_orientation(6);
    exif[2] = 43; // BigTIFF
    EXPECT_EQ(found_in(exif), std::nullopt);
}

TEST(Exif, OffsetsBeyondTheDataAreNotFollowed) {
    for (const std::uint8_t far : {0x19, 0x1A, 0x7F, 0xFF}) {
        Bytes exif = exif_with_orientation(6);
        std::fill_n(exif.begin() + 4, 4, far); // the directory
        EXPECT_EQ(found_in(exif), std::nullopt);
        exif = exif_with_orientation(6);
        std::fill_n(exif.begin() + 14, 8, far); // count and offset of the value
        EXPECT_EQ(found_in(exif), std::nullopt);
        exif = exif_with_orientation(6);
        std::fill_n(exif.begin() + 8, 2, far); // more entries than there are
        EXPECT_EQ(found_in(exif), 6);
    }
}

TEST(Exif, EveryPrefixAndEveryBitFlipIsHarmless) {
    for (const bool big_endian : {false, true}) {
        const Bytes good = exif_with_orientation(6, big_endian);
        for (std::size_t length = 0; length < good.size(); ++length) {
            const Bytes cut(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(length));
            const auto orientation = found_in(cut);
            EXPECT_TRUE(!orientation || *orientation == 6) << length;
        }
        for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
            Bytes flipped = good;
            flipped[bit / 8] ^= static_cast<std::uint8_t>(1U << bit % 8);
            const int orientation = found_in(flipped).value_or(1);
            EXPECT_TRUE(orientation >= 1 && orientation <= 8) << bit;
        }
    }
}

TEST(Xmp, AttributeAndElement) {
    EXPECT_EQ(xmp_orientation("<x tiff:Orientation=\"6\"/>"), Orientation::rotate_clockwise);
    EXPECT_EQ(xmp_orientation("<tiff:Orientation>8</tiff:Orientation>"),
              Orientation::rotate_anticlockwise);
    EXPECT_EQ(xmp_orientation("tiff:Orientation= tiff:Orientation=\"x tiff:Orientation>3"),
              Orientation::rotate_180);
    EXPECT_EQ(xmp_orientation("<x tiff:Orientation=\"9\"/>"), Orientation::as_stored);
    EXPECT_EQ(xmp_orientation(""), std::nullopt);
    EXPECT_EQ(xmp_orientation("tiff:Orientation"), std::nullopt);
    EXPECT_EQ(xmp_orientation("tiff:Orientation=\""), std::nullopt);
    EXPECT_EQ(xmp_orientation("tiff:Orientation>"), std::nullopt);
}

TEST(Xmp, ExifCountsFirst) {
    const std::string_view xmp = "tiff:Orientation>3";
    EXPECT_EQ(image_orientation(exif_with_orientation(6), xmp), Orientation::rotate_clockwise);
    EXPECT_EQ(image_orientation({}, xmp), Orientation::rotate_180);
    EXPECT_EQ(image_orientation({}, {}), Orientation::as_stored);
}

/// Turns a picture given in groups of `group` rows that lie `stride` bytes apart.
GreyPicture turn(const Bytes& stored, std::uint32_t width, std::uint32_t height, int orientation,
                 std::uint32_t group, std::size_t stride) {
    Bytes spaced(stride * height);
    for (std::uint32_t y = 0; y < height; ++y) {
        std::copy_n(stored.begin() + y * width, width, spaced.begin() + y * stride);
    }
    PictureSink shown;
    OrientingSink sink(static_cast<Orientation>(orientation), shown);
    sink.start(width, height);
    for (std::uint32_t y = 0; y < height; y += group) {
        sink.rows(spaced.data() + y * stride, stride, std::min(group, height - y));
    }
    return shown.picture;
}

TEST(Orient, SixPixelsAsPillowTurnsThem) {
    const Bytes stored{1, 2, 3, 4, 5, 6}; // 2 wide, 3 high
    const std::vector<Bytes> shown{
        {1, 2, 3, 4, 5, 6}, {2, 1, 4, 3, 6, 5}, {6, 5, 4, 3, 2, 1}, {5, 6, 3, 4, 1, 2},
        {1, 3, 5, 2, 4, 6}, {5, 3, 1, 6, 4, 2}, {6, 4, 2, 5, 3, 1}, {2, 4, 6, 1, 3, 5},
    };
    for (int orientation = 1; orientation <= 8; ++orientation) {
        const GreyPicture picture = turn(stored, 2, 3, orientation, 8, 2);
        EXPECT_EQ(picture.pixels, shown[static_cast<std::size_t>(orientation) - 1]) << orientation;
        EXPECT_EQ(picture.width, orientation < 5 ? 2U : 3U);
        EXPECT_EQ(picture.height, orientation < 5 ? 3U : 2U);
    }
}

TEST(Orient, AnySizeGroupAndStride) {
    for (const auto& [width, height] :
         {std::pair{1U, 1U}, {1U, 40U}, {40U, 1U}, {37U, 53U}, {64U, 16U}}) {
        Bytes stored(std::size_t{width} * height);
        std::iota(stored.begin(), stored.end(), std::uint8_t{0});
        for (int orientation = 1; orientation <= 8; ++orientation) {
            for (const std::uint32_t group : {8U, 16U, 64U}) {
                const GreyPicture picture =
                    turn(stored, width, height, orientation, group, width + 5);
                ASSERT_TRUE(picture.complete());
                ASSERT_EQ(picture.pixels, turned(stored, width, height, orientation))
                    << width << "x" << height << " orientation " << orientation;
            }
        }
    }
}

} // namespace
} // namespace vamhash
