// The hashes of whole images: ImageHash's own answers (tests/data/hash_vectors.tsv, written by
// make_hash_vectors.py there) for pictures made by formulas, on every instruction set and however
// the rows are grouped.
#include "codec/image.h"
#include "hash/image_hasher.h"
#include "simd/isa.h"
#include "test_size.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <functional>
#include <optional>
#include <random>
#include <sstream>
#include <string>
#include <vector>

namespace vamhash {
namespace {

using Pixels = std::vector<std::uint8_t>;

struct Picture {
    std::uint32_t width;
    std::uint32_t height;
    Pixels pixels;
};

// The formulas of make_hash_vectors.py, in the same integers.

std::int64_t noise(std::int64_t x, std::int64_t y) {
    auto v = static_cast<std::uint32_t>(x * 73856093 ^ y * 19349663);
    v = (v ^ v >> 15) * 2246822519U;
    v = (v ^ v >> 13) * 3266489917U;
    return (v ^ v >> 16) & 255;
}

std::int64_t triangle(std::int64_t v) {
    v %= 510;
    return v > 255 ? 510 - v : v;
}

std::int64_t value_at(const std::string& formula, std::int64_t x, std::int64_t y, std::int64_t w,
                      std::int64_t h) {
    if (formula == "noise")
        return noise(x, y);
    if (formula == "waves") {
        const std::int64_t a = triangle(x * 700 / w + y * 300 / h);
        const std::int64_t b = triangle(x * 150 / w + 900 * y / h + 77);
        return (3 * a + 4 * b + noise(x, y)) / 8;
    }
    if (formula == "blocks")
        return noise(x * 6 / w, y * 7 / h);
    if (formula == "black_white")
        return (noise(x, y) & 1) * 255;
    ADD_FAILURE() << "unknown formula " << formula;
    return 0;
}

Picture make_picture(const std::string& formula, std::uint32_t width, std::uint32_t height) {
    Picture picture{.width = width, .height = height, .pixels = {}};
    for (std::uint32_t y = 0; y < height; ++y) {
        for (std::uint32_t x = 0; x < width; ++x) {
            picture.pixels.push_back(
                static_cast<std::uint8_t>(value_at(formula, x, y, width, height)));
        }
    }
    return picture;
}

/// Hashes a picture, handing over as many rows a call as `next_count` says. Each call's rows lie in
/// memory of their own, so that a sanitizer sees a read past them.
ImageHashes hash(const Picture& picture, Isa isa, const std::function<std::uint32_t()>& next_count,
                 std::uint32_t wanted = hash_all) {
    ImageHasher hasher(wanted, isa);
    hasher.start(picture.width, picture.height);
    const auto stride = static_cast<std::ptrdiff_t>(picture.width);
    for (std::uint32_t y = 0; y < picture.height;) {
        const std::uint32_t count = std::min(next_count(), picture.height - y);
        const Pixels rows(picture.pixels.begin() + y * stride,
                          picture.pixels.begin() + (y + count) * stride);
        hasher.rows(rows.data(), picture.width, count);
        y += count;
    }
    return hasher.finish();
}

ImageHashes hash(const Picture& picture, Isa isa, std::uint32_t rows_a_call,
                 std::uint32_t wanted = hash_all) {
    return hash(
        picture, isa, [=] { return rows_a_call; }, wanted);
}

struct Vector {
    std::string formula;
    std::uint32_t width = 0;
    std::uint32_t height = 0;
    std::optional<std::uint64_t> dhash;
    std::optional<std::uint64_t> ahash;
    std::optional<std::uint64_t> phash; // none where ImageHash's answer is rounding noise
    std::optional<std::uint64_t> whash;
};

std::vector<Vector> read_vectors() {
    std::ifstream file(VAMHASH_TEST_DATA "/hash_vectors.tsv");
    std::vector<Vector> vectors;
    std::string line;
    std::getline(file, line); // names of the columns
    while (std::getline(file, line)) {
        std::istringstream fields(line);
        Vector vector;
        fields >> vector.formula >> vector.width >> vector.height;
        for (auto* hash : {&vector.dhash, &vector.ahash, &vector.phash, &vector.whash}) {
            std::string text;
            fields >> text;
            if (text != "-")
                *hash = std::stoull(text, nullptr, 16);
        }
        vectors.push_back(vector);
    }
    return vectors;
}

TEST(ImageHasher, GivesImageHashsAnswers) {
    const std::vector<Vector> vectors = read_vectors();
    ASSERT_GT(vectors.size(), 100U);
    for (const Vector& vector : test::thinned(vectors)) {
        const Picture picture = make_picture(vector.formula, vector.width, vector.height);
        for (const Isa isa : available_isas()) {
            SCOPED_TRACE(vector.formula + " " + std::to_string(vector.width) + "x" +
                         std::to_string(vector.height) + " " + std::string(isa_name(isa)));
            const ImageHashes hashes = hash(picture, isa, 16);
            EXPECT_EQ(hashes.dhash, vector.dhash);
            EXPECT_EQ(hashes.ahash, vector.ahash);
            EXPECT_EQ(hashes.phash, vector.phash.value_or(hashes.phash));
            EXPECT_EQ(hashes.whash, vector.whash.value_or(hashes.whash));
        }
    }
}

TEST(ImageHasher, DoesNotDependOnHowRowsAreGrouped) {
    std::mt19937 random(5);
    const std::pair<std::uint32_t, std::uint32_t> sizes[] = {
        {1, 1}, {1, 50}, {50, 1}, {7, 40}, {130, 61}, {224, 90}, {257, 33}, {640, 47}, {3000, 17}};
    for (const auto& [width, height] : sizes) {
        const Picture picture = make_picture("noise", width, height);
        const ImageHashes expected = hash(picture, Isa::scalar, height);
        for (const Isa isa : available_isas()) {
            for (const std::uint32_t count : {1U, 3U, 8U, 16U, 19U, 32U, 1000U}) {
                EXPECT_EQ(hash(picture, isa, count), expected)
                    << width << "x" << height << " by " << count << " " << isa_name(isa);
            }
            EXPECT_EQ(hash(picture, isa, [&] { return random() % 40; }), expected)
                << width << "x" << height << " " << isa_name(isa);
        }
    }
}

TEST(ImageHasher, ReadsRowsAtAnyStride) {
    const Picture picture = make_picture("waves", 300, 64);
    const std::size_t stride = 317;
    Pixels spaced(stride * picture.height, 0x55);
    for (std::size_t y = 0; y < picture.height; ++y) {
        std::copy_n(picture.pixels.data() + y * picture.width, picture.width,
                    spaced.data() + y * stride);
    }
    for (const Isa isa : available_isas()) {
        ImageHasher hasher(hash_all, isa);
        hasher.start(picture.width, picture.height);
        hasher.rows(spaced.data(), stride, picture.height);
        EXPECT_EQ(hasher.finish(), hash(picture, Isa::scalar, 16));
    }
}

TEST(ImageHasher, ComputesWhatIsWanted) {
    const Picture picture = make_picture("waves", 400, 300);
    const ImageHashes all = hash(picture, best_isa(), 16);
    for (std::uint32_t wanted = 0; wanted <= hash_all; ++wanted) {
        const auto if_wanted = [&](HashKind kind, std::uint64_t bits) {
            return (wanted & kind) != 0 ? bits : 0;
        };
        const ImageHashes expected{.dhash = if_wanted(hash_dhash, all.dhash),
                                   .ahash = if_wanted(hash_ahash, all.ahash),
                                   .whash = if_wanted(hash_whash, all.whash),
                                   .phash = if_wanted(hash_phash, all.phash),
                                   .whash16 = if_wanted(hash_whash16, all.whash16)};
        EXPECT_EQ(hash(picture, best_isa(), 16, wanted), expected) << wanted;
    }
}

TEST(ImageHasher, Whash16IsTheHaarLevelOfEightByEight) {
    // 8x8 pixels are hashed as they are: row sums of 2x2 blocks grow to the right and downwards, so
    // that the 8 later blocks are above the median.
    Picture picture{.width = 8, .height = 8, .pixels = {}};
    for (int y = 0; y < 8; ++y) {
        for (int x = 0; x < 8; ++x)
            picture.pixels.push_back(static_cast<std::uint8_t>(y / 2 * 40 + x / 2 * 3 + x % 2));
    }
    for (const Isa isa : available_isas())
        EXPECT_EQ(hash(picture, isa, 8).whash16, 0x00FF000000000000U);
}

TEST(ImageHasher, ValuesEqualToTheMedianGiveZero) {
    for (const std::uint8_t grey : {0, 1, 128, 255}) {
        const Picture flat{.width = 100, .height = 80, .pixels = Pixels(8000, grey)};
        for (const Isa isa : available_isas()) {
            const ImageHashes hashes = hash(flat, isa, 16);
            EXPECT_EQ(hashes.dhash, 0U);
            EXPECT_EQ(hashes.ahash, 0U);
            EXPECT_EQ(hashes.whash, 0U);
            EXPECT_EQ(hashes.whash16, 0U);
            // All frequencies but the mean are 0, exactly.
            EXPECT_EQ(hashes.phash, grey == 0 ? 0U : std::uint64_t{1} << 63);
        }
    }
}

TEST(ImageHasher, MirrorSymmetryLeavesNoNoiseInPhash) {
    // Of a picture equal to its mirror image all odd horizontal frequencies are 0, exactly.
    Picture picture = make_picture("waves", 96, 64);
    for (std::size_t y = 0; y < 64; ++y) {
        for (std::size_t x = 0; x < 48; ++x)
            picture.pixels[y * 96 + 95 - x] = picture.pixels[y * 96 + x];
    }
    const std::uint64_t odd_columns = 0x5555555555555555U;
    const std::uint64_t bits = hash(picture, best_isa(), 16).phash;
    EXPECT_TRUE((bits & odd_columns) == 0 || (bits & odd_columns) == odd_columns)
        << std::hex << bits;
}

TEST(ImageHasher, StartsAnew) {
    const Picture first = make_picture("noise", 200, 150);
    const Picture second = make_picture("waves", 90, 333);
    for (const Isa isa : available_isas()) {
        ImageHasher hasher(hash_all, isa);
        for (const Picture* picture : {&first, &second, &first}) {
            hasher.start(picture->width, picture->height);
            hasher.rows(picture->pixels.data(), picture->width, picture->height);
            EXPECT_EQ(hasher.finish(), hash(*picture, Isa::scalar, 16));
        }
    }
}

TEST(ImageHasher, RefusesImpossibleSizes) {
    const auto status = [](std::uint32_t width, std::uint32_t height) {
        try {
            ImageHasher().start(width, height);
        } catch (const ImageError& error) {
            return error.status();
        }
        return ImageStatus::ok;
    };
    EXPECT_EQ(status(0, 5), ImageStatus::corrupt);
    EXPECT_EQ(status(5, 0), ImageStatus::corrupt);
    EXPECT_EQ(status(1'000'001, 1), ImageStatus::too_large);
    EXPECT_EQ(status(1, 4'000'000'000), ImageStatus::too_large);
    EXPECT_EQ(status(1, 1), ImageStatus::ok);
}

} // namespace
} // namespace vamhash
