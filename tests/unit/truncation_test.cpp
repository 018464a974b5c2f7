// Truncated images: what is kept of them hashes as ImageHash on Pillow with LOAD_TRUNCATED_IMAGES
// (truncated.tsv; tests/exactness/truncations.py explains it), and wherever a file is cut it is
// truncated: never corrupt, and ok only where the picture is whole.
#include "codec/jpeg.h"

#include "golden_file.h"
#include "made_image.h"
#include "test_size.h"

#include <gtest/gtest.h>

#include <bit>
#include <cctype>
#include <optional>

#include <jpeglib.h>

namespace vamhash {
namespace {

const Golden& golden() {
    static const Golden instance = read_golden("truncated.tsv");
    return instance;
}

const Bytes& whole_image(const std::string& name) {
    static std::map<std::string, Bytes> images;
    Bytes& image = images[name];
    if (image.empty()) {
        image = read_data(name);
    }
    return image;
}

/// Whether the JPEG library smooths between the blocks of a truncated picture as Pillow's does: a
/// progressive one with vertical subsampling (tests/data/README.md).
bool library_decodes_alike(const GoldenLine& line) {
#if defined(LIBJPEG_TURBO_VERSION_NUMBER) && LIBJPEG_TURBO_VERSION_NUMBER >= 3000001
    return !line["kind"].empty();
#else
    return line["kind"] != "jpeg-progressive";
#endif
}

/// The bytes that a line is about, in a buffer of their own length.
Bytes cut_image(const GoldenLine& line) {
    const Bytes& whole = whole_image(line["file"]);
    return {whole.begin(), whole.begin() + std::stoll(line["option"])};
}

/// What becomes of an image where truncated ones are kept.
struct Outcome {
    ImageStatus status = ImageStatus::ok;
    bool kept = false; // though truncated
    std::string message;
    GreyPicture picture;
};

Outcome decode_keeping(const Bytes& image, DecodeOptions options = {}) {
    options.keep_truncated = true;
    Outcome outcome;
    PictureSink sink;
    try {
        outcome.message = decode_grey(image, options, sink).truncated;
    } catch (const ImageError& error) {
        outcome.status = error.status();
        outcome.message = error.what();
        return outcome;
    }
    EXPECT_TRUE(sink.picture.complete());
    outcome.kept = !outcome.message.empty();
    outcome.status = outcome.kept ? ImageStatus::truncated : ImageStatus::ok;
    outcome.picture = sink.picture;
    return outcome;
}

Bytes first_bytes(const Bytes& image, std::size_t size) {
    return {image.begin(), image.begin() + static_cast<std::ptrdiff_t>(size)};
}

class Truncation : public testing::TestWithParam<Isa> {};

TEST_P(Truncation, HashesAsImageHashDoes) {
    std::size_t kept = 0;
    std::size_t refused = 0;
    std::size_t smoothed = 0;
    for (const GoldenLine& line : test::thinned(golden().lines)) {
        SCOPED_TRACE(line["file"] + " " + line["option"]);
        const DecodeOptions options{.orient = line["option"].ends_with("orient"),
                                    .keep_truncated = true};
        std::optional<HashedImage> image;
        try {
            image = hash_image(cut_image(line), hash_all, options, GetParam());
        } catch (const ImageError& error) {
            EXPECT_EQ(error.status(), ImageStatus::truncated) << error.what();
        }
        EXPECT_EQ(image.has_value(), line["dhash"] != "-");
        if (!image || line["dhash"] == "-") {
            ++refused;
            continue;
        }
        ++kept;
        EXPECT_EQ(std::to_string(image->info.width), line["width"]);
        EXPECT_EQ(std::to_string(image->info.height), line["height"]);
        if (!library_decodes_alike(line)) {
            ++smoothed; // what was measured is 8 bits at most
            EXPECT_LE(std::popcount(image->hashes.dhash ^ line.exact("dhash")), 8);
            continue;
        }
        for (const NamedHash& hash : named_hashes) {
            EXPECT_EQ(hex(image->hashes.*hash.value), hex(line.exact(hash.name))) << hash.name;
        }
    }
    if (smoothed != 0) {
        std::printf("%zu of %zu kept: this libjpeg smooths incomplete JPEGs differently\n",
                    smoothed, kept);
    }
    EXPECT_GT(kept, test::sized(500, 50));
    EXPECT_GT(refused, test::sized(100, 10));
}

INSTANTIATE_TEST_SUITE_P(EveryIsa, Truncation, testing::ValuesIn(available_isas()),
                         [](const testing::TestParamInfo<Isa>& info) {
                             return std::string(isa_name(info.param));
                         });

/// How many bytes tell the format.
std::size_t signature_size(std::string_view name) {
    for (const auto& [format, size] : {std::pair<std::string_view, std::size_t>{"jpeg", 3},
                                       {"png", 8},
                                       {"webp", 12},
                                       {"gif", 6},
                                       {"bmp", 18}}) {
        if (name.starts_with("images/" + std::string(format))) {
            return size;
        }
    }
    return 4; // TIFF
}

class CutEverywhere : public testing::TestWithParam<const char*> {};

TEST_P(CutEverywhere, IsTruncatedOrWhole) {
    const Bytes whole = read_data(GetParam());
    const Outcome whole_outcome = decode_keeping(whole, {.orient = true});
    ASSERT_EQ(whole_outcome.status, ImageStatus::ok) << whole_outcome.message;
    bool kept_before = false;
    for (std::size_t size = 1; size < whole.size(); size += test::stride(whole.size())) {
        SCOPED_TRACE(size);
        const Bytes image = first_bytes(whole, size);
        const ImageStatus strict = status_of(image, {.orient = true});
        const Outcome outcome = decode_keeping(image, {.orient = true});
        ASSERT_EQ(outcome.status, strict) << outcome.message;
        if (size < signature_size(GetParam())) {
            ASSERT_EQ(strict, ImageStatus::unsupported);
            continue;
        }
        if (strict == ImageStatus::ok) {
            ASSERT_EQ(outcome.picture.pixels, whole_outcome.picture.pixels);
            continue;
        }
        ASSERT_EQ(strict, ImageStatus::truncated) << outcome.message;
        ASSERT_NE(outcome.message.find(" image is truncated: "), std::string::npos);
        ASSERT_TRUE(outcome.kept || !kept_before) << "less was kept";
        kept_before = outcome.kept;
        if (outcome.kept) {
            ASSERT_EQ(outcome.picture.pixels.size(), whole_outcome.picture.pixels.size());
        }
    }
    const std::string_view name = GetParam();
    const bool is_refused = name.find("webp") != std::string_view::npos ||
                            name.find("arithmetic") != std::string_view::npos ||
                            name.find("rle") != std::string_view::npos ||
                            name.find("1x1") != std::string_view::npos ||
                            name.find("lzw") != std::string_view::npos ||
                            name.find("images/tiff") != std::string_view::npos;
    EXPECT_EQ(kept_before, !is_refused);
}

INSTANTIATE_TEST_SUITE_P(
    SmallImages, CutEverywhere,
    testing::Values("images/jpeg-restart_1.jpg", "images/jpeg-progressive_default.jpg",
                    "images/jpeg-progressive_restart.jpg", "images/jpeg-progressive_refined.jpg",
                    "images/jpeg-separate_444.jpg", "images/jpeg-cmyk_adobe.jpg",
                    "images/jpeg-grey_3_3x1.jpg", "images/jpeg-sampling_420_17x19_q60.jpg",
                    "images/jpeg-sampling_441_17x19_q60.jpg", "images/jpeg-container_thumbnail.jpg",
                    "images/jpeg-container_mpo.jpg", "images/jpeg-arithmetic_420.jpg",
                    "images/jpeg-arithmetic_progressive.jpg", "images/png-grey_8_0.png",
                    "images/png-grey_1_1.png", "images/png-chunks_animated.png",
                    "images/png-chunks_many-data.png", "images/png-palette_8_5-entries_0-alpha.png",
                    "images/png-rgb_8-interlaced_1.png", "images/png-grey_2-interlaced_0.png",
                    "images/gif-palette_16.gif", "images/gif-palette_4-interlaced.gif",
                    "images/gif-frame_local.gif", "images/gif-frame_animated.gif",
                    "images/gif-coding_small-blocks.gif", "images/gif-size_1x1.gif",
                    "images/bmp-palette_4_16-entries_header-40.bmp", "images/bmp-fields_565.bmp",
                    "images/bmp-size_2x3.bmp", "images/bmp-size_1x1.bmp",
                    "images/bmp-rle_4_16-entries_literals.bmp", "images/tiff-rgb_5.tif",
                    "images/tiff-fax_group4_99x70.tif", "images/tiff-jpeg_rgb_0.tif",
                    "cut/tiff-front_rgb.tif", "cut/tiff-front_palette-4.tif",
                    "cut/tiff-front_rgb-tiles.tif", "cut/tiff-front_rgb-planes.tif",
                    "cut/tiff-front_big.tif", "cut/tiff-front_lzw.tif", "images/webp-lossy_q5.webp",
                    "images/webp-lossless_2-colours.webp", "images/webp-lossy-alpha_q40_100.webp",
                    "images/webp-animated_inside.webp"),
    [](const testing::TestParamInfo<const char*>& info) {
        std::string name = info.param;
        std::replace_if(
            name.begin(), name.end(), [](char c) { return std::isalnum(c) == 0; }, '_');
        return name;
    });

/// Where each marker of this kind stands in a JPEG.
std::vector<std::size_t> markers(const Bytes& image, std::uint8_t marker) {
    std::vector<std::size_t> found;
    for (std::size_t i = 2; i + 1 < image.size(); ++i) {
        if (image[i] == 0xFF && image[i + 1] == marker) {
            found.push_back(i);
        }
    }
    return found;
}

TEST(JpegTruncation, SegmentBetweenScansIsLeftOut) {
    const Bytes whole = golden_image("jpeg-progressive_default.jpg");
    for (const std::uint8_t marker : {0xC4, 0xDA}) { // Huffman table, scan
        for (const std::size_t at : markers(whole, marker)) {
            if (at < markers(whole, 0xDA).front() + 20) {
                continue;
            }
            const GreyPicture before = decode_keeping(first_bytes(whole, at)).picture;
            ASSERT_TRUE(before.complete());
            const std::size_t size = 2 + (std::size_t{whole[at + 2]} << 8U | whole[at + 3]);
            for (std::size_t i = 1; i < size; ++i) {
                ASSERT_EQ(decode_keeping(first_bytes(whole, at + i)).picture.pixels, before.pixels)
                    << at << " + " << i;
            }
        }
    }
}

class JpegTruncationByIsa : public testing::TestWithParam<Isa> {};

TEST_P(JpegTruncationByIsa, PixelsAreTheScalarOnes) {
    for (const char* name :
         {"jpeg-sampling_420_113x150_q60.jpg", "jpeg-sampling_422_131x97_q90.jpg",
          "jpeg-sampling_444_101x67_q75.jpg", "jpeg-restart_7.jpg", "jpeg-separate_420.jpg",
          "jpeg-progressive_default.jpg"}) {
        const Bytes whole = golden_image(name);
        for (std::size_t size = whole.size() / 5; size < whole.size();
             size += 7 * test::stride(whole.size() / 7)) {
            const Bytes image = first_bytes(whole, size);
            if (!decode_keeping(image).kept) {
                continue; // cut in the header
            }
            PictureSink expected;
            PictureSink sink;
            decode_jpeg(image, {.keep_truncated = true}, expected, Isa::scalar);
            decode_jpeg(image, {.keep_truncated = true}, sink, GetParam());
            ASSERT_EQ(sink.picture.pixels, expected.picture.pixels) << name << " " << size;
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Isas, JpegTruncationByIsa, testing::ValuesIn(available_isas()),
                         [](const auto& info) { return std::string(isa_name(info.param)); });

TEST(Truncation, SaysWhatIsMissing) {
    const auto message = [](const char* name, std::size_t size) {
        return decode_keeping(first_bytes(read_data(name), size)).message;
    };
    const auto size = [](const char* name) { return read_data(name).size(); };
    const char* const jpeg = "images/jpeg-photo_field.jpg"; // 640 x 360
    EXPECT_EQ(message(jpeg, size(jpeg) / 2),
              "JPEG image is truncated: the data ends in row 145 of 360");
    EXPECT_EQ(message(jpeg, size(jpeg) - 2), "JPEG image is truncated: its end marker is missing");
    const char* const progressive = "images/jpeg-progressive_default.jpg";
    EXPECT_EQ(message(progressive, 480), "JPEG image is truncated: the data ends in scan 4");
    EXPECT_EQ(message(progressive, size(progressive) - 2),
              "JPEG image is truncated: the data ends after scan 10");
    const char* const png = "images/png-rgb_8_1.png";
    EXPECT_EQ(message(png, size(png) / 2), "PNG image is truncated: the data ends in row 46 of 97");
    EXPECT_EQ(message(png, size(png) - 13),
              "PNG image is truncated: the end of the image data is missing");
    const char* const interlaced = "images/png-rgb_8-interlaced_1.png";
    EXPECT_EQ(message(interlaced, size(interlaced) / 2),
              "PNG image is truncated: the data ends in pass 6 of 7");
    const char* const gif = "images/gif-coding_small-blocks.gif";
    EXPECT_EQ(message(gif, size(gif) * 9 / 10),
              "GIF image is truncated: the data ends in row 99 of 110");
    const char* const bmp = "images/bmp-rgb_24.bmp";
    EXPECT_EQ(message(bmp, size(bmp) / 2), "BMP image is truncated: the data ends in row 27 of 53");
    const char* const tiff = "cut/tiff-front_rgb-planes.tif"; // 64 x 48, in strips of 9 rows
    EXPECT_EQ(message(tiff, size(tiff) - 1), "TIFF image is truncated: the data ends in row 48 of "
                                             "48");
}

TEST(Truncation, RowsBeforeTheEndAreThere) {
    for (const char* name :
         {"images/jpeg-photo_field.jpg", "images/jpeg-photo_man-grey.jpg",
          "images/png-photo_field-small.png", "images/gif-coding_small-blocks.gif",
          "images/bmp-rgb_24-top-down.bmp", "cut/tiff-front_rgb-strips.tif"}) {
        const Bytes whole = read_data(name);
        const GreyPicture expected = picture_of(whole);
        for (const std::size_t percent : {70U, 80U, 90U, 97U}) {
            SCOPED_TRACE(name + (" " + std::to_string(percent)));
            const Outcome outcome =
                decode_keeping(first_bytes(whole, whole.size() * percent / 100));
            const std::string words = "the data ends in row ";
            const std::size_t at = outcome.message.find(words);
            ASSERT_NE(at, std::string::npos) << outcome.message;
            const std::size_t row = std::stoul(outcome.message.substr(at + words.size())) - 1;
            // The last row that is there takes some of its colour from one that is not.
            const std::size_t same = (row - (row != 0 ? 1 : 0)) * expected.width;
            EXPECT_TRUE(std::equal(expected.pixels.begin(),
                                   expected.pixels.begin() + static_cast<std::ptrdiff_t>(same),
                                   outcome.picture.pixels.begin()));
            EXPECT_NE(outcome.picture.pixels, expected.pixels);
            // Of the others, behind a row of blocks, few pixels can be the same by chance.
            std::size_t differing = 0;
            const std::size_t end = expected.pixels.size();
            const std::size_t begin = std::min((row + 16) * expected.width, end);
            for (std::size_t i = begin; i < end; ++i) {
                differing += expected.pixels[i] != outcome.picture.pixels[i] ? 1 : 0;
            }
            EXPECT_GE(differing * 10, (end - begin) * 9);
        }
    }
}

TEST(Truncation, CorruptStaysCorrupt) {
    Bytes jpeg = golden_image("jpeg-photo_man-grey.jpg");
    jpeg.resize(jpeg.size() / 2);
    jpeg.insert(jpeg.end(), {0xFF, 0xD9});
    EXPECT_EQ(decode_keeping(jpeg).status, ImageStatus::corrupt);
    Bytes restart = golden_image("jpeg-restart_1.jpg");
    restart[markers(restart, 0xD1).front() + 1] = 0xD6;
    EXPECT_EQ(decode_keeping(first_bytes(restart, restart.size() - 2)).status,
              ImageStatus::corrupt);
    Bytes png = golden_image("png-photo_man-4-bit.png");
    png[png.size() / 4] ^= 0xFF;
    png.resize(png.size() / 2);
    EXPECT_EQ(decode_keeping(png).status, ImageStatus::corrupt);
    Bytes gif = golden_image("gif-palette_256.gif");
    std::fill_n(gif.begin() + static_cast<std::ptrdiff_t>(gif.size() / 2), 20, std::uint8_t{0xFF});
    EXPECT_EQ(decode_keeping(first_bytes(gif, gif.size() - 20)).status, ImageStatus::corrupt);
}

TEST(Truncation, FlippedBitsAreHarmless) {
    for (const char* name :
         {"jpeg-restart_1.jpg", "jpeg-progressive_default.jpg", "png-rgb_8-interlaced_1.png",
          "png-grey_8_0.png", "gif-palette_4-interlaced.gif", "bmp-size_2x3.bmp"}) {
        const Bytes whole = golden_image(name);
        const Bytes good = first_bytes(whole, whole.size() * 3 / 4);
        for (std::size_t bit = 0; bit < good.size() * 8; bit += 3) {
            Bytes image = good;
            image[bit / 8] ^= static_cast<std::uint8_t>(1U << bit % 8);
            decode_keeping(image, {.fast = bit % 2 == 0, .max_pixels = 100'000});
        }
    }
}

} // namespace
} // namespace vamhash
