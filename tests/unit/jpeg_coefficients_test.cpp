// Coefficients of JPEGs against those that plain libjpeg reads into memory of its own: all bytes
// where an image is taken, that nothing is taken which decode_grey() would not decode, and that the
// own reader takes what it should and nothing that libjpeg's would not.
#include "codec/jpeg_coefficients.h"

#include "codec/jpeg.h"
#include "hard_jpegs.h"
#include "made_image.h"
#include "made_jpeg.h"
#include "stored_jpeg.h"
#include "test_size.h"

#include <gtest/gtest.h>

#include <cstring>

namespace vamhash {
namespace {

using test::sized;
using test::stride;

/// Tables and blocks as the layout says, by plain libjpeg.
Bytes expected_bytes(const Bytes& image) {
    Bytes bytes;
    test::with_coefficients(image, [&](jpeg_decompress_struct& cinfo, jvirt_barray_ptr* arrays) {
        const auto add = [&](const void* data, std::size_t size) {
            const auto* const first = static_cast<const std::uint8_t*>(data);
            bytes.insert(bytes.end(), first, first + size);
        };
        for (int i = 0; i < cinfo.num_components; ++i) {
            const jpeg_component_info& component = cinfo.comp_info[i];
            add(component.quant_table->quantval, sizeof(component.quant_table->quantval));
            const JDIMENSION step = component.v_samp_factor;
            const JDIMENSION across =
                (component.width_in_blocks + component.h_samp_factor - 1) / component.h_samp_factor;
            for (JDIMENSION row = 0; row < component.height_in_blocks; row += step) {
                JBLOCKARRAY rows = cinfo.mem->access_virt_barray(
                    reinterpret_cast<j_common_ptr>(&cinfo), arrays[i], row, step, FALSE);
                for (JDIMENSION j = 0; j < step; ++j) {
                    add(rows[j], across * component.h_samp_factor * sizeof(JBLOCK));
                }
            }
        }
    });
    return bytes;
}

/// What was read of an image, and into what.
struct Taken {
    std::optional<JpegLayout> layout;
    Bytes bytes; // that were asked for
};

/// Reads into memory that is not zero, between guards, from bytes of the image's own length.
Taken take(std::span<const std::uint8_t> image, const DecodeOptions& options = {},
           CoefficientReaders readers = CoefficientReaders::as_it_pays) {
    constexpr std::size_t guard = 4096;
    constexpr std::uint8_t filling = 0xA5;
    const Bytes exact(image.begin(), image.end());
    std::vector<std::max_align_t> memory;
    std::size_t size = 0;
    int places = 0;
    const auto begin = [&] { return reinterpret_cast<std::uint8_t*>(memory.data()); };
    Taken taken;
    const auto place = [&](std::uint64_t bytes) {
        ++places;
        size = bytes;
        memory.resize((size + 2 * guard) / sizeof(std::max_align_t) + 1);
        std::memset(memory.data(), filling, memory.size() * sizeof(std::max_align_t));
        return begin() + guard;
    };
    taken.layout = read_jpeg_coefficients(exact, options, place, readers);
    EXPECT_LE(places, 1);
    if (places > 0) {
        const auto is_filling = [](std::uint8_t byte) { return byte == filling; };
        EXPECT_TRUE(std::all_of(begin(), begin() + guard, is_filling));
        EXPECT_TRUE(std::all_of(begin() + guard + size, begin() + size + 2 * guard, is_filling));
        taken.bytes.assign(begin() + guard, begin() + guard + size);
    }
    if (taken.layout) {
        EXPECT_EQ(places, 1);
        EXPECT_TRUE(is_valid(*taken.layout));
        EXPECT_EQ(jpeg_bytes(*taken.layout), size);
    }
    return taken;
}

bool is_taken(std::span<const std::uint8_t> image, const DecodeOptions& options = {}) {
    return take(image, options).layout.has_value();
}

bool is_taken_by(CoefficientReaders readers, const Bytes& image) {
    return take(image, {}, readers).layout.has_value();
}

std::string name_of(const JpegShape& shape) {
    return (testing::Message() << shape.width << "x" << shape.height << " space " << shape.stored
                               << " sampling " << shape.h_sampling << "x" << shape.v_sampling << " "
                               << shape.h_chroma << "x" << shape.v_chroma << " quality "
                               << shape.quality << " progressive " << shape.progressive
                               << " arithmetic " << shape.arithmetic << " scans "
                               << shape.scan_per_component << " restart " << shape.restart_rows
                               << " " << shape.restart_mcus)
        .GetString();
}

/// Expects the components as they are in an image.
void expect_same(const Bytes& image, const Taken& taken) {
    ASSERT_TRUE(taken.layout.has_value());
    ASSERT_EQ(taken.bytes, expected_bytes(image));
}

/// Expects an image to be taken by libjpeg's reader, and by the own one if it is of one scan.
void expect_taken(const JpegShape& shape) {
    SCOPED_TRACE(name_of(shape));
    const Bytes image = make_jpeg(shape);
    const Taken taken = take(image, {}, CoefficientReaders::libjpeg);
    ASSERT_NO_FATAL_FAILURE(expect_same(image, taken));
    const bool has_one_scan =
        !shape.progressive && (!shape.scan_per_component || shape.stored == JCS_GRAYSCALE);
    const Taken own = take(image, {}, CoefficientReaders::own);
    ASSERT_EQ(own.layout.has_value(), has_one_scan && !shape.arithmetic);
    if (own.layout) {
        ASSERT_EQ(*own.layout, *taken.layout);
        ASSERT_TRUE(own.bytes == taken.bytes);
    }
    const Taken usual = take(image);
    ASSERT_TRUE(usual.layout.has_value());
    ASSERT_TRUE(usual.bytes == taken.bytes);
    JpegLayout expected{
        .width = shape.width, .height = shape.height, .colour = test::colour_of(shape.stored)};
    const int most_across = std::max(shape.h_sampling, shape.h_chroma);
    const int most_down = std::max(shape.v_sampling, shape.v_chroma);
    if (shape.stored != JCS_GRAYSCALE) {
        const auto sampling = [&](int h, int v) {
            return JpegSampling{.across = static_cast<std::uint8_t>(most_across / h),
                                .down = static_cast<std::uint8_t>(most_down / v)};
        };
        const std::size_t count = shape.pixels == JCS_CMYK ? 4 : 3;
        std::fill_n(expected.sampling.begin(), count, sampling(shape.h_chroma, shape.v_chroma));
        expected.sampling[0] = sampling(shape.h_sampling, shape.v_sampling);
    }
    EXPECT_EQ(*taken.layout, expected);
}

void expect_left(const JpegShape& shape) {
    SCOPED_TRACE(name_of(shape));
    const Bytes image = make_jpeg(shape);
    EXPECT_FALSE(is_taken(image));
    EXPECT_EQ(status_of(image), ImageStatus::ok);
}

/// As many ways to code as there are numbers below 12.
constexpr unsigned codings = 12;
JpegShape with_coding(JpegShape shape, unsigned number) {
    shape.progressive = number % 3 == 1;
    shape.arithmetic = number % 4 == 3;
    shape.optimized = number % 4 == 2 && !shape.progressive;
    shape.scan_per_component = number / 3 % 2 == 1 && !shape.progressive;
    shape.restart_mcus = std::array{0U, 1U, 5U}[number % 7 % 3];
    shape.restart_rows = number % 5 == 4 ? 1 : 0;
    return shape;
}

constexpr std::array<test::Sampling, 3> usual_samplings{{{1, 1}, {2, 1}, {2, 2}}};

TEST(JpegCoefficients, EverySmallSize) {
    unsigned number = 0;
    for (const auto& [h, v] : usual_samplings) {
        for (std::uint32_t width = 1; width <= 40; width += stride(40, 8)) {
            for (std::uint32_t height = 1; height <= 40; height += stride(40, 8)) {
                ASSERT_NO_FATAL_FAILURE(expect_taken(with_coding(
                    {.width = width, .height = height, .h_sampling = h, .v_sampling = v},
                    number++)));
            }
        }
    }
}

TEST(JpegCoefficients, EveryColourAndCoding) {
    struct Colours {
        J_COLOR_SPACE pixels;
        J_COLOR_SPACE stored;
    };
    for (const Colours& colours :
         {Colours{JCS_GRAYSCALE, JCS_GRAYSCALE}, Colours{JCS_RGB, JCS_YCbCr},
          Colours{JCS_RGB, JCS_RGB}, Colours{JCS_CMYK, JCS_CMYK}, Colours{JCS_CMYK, JCS_YCCK}}) {
        for (const auto& [h, v] : usual_samplings) {
            if (colours.stored == JCS_GRAYSCALE && h > 1) {
                continue;
            }
            for (unsigned number = 0; number < codings; ++number) {
                for (const auto& [width, height] :
                     {std::pair{1U, 1U}, {16U, 16U}, {33U, 17U}, {171U, 90U}}) {
                    for (const int quality : {1, 75, 100}) {
                        ASSERT_NO_FATAL_FAILURE(expect_taken(with_coding({.width = width,
                                                                          .height = height,
                                                                          .pixels = colours.pixels,
                                                                          .stored = colours.stored,
                                                                          .h_sampling = h,
                                                                          .v_sampling = v,
                                                                          .quality = quality},
                                                                         number)));
                    }
                }
            }
        }
    }
}

// The first component may be the smaller one, and factors that come to the same ratios will do
// where MCUs are as large.
TEST(JpegCoefficients, OtherFactorsOfTheSameSamplings) {
    for (const auto& [h, v, h_chroma, v_chroma] :
         {std::array{1, 1, 2, 1}, {1, 1, 2, 2}, {2, 2, 2, 1}}) {
        const JpegShape shape{.width = 50,
                              .height = 41,
                              .h_sampling = h,
                              .v_sampling = v,
                              .h_chroma = h_chroma,
                              .v_chroma = v_chroma};
        if (h == h_chroma) { // a component halved in one direction only, downwards
            ASSERT_NO_FATAL_FAILURE(expect_left(shape));
        } else {
            ASSERT_NO_FATAL_FAILURE(expect_taken(shape));
        }
    }
    for (const auto& [h, v, h_chroma, v_chroma] :
         {std::array{2, 2, 2, 2}, {2, 1, 2, 1}, {4, 2, 2, 1}, {3, 1, 3, 1}, {1, 2, 1, 2}}) {
        JpegShape shape{.width = 96,
                        .height = 64,
                        .h_sampling = h,
                        .v_sampling = v,
                        .h_chroma = h_chroma,
                        .v_chroma = v_chroma,
                        .scan_per_component = true};
        ASSERT_NO_FATAL_FAILURE(expect_taken(shape));
        shape.width = h > 1 ? 97 : 96; // whole MCUs are wider than those of the ratios
        shape.height = h > 1 ? 64 : 65;
        ASSERT_NO_FATAL_FAILURE(expect_left(shape));
    }
}

TEST(JpegCoefficients, GreyOfAnyFactors) {
    for (const auto& [h, v] : {std::pair{2, 1}, {1, 2}, {2, 2}, {4, 4}}) {
        JpegShape shape{.width = 32,
                        .height = 96,
                        .pixels = JCS_GRAYSCALE,
                        .stored = JCS_GRAYSCALE,
                        .h_sampling = h,
                        .v_sampling = v};
        ASSERT_NO_FATAL_FAILURE(expect_taken(shape));
        shape.width = 33;
        shape.height = 97;
        ASSERT_NO_FATAL_FAILURE(expect_left(shape));
    }
}

TEST(JpegCoefficients, OtherSamplingsAreLeft) {
    for (const auto& [h, v] : {std::pair{1, 2}, {1, 4}, {4, 1}, {4, 2}, {2, 4}, {3, 1}, {1, 3}}) {
        for (const unsigned number : {0U, 1U, 3U}) {
            ASSERT_NO_FATAL_FAILURE(
                expect_left(with_coding({.h_sampling = h, .v_sampling = v}, number)));
        }
    }
    // A ratio that is no whole number, which libjpeg does not make.
    Bytes image = make_jpeg({.h_sampling = 3, .scan_per_component = true});
    image[find_marker(image, 0xC0) + 14] = 0x21;
    EXPECT_TRUE(take(image).bytes.empty());
}

TEST(JpegCoefficients, LargeImage) {
    for (const unsigned number : {0U, 1U, 3U}) {
        ASSERT_NO_FATAL_FAILURE(
            expect_taken(with_coding({.width = 1021, .height = 803, .quality = 90}, number)));
    }
}

TEST(JpegCoefficients, LargeImagesOfOneScan) {
    for (const JpegShape& shape : test::large_shapes(usual_samplings)) {
        ASSERT_NO_FATAL_FAILURE(expect_taken(shape));
    }
}

TEST(JpegCoefficients, EveryQuality) {
    unsigned number = 0;
    for (int quality = 1; quality <= 100; ++quality) {
        for (const unsigned noise : {1U, 16U, 256U}) {
            const auto& [h, v] = usual_samplings[number++ % usual_samplings.size()];
            ASSERT_NO_FATAL_FAILURE(expect_taken({.width = 213,
                                                  .height = 157,
                                                  .h_sampling = h,
                                                  .v_sampling = v,
                                                  .quality = quality,
                                                  .optimized = number % 2 == 0,
                                                  .noise = noise}));
        }
    }
}

TEST(JpegCoefficients, LongCodes) {
    for (const JpegShape& shape : test::long_code_shapes(usual_samplings)) {
        ASSERT_NO_FATAL_FAILURE(expect_taken(shape));
    }
}

/// A grey image one block high whose scan has these bits, by the tables of the standard.
Bytes with_scan_bits(std::uint32_t blocks, std::string bits) {
    const Bytes image = make_jpeg({.width = blocks * 8,
                                   .height = 8,
                                   .pixels = JCS_GRAYSCALE,
                                   .stored = JCS_GRAYSCALE,
                                   .h_sampling = 1,
                                   .v_sampling = 1});
    const std::size_t scan = find_marker(image, 0xDA) + 10;
    Bytes made(image.begin(), image.begin() + static_cast<std::ptrdiff_t>(scan));
    bits.append((8 - bits.size() % 8) % 8, '1');
    for (std::size_t i = 0; i < bits.size(); i += 8) {
        made.push_back(static_cast<std::uint8_t>(std::stoi(bits.substr(i, 8), nullptr, 2)));
        if (made.back() == 0xFF) {
            made.push_back(0);
        }
    }
    return joined({made, {0xFF, JPEG_EOI}});
}

// All of these libjpeg takes without a warning.
TEST(JpegCoefficients, LimitsOfBlocks) {
    const std::string no_difference = "00";
    const std::string end = "1010";
    const std::string run_of_16 = "11111111001";
    const std::string runs_of_48 = run_of_16 + run_of_16 + run_of_16;
    const std::string last = "1111111111101011"
                             "1"; // 14 zeros, and a 1
    const std::string beyond = "1111111111110101"
                               "1"; // 15 zeros, and a 1
    std::string large_difference = "111111110"
                                   "11111111111";
    std::string sum_of_16; // differences of 2047
    for (int i = 0; i < 16; ++i) {
        sum_of_16 += large_difference + end;
    }
    struct Limit {
        std::uint32_t blocks;
        std::string bits;
        bool is_own;
    };
    for (const Limit& limit :
         {Limit{1, no_difference + end, true}, Limit{1, no_difference + runs_of_48 + last, true},
          Limit{2, no_difference + runs_of_48 + last + no_difference + end, true},
          Limit{2, no_difference + end + no_difference + runs_of_48 + last, true},
          Limit{1, no_difference + runs_of_48 + end, true},
          Limit{1, no_difference + runs_of_48 + beyond, false},
          Limit{1, no_difference + runs_of_48 + run_of_16, false}, Limit{16, sum_of_16, true},
          Limit{17, sum_of_16 + large_difference + end, false}}) {
        SCOPED_TRACE(limit.bits);
        const Bytes image = with_scan_bits(limit.blocks, limit.bits);
        const Taken taken = take(image, {}, CoefficientReaders::libjpeg);
        ASSERT_NO_FATAL_FAILURE(expect_same(image, taken));
        const Taken own = take(image, {}, CoefficientReaders::own);
        ASSERT_EQ(own.layout.has_value(), limit.is_own);
        if (own.layout) {
            EXPECT_EQ(own.bytes, taken.bytes);
        }
    }
}

// libjpeg has a warning for some of these, and passes over others.
TEST(JpegCoefficients, OwnReaderWantsNothingBetweenBitsAndMarkers) {
    const Bytes image = make_jpeg({.restart_mcus = 4});
    ASSERT_TRUE(is_taken_by(CoefficientReaders::own, image));
    for (const std::size_t marker : {find_marker(image, JPEG_RST0), image.size() - 2}) {
        for (const Bytes& inserted :
             {Bytes{0xFF}, Bytes{0}, Bytes{0x55, 0x55}, Bytes{0xFF, 0xFE, 0, 2},
              Bytes{0xFF, JPEG_RST0 + 1}, Bytes{0xFF, 0}}) {
            EXPECT_FALSE(
                is_taken_by(CoefficientReaders::own, with_inserted(image, marker, inserted)));
        }
        EXPECT_FALSE(is_taken_by(CoefficientReaders::own, with_byte(image, marker + 1, 0xD5)));
    }
    EXPECT_TRUE(is_taken_by(CoefficientReaders::own, joined({image, Bytes(1000, 0x55)})));
}

/// A frame's tables as an image of their own, before an image without them.
Bytes with_tables_apart(const Bytes& image) {
    const std::size_t first = find_marker(image, 0xDB);
    const std::size_t end = find_marker(image, 0xC0);
    const auto at = [&](std::size_t offset) {
        return image.begin() + static_cast<std::ptrdiff_t>(offset);
    };
    return joined({{0xFF, 0xD8},
                   Bytes(at(first), at(end)),
                   {0xFF, JPEG_EOI},
                   Bytes(at(0), at(first)),
                   Bytes(at(end), image.end())});
}

TEST(JpegCoefficients, TablesApartAndBytesBehind) {
    const Bytes image = make_jpeg({});
    const Taken plain = take(image);
    for (const Bytes& same :
         {with_tables_apart(image), joined({image, Bytes(1000, 0x55)}), joined({image, image}),
          with_inserted(image, image.size() - 2, {0xFF, 0xFE, 0, 4, 1, 2})}) {
        const Taken taken = take(same);
        EXPECT_EQ(taken.layout, plain.layout);
        EXPECT_EQ(taken.bytes, plain.bytes);
    }
}

// Two components share a table's number, and it is another table for the second one.
TEST(JpegCoefficients, TablesThatChangeBetweenScans) {
    Bytes image = make_jpeg({.h_sampling = 1, .v_sampling = 1, .scan_per_component = true});
    std::size_t second_scan = find_marker(image, 0xDA) + 1;
    while (image[second_scan] != 0xFF || image[second_scan + 1] != 0xDA) {
        ++second_scan;
    }
    for (std::size_t component = 0; component < 3; ++component) {
        image[find_marker(image, 0xC0) + 12 + 3 * component] = 0;
    }
    Bytes table{0xFF, 0xDB, 0, 67, 0};
    for (std::uint8_t i = 0; i < 64; ++i) {
        table.push_back(static_cast<std::uint8_t>(i + 1));
    }
    image = with_inserted(image, second_scan, table);
    const Taken taken = take(image);
    ASSERT_NO_FATAL_FAILURE(expect_same(image, taken));
    const std::uint64_t chroma = jpeg_component(*taken.layout, 1).offset;
    EXPECT_EQ(taken.bytes[chroma], 1);
    EXPECT_EQ(taken.bytes[chroma + 2], 2);
    EXPECT_EQ(taken.bytes[chroma + 16], 3); // the third of the zigzag is the first of row 1
    EXPECT_NE(taken.bytes[0], 1);
}

TEST(JpegCoefficients, NoMemory) {
    int places = 0;
    EXPECT_FALSE(read_jpeg_coefficients(make_jpeg({}), {}, [&](std::uint64_t) {
        ++places;
        return nullptr;
    }));
    EXPECT_EQ(places, 1);
    EXPECT_FALSE(read_jpeg_coefficients(
        make_jpeg({}), {}, [](std::uint64_t) -> std::uint8_t* { throw std::bad_alloc(); }));
}

TEST(JpegCoefficients, Options) {
    const Bytes image = make_jpeg({});
    EXPECT_FALSE(is_taken(image, {.fast = true}));
    EXPECT_TRUE(is_taken(image, {.orient = true, .keep_truncated = true}));
    EXPECT_TRUE(is_taken(image, {.max_pixels = 45 * 70}));
    const Taken too_large = take(image, {.max_pixels = 45 * 70 - 1});
    EXPECT_FALSE(too_large.layout.has_value());
    EXPECT_TRUE(too_large.bytes.empty());
}

TEST(JpegCoefficients, OtherKindsAreLeft) {
    const Bytes plain = make_jpeg({});
    const std::size_t frame = find_marker(plain, 0xC0);
    EXPECT_FALSE(is_taken(with_byte(plain, frame + 4, 12))); // bits of a sample
    EXPECT_FALSE(is_taken(with_byte(plain, frame + 1, 0xC3)));
    EXPECT_FALSE(is_taken({}));
    EXPECT_FALSE(is_taken(golden_image("bmp-grey_8.bmp")));
}

TEST(JpegCoefficients, ScansAreBounded) {
    const Bytes image = make_jpeg({.width = 16, .height = 16, .scan_per_component = true});
    std::size_t last_scan = 0;
    for (std::size_t i = 0; i + 1 < image.size(); ++i) {
        last_scan = image[i] == 0xFF && image[i + 1] == 0xDA ? i : last_scan;
    }
    const Bytes scan(image.begin() + static_cast<std::ptrdiff_t>(last_scan), image.end() - 2);
    Bytes repeated(image.begin(), image.end() - 2);
    for (const int scans : {400, 200}) {
        for (int i = 0; i < scans; ++i) {
            repeated.insert(repeated.end(), scan.begin(), scan.end());
        }
        EXPECT_EQ(is_taken(joined({repeated, {0xFF, JPEG_EOI}})), scans == 400);
    }
}

// A second scan of all components is none that decode_grey() ever gets to.
TEST(JpegCoefficients, ScanBehindTheOnlyOne) {
    const Bytes image = make_jpeg({});
    const auto scan = image.begin() + static_cast<std::ptrdiff_t>(find_marker(image, 0xDA));
    Bytes twice(image.begin(), image.end() - 2);
    twice.insert(twice.end(), scan, image.end());
    EXPECT_FALSE(is_taken(twice));
}

TEST(JpegCoefficients, ComponentWithoutScan) {
    const Bytes image = make_jpeg({.scan_per_component = true});
    std::size_t last_scan = 0;
    for (std::size_t i = 0; i + 1 < image.size(); ++i) {
        last_scan = image[i] == 0xFF && image[i + 1] == 0xDA ? i : last_scan;
    }
    const Bytes cut(image.begin(), image.begin() + static_cast<std::ptrdiff_t>(last_scan));
    EXPECT_FALSE(is_taken(joined({cut, {0xFF, JPEG_EOI}})));
}

// libjpeg smooths these, each version of it otherwise.
TEST(JpegCoefficients, ProgressiveWithoutAllScans) {
    for (const bool arithmetic : {false, true}) {
        const Bytes image = make_jpeg({.progressive = true, .arithmetic = arithmetic});
        std::size_t scans = 0;
        for (std::size_t i = 0; i + 1 < image.size(); ++i) {
            if (image[i] == 0xFF && image[i + 1] == 0xDA && scans++ > 0) {
                const Bytes cut(image.begin(), image.begin() + static_cast<std::ptrdiff_t>(i));
                const Bytes ended = joined({cut, {0xFF, JPEG_EOI}});
                EXPECT_FALSE(is_taken(ended));
                EXPECT_EQ(status_of(ended), ImageStatus::ok);
            }
        }
        EXPECT_EQ(scans, 10U);
        EXPECT_TRUE(is_taken(image));
    }
}

TEST(JpegCoefficients, CommittedImages) {
    std::size_t taken = 0;
    for (const auto& entry :
         std::filesystem::directory_iterator(std::filesystem::path(VAMHASH_TEST_DATA) / "images")) {
        const std::string name = entry.path().filename().string();
        const Bytes image = golden_image(name);
        const Taken coefficients = take(image);
        if (coefficients.layout) {
            ASSERT_TRUE(name.starts_with("jpeg-")) << name;
            ASSERT_NO_FATAL_FAILURE(expect_same(image, coefficients)) << name;
            ++taken;
        }
    }
    EXPECT_GT(taken, 100U);
}

/// One small image of each coding, colour and sampling.
std::vector<Bytes> victims() {
    std::vector<JpegShape> shapes;
    for (unsigned number = 0; number < codings; ++number) {
        const auto& [h, v] = usual_samplings[number % usual_samplings.size()];
        shapes.push_back(with_coding(
            {.width = 45, .height = 37, .h_sampling = h, .v_sampling = v, .quality = 50}, number));
    }
    shapes.push_back({.width = 40, .height = 30, .quality = 95, .restart_mcus = 2});
    shapes.push_back(
        {.width = 20, .height = 30, .pixels = JCS_CMYK, .stored = JCS_YCCK, .progressive = true});
    return test::victims_of(shapes);
}

TEST(JpegCoefficients, TruncatedAreLeft) {
    for (const Bytes& image : victims()) {
        ASSERT_TRUE(is_taken(image));
        for (std::size_t size = 0; size < image.size(); size += stride(image.size())) {
            for (const bool keep_truncated : {false, true}) {
                ASSERT_FALSE(
                    is_taken(std::span(image.data(), size), {.keep_truncated = keep_truncated}))
                    << size;
            }
            ASSERT_FALSE(
                take(std::span(image.data(), size), {}, CoefficientReaders::own).layout.has_value())
                << size;
        }
    }
}

/// Counts of damaged images.
struct Counts {
    std::size_t taken = 0;
    std::size_t own = 0; // of those
    std::size_t left = 0;
};

/// Expects that a damaged image is taken as libjpeg takes it, and only if it decodes as a whole.
void expect_harmless(const Bytes& image, Counts& counts) {
    constexpr std::uint64_t max_pixels = 1'000'000; // so that no flipped size makes the test slow
    const Taken taken = take(image, {.max_pixels = max_pixels}, CoefficientReaders::libjpeg);
    const Taken own = take(image, {.max_pixels = max_pixels}, CoefficientReaders::own);
    if (own.layout) {
        ++counts.own;
        ASSERT_TRUE(taken.layout.has_value());
        ASSERT_EQ(*own.layout, *taken.layout);
        ASSERT_TRUE(own.bytes == taken.bytes);
    }
    if (!taken.layout) {
        ++counts.left;
        return;
    }
    ++counts.taken;
    PictureSink sink;
    ImageInfo info;
    ASSERT_NO_THROW(
        info = decode_grey(
            image, {.keep_truncated = counts.taken % 2 == 0, .max_pixels = max_pixels}, sink));
    EXPECT_TRUE(sink.picture.complete());
    EXPECT_EQ(info.truncated, "");
    EXPECT_EQ(info.width, taken.layout->width);
    EXPECT_EQ(info.height, taken.layout->height);
    ASSERT_NO_FATAL_FAILURE(expect_same(image, taken));
}

TEST(JpegCoefficients, FlippedBits) {
    Counts counts;
    ASSERT_NO_FATAL_FAILURE(
        test::flip_bits(victims(), 3, [&](const Bytes& image) { expect_harmless(image, counts); }));
    EXPECT_GT(counts.taken, sized(1000, 100));
    EXPECT_GT(counts.own, sized(1000, 50));
    EXPECT_GT(counts.left, sized(1000, 100));
}

TEST(JpegCoefficients, RandomDamage) {
    Counts counts;
    ASSERT_NO_FATAL_FAILURE(
        test::damage_at_random(victims(), sized(10'000, 500),
                               [&](const Bytes& image) { expect_harmless(image, counts); }));
    EXPECT_GT(counts.taken, sized(1000, 50));
    EXPECT_GT(counts.own, sized(1000, 20));
    EXPECT_GT(counts.left, sized(1000, 50));
}

} // namespace
} // namespace vamhash
