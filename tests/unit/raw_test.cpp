// Camera RAW: which TIFF files are it, and DNGs written here, of a camera whose colours are those
// of sRGB: the grey of even light, orientations, sizes that lie, and what each kind of damage is
// called.
#include "codec/raw.h"
#include "made_image.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>

namespace vamhash {
namespace {

enum Type : std::uint16_t {
    byte = 1,
    ascii = 2,
    u16 = 3,
    u32 = 4,
    fraction = 5,
    signed_fraction = 10
};

struct Entry {
    std::uint16_t tag;
    Type type;
    Bytes values; // little-endian
};

Bytes shorts(std::initializer_list<std::uint32_t> values) {
    Bytes bytes;
    for (const std::uint32_t value : values) {
        bytes = joined({bytes, number(value, 2)});
    }
    return bytes;
}

Bytes fractions(std::initializer_list<double> values) {
    Bytes bytes;
    for (const double value : values) {
        const auto numerator = static_cast<std::int32_t>(std::lround(value * 10000));
        bytes = joined({bytes, number(static_cast<std::uint32_t>(numerator), 4), number(10000, 4)});
    }
    return bytes;
}

std::size_t size_of(Type type) {
    return type == u16 ? 2 : type == u32 ? 4 : type >= fraction ? 8 : 1;
}

/// A directory that lies at `at`, its values behind it.
Bytes directory(std::vector<Entry> entries, std::size_t at, std::size_t next = 0) {
    std::sort(entries.begin(), entries.end(),
              [](const Entry& a, const Entry& b) { return a.tag < b.tag; });
    const std::size_t values_at = at + 2 + 12 * entries.size() + 4;
    Bytes bytes = number(entries.size(), 2);
    Bytes values;
    for (const Entry& entry : entries) {
        Bytes slot = entry.values;
        if (slot.size() > 4) {
            slot = number(values_at + values.size(), 4);
            values = joined({values, entry.values, Bytes(entry.values.size() % 2)});
        }
        slot.resize(4);
        bytes = joined({bytes, number(entry.tag, 2), number(entry.type, 2),
                        number(entry.values.size() / size_of(entry.type), 4), slot});
    }
    return joined({bytes, number(next, 4), values});
}

constexpr std::size_t head_size = 8;

/// A file of one directory.
Bytes tiff_of(const std::vector<Entry>& entries) {
    return joined(
        {text_bytes("II"), number(42, 2), number(head_size, 4), directory(entries, head_size)});
}

constexpr std::uint32_t width = 64;
constexpr std::uint32_t height = 48;
constexpr std::uint32_t white = 0xFFFF;

struct Dng {
    std::uint32_t claimed_width = width;
    std::uint32_t claimed_height = height;
    std::uint32_t orientation = 1;
    Bytes filters = {0, 1, 1, 2};
    std::uint32_t samples_later = 0; // bytes that they are said to lie further on
    std::function<std::uint32_t(std::uint32_t x, std::uint32_t y)> light;
};

/// A DNG of a sensor behind red, green, green and blue filters, all of which let the same light
/// through: a white thing is as bright to each.
Bytes encode(const Dng& dng) {
    Bytes samples;
    for (std::uint32_t y = 0; y < height; ++y) {
        for (std::uint32_t x = 0; x < width; ++x) {
            const Bytes sample = number(dng.light(x, y), 2);
            samples.insert(samples.end(), sample.begin(), sample.end());
        }
    }
    const auto entries = [&](std::size_t data_at) -> std::vector<Entry> {
        return {{254, u32, number(0, 4)},
                {256, u32, number(dng.claimed_width, 4)},
                {257, u32, number(dng.claimed_height, 4)},
                {258, u16, shorts({16})},
                {259, u16, shorts({1})},
                {262, u16, shorts({32803})}, // a colour filter array
                {271, ascii, text_bytes(std::string_view("Vamhash\0", 8))},
                {272, ascii, text_bytes(std::string_view("Two\0", 4))},
                {273, u32, number(data_at + dng.samples_later, 4)},
                {274, u16, shorts({dng.orientation})},
                {277, u16, shorts({1})},
                {278, u32, number(dng.claimed_height, 4)},
                {279, u32, number(samples.size(), 4)},
                {33421, u16, shorts({2, 2})},
                {33422, byte, dng.filters},
                {50706, byte, {1, 4, 0, 0}}, // DNG 1.4
                {50708, ascii, text_bytes(std::string_view("Vamhash Two\0", 12))},
                {50717, u32, number(white, 4)},
                {50721, signed_fraction, // from XYZ to sRGB
                 fractions(
                     {3.2405, -1.5371, -0.4985, -0.9693, 1.8760, 0.0416, 0.0556, -0.2040, 1.0572})},
                {50728, fraction, fractions({1, 1, 1})},
                {50778, u16, shorts({21})}}; // D65
    };
    const std::size_t data_at = tiff_of(entries(0)).size();
    return joined({tiff_of(entries(data_at)), samples});
}

class RawTest : public testing::Test {
  protected:
    void SetUp() override {
        if (raw_format.decode == nullptr) {
            GTEST_SKIP() << "this build has no LibRaw";
        }
    }
};

/// dcraw's 8-bit value of a part of white: the gamma of BT.709.
double developed(double light) {
    return 255 * (light < 0.018 ? 4.5 * light : 1.099 * std::pow(light, 0.45) - 0.099);
}

TEST_F(RawTest, EvenLightIsGreyByTheGamma) {
    // Above three quarters LibRaw takes the brightest sample there is for white.
    for (const double part : {0.0, 0.01, 0.1, 0.25, 0.5, 0.7, 1.0}) {
        const auto value = static_cast<std::uint32_t>(part * white);
        ImageInfo info;
        const GreyPicture picture =
            picture_of(encode({.light = [&](auto, auto) { return value; }}), {}, &info);
        EXPECT_EQ(picture.width, width / 2);
        EXPECT_EQ(picture.height, height / 2);
        EXPECT_EQ(info.width, width) << "the sensor's";
        EXPECT_EQ(info.height, height);
        EXPECT_EQ(info.format, "raw");
        for (const std::uint8_t grey : picture.pixels) {
            ASSERT_NEAR(grey, developed(part), 3) << part;
        }
    }
}

TEST_F(RawTest, FourPixelsMakeOne) {
    // Each 2 x 2 block of its own light.
    const auto light_of = [](std::uint32_t x, std::uint32_t y) {
        return ((x * 37 + y * 91) % 97) * white / 97;
    };
    const GreyPicture picture =
        picture_of(encode({.light = [&](auto x, auto y) { return light_of(x / 2, y / 2); }}));
    ASSERT_EQ(picture.pixels.size(), width / 2 * height / 2);
    for (std::uint32_t y = 0; y < height / 2; ++y) {
        for (std::uint32_t x = 0; x < width / 2; ++x) {
            ASSERT_NEAR(picture.pixels[y * (width / 2) + x],
                        developed(static_cast<double>(light_of(x, y)) / white), 3)
                << x << ", " << y;
        }
    }
}

TEST_F(RawTest, UprightAskedForOrNot) {
    const auto light = [](std::uint32_t x, std::uint32_t y) {
        return ((x / 2 * 13 + y / 2 * 29) % 61) * white / 61;
    };
    const Bytes stored = picture_of(encode({.light = light})).pixels;
    for (int orientation = 1; orientation <= 8; ++orientation) {
        const Bytes image =
            encode({.orientation = static_cast<std::uint32_t>(orientation), .light = light});
        for (const bool asked : {false, true}) {
            ImageInfo info;
            EXPECT_EQ(picture_of(image, {.orient = asked}, &info).pixels,
                      turned(stored, width / 2, height / 2, orientation))
                << orientation;
            EXPECT_EQ(info.width, orientation < 5 ? width : height);
        }
    }
}

TEST_F(RawTest, LimitOfPixels) {
    const Bytes image = encode({.light = [](auto, auto) { return 1000U; }});
    std::string message;
    EXPECT_EQ(status_of(image, {.max_pixels = width * height}), ImageStatus::ok);
    EXPECT_EQ(status_of(image, {.max_pixels = width * height - 1}, &message),
              ImageStatus::too_large);
    EXPECT_EQ(message, "camera RAW image is too large: 64 x 48 pixels");
}

TEST_F(RawTest, SizesThatLie) {
    const auto status = [](std::uint32_t wide, std::uint32_t high, std::uint64_t max_pixels) {
        return status_of(encode({.claimed_width = wide,
                                 .claimed_height = high,
                                 .light = [](auto, auto) { return 1000U; }}),
                         {.max_pixels = max_pixels});
    };
    EXPECT_EQ(status(60000, 60000, 250'000'000), ImageStatus::too_large);
    EXPECT_EQ(status(width, height + 100, 250'000'000), ImageStatus::truncated);
    EXPECT_EQ(status(2000, 2000, 250'000'000), ImageStatus::truncated);
    EXPECT_NE(status(0, height, 250'000'000), ImageStatus::ok);
    EXPECT_NE(status(3, 3, 250'000'000), ImageStatus::ok); // of no sensor
}

TEST_F(RawTest, SensorDataThatEndsIsTruncated) {
    const Bytes good = encode({.light = [](auto x, auto) { return x * 1000; }});
    std::string message;
    for (const std::size_t missing : {2U, 100U, 3000U, 6143U}) {
        EXPECT_EQ(status_of({good.data(), good.size() - missing}, {}, &message),
                  ImageStatus::truncated)
            << missing;
        EXPECT_EQ(message, "camera RAW image is truncated: the data ends before the picture");
    }
}

/// A file as Panasonic writes it, its samples at the end.
Bytes panasonic(std::uint32_t samples_at, std::size_t samples) {
    const std::vector<Entry> entries{{1, ascii, text_bytes("0300")},
                                     {2, u16, shorts({width})},
                                     {3, u16, shorts({height})},
                                     {4, u16, shorts({0})},
                                     {5, u16, shorts({0})},
                                     {6, u16, shorts({height})},
                                     {7, u16, shorts({width})},
                                     {9, u16, shorts({4})},
                                     {271, ascii, text_bytes(std::string_view("Panasonic\0", 10))},
                                     {272, ascii, text_bytes(std::string_view("DMC-LX3\0", 8))},
                                     {278, u32, number(height, 4)},
                                     {280, u32, number(samples_at, 4)}};
    return joined({text_bytes(std::string_view("IIU\0", 4)), number(head_size, 4),
                   directory(entries, head_size), Bytes(samples, 0x5A)});
}

TEST_F(RawTest, SamplesBehindTheEndAreTruncated) {
    // LibRaw leaves a picture black whose samples begin behind the end...
    const auto light = [](auto, auto) { return 1000U; };
    const auto length = static_cast<std::uint32_t>(encode({.light = light}).size());
    for (const std::uint32_t later : {1U, 6143U, 6144U, length, 0x7FFF0000U}) {
        EXPECT_EQ(status_of(encode({.samples_later = later, .light = light})),
                  ImageStatus::truncated)
            << later;
    }
    // ... and Panasonic's are what was in memory before.
    const auto at = static_cast<std::uint32_t>(panasonic(0, 0).size());
    constexpr std::size_t block = 0x4000; // of whose bytes the first pixels are not the first
    for (const std::size_t samples : {std::size_t{0}, std::size_t{100}, block - 1}) {
        EXPECT_EQ(status_of(panasonic(at, samples)), ImageStatus::truncated) << samples;
    }
    EXPECT_EQ(status_of(panasonic(at + 100'000, block)), ImageStatus::truncated);
    EXPECT_EQ(status_of(panasonic(at, block)), ImageStatus::ok);
}

TEST_F(RawTest, FiltersWithoutColoursAreCorrupt) {
    Bytes image = encode({.light = [](auto, auto) { return 1000U; }});
    const Bytes tag = joined({number(33422, 2), number(byte, 2), number(4, 4)});
    const auto entry = std::search(image.begin(), image.end(), tag.begin(), tag.end());
    ASSERT_NE(entry, image.end());
    std::string message;
    entry[5] = 1; // 260 of them, where there is no file
    entry[11] = 0x7F;
    EXPECT_EQ(status_of(image, {}, &message), ImageStatus::corrupt);
    EXPECT_EQ(message,
              "camera RAW image is corrupt: the colours of the sensor's filters are not in it");
    entry[4] = entry[5] = 0; // none
    EXPECT_EQ(status_of(image), ImageStatus::corrupt);
    EXPECT_EQ(
        status_of(encode({.filters = Bytes(4, 1), .light = [](auto, auto) { return 1000U; }})),
        ImageStatus::ok)
        << "of one colour";
}

TEST_F(RawTest, EveryPrefixIsAnError) {
    const Bytes good = encode({.light = [](auto x, auto) { return x * 1000; }});
    for (std::size_t length = 4; length < 600; ++length) {
        EXPECT_NE(status_of({good.data(), length}), ImageStatus::ok) << length;
    }
}

TEST_F(RawTest, ACameraThatNobodyKnowsIsUnsupported) {
    std::string message;
    EXPECT_EQ(status_of(joined({text_bytes("FUJIFILMCCD-RAW "), Bytes(400)}), {}, &message),
              ImageStatus::unsupported);
    EXPECT_TRUE(message.starts_with("camera RAW image cannot be read by this build: ")) << message;
}

std::string_view name_of(const Bytes& image) {
    return recognise(image)->name;
}

/// A first directory of so many pixels with entries of its own, and one below it.
Bytes with_directory_below(const std::vector<Entry>& first, const std::vector<Entry>& below) {
    const auto all = [&](std::size_t at) {
        std::vector<Entry> entries = first;
        entries.push_back({330, u32, number(at, 4)});
        return entries;
    };
    const std::size_t at = tiff_of(all(0)).size();
    return joined({tiff_of(all(at)), directory(below, at)});
}

TEST(CameraTiff, KnownByItsDirectories) {
    const Entry make{271, ascii, text_bytes(std::string_view("NIKON CORPORATION\0", 18))};
    const Entry rgb{262, u16, shorts({2})};
    const Entry jpeg_preview{259, u16, shorts({7})};
    const Entry sensor{262, u16, shorts({32803})};
    const Entry reduced{254, u32, number(1, 4)};
    EXPECT_EQ(name_of(tiff_of({make, rgb})), "tiff") << "a camera maker's program wrote it";
    EXPECT_EQ(name_of(with_directory_below({make, rgb}, {rgb})), "tiff");
    EXPECT_EQ(name_of(tiff_of({rgb, reduced})), "tiff");
    EXPECT_EQ(name_of(tiff_of({rgb, {50706, byte, {1, 4, 0, 0}}})), "raw") << "DNG";
    EXPECT_EQ(name_of(with_directory_below({make, reduced, rgb}, {sensor})), "raw") << "NEF";
    EXPECT_EQ(name_of(with_directory_below({make, jpeg_preview}, {sensor})), "raw") << "ARW";
    EXPECT_EQ(name_of(with_directory_below({make, reduced}, {rgb})), "raw") << "a thumbnail";
    EXPECT_EQ(name_of(tiff_of({{259, u16, shorts({65535})}})), "raw") << "PEF";
    EXPECT_EQ(name_of(with_directory_below({rgb}, {{259, u16, shorts({34713})}})), "raw");
    EXPECT_EQ(name_of(tiff_of({{262, u32, number(34892, 4)}})), "raw") << "linear";
    // In a directory after the first.
    const std::size_t at = tiff_of({rgb}).size();
    EXPECT_EQ(name_of(joined({text_bytes("II"), number(42, 2), number(head_size, 4),
                              directory({rgb}, head_size, at), directory({sensor}, at)})),
              "raw");
}

TEST(CameraTiff, SignaturesOfTheirOwn) {
    using namespace std::string_view_literals;
    for (const std::string_view head :
         {"II\x1A\0\0\0HEAPCCDR\2\0"sv, "II*\0\x08\x0A\0\0IIIITwaR"sv,
          "II*\0\x08\x0A\0\0IIIICwaR"sv, "MM\0*\0\0\x0A\x08MMMMRawT"sv}) {
        EXPECT_EQ(name_of(text_bytes(head)), "raw");
    }
    EXPECT_EQ(name_of(text_bytes("II*\0\x18\0\0\0IIIIIIII"sv)), "tiff") << "pixels of that value";
}

TEST(CameraTiff, HostileDirectories) {
    const Entry rgb{262, u16, shorts({2})};
    // One that leads to itself, by both ways.
    EXPECT_EQ(
        name_of(joined({text_bytes("II"), number(42, 2), number(head_size, 4),
                        directory({rgb, {330, u32, number(head_size, 4)}}, head_size, head_size)})),
        "tiff");
    // Far more directories below than there are.
    Bytes image = tiff_of({rgb, {330, u32, joined({number(8, 4), number(8, 4)})}});
    const Bytes many = number(0xFFFFFFFF, 4);
    std::copy(many.begin(), many.end(), image.begin() + head_size + 2 + 12 + 4);
    EXPECT_EQ(name_of(image), "tiff");
    // None at all, or one that is cut off.
    EXPECT_EQ(name_of(joined({text_bytes("II"), number(42, 2), number(0xFFFFFF00, 4)})), "tiff");
    for (std::size_t length = 4; length < image.size(); ++length) {
        EXPECT_EQ(name_of({image.begin(), image.begin() + static_cast<std::ptrdiff_t>(length)}),
                  "tiff");
    }
}

} // namespace
} // namespace vamhash
