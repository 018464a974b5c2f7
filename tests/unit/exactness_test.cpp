// Every image of tests/data/images hashes as ImageHash on Pillow does, bit for bit.
//
// golden.tsv (tests/exactness/golden.py explains it) has ImageHash's value and, where bits tie with
// a median, the exact one. Our hash is the exact one, and that is ImageHash's but for tied bits.

#include "golden_file.h"
#include "test_size.h"

#include <gtest/gtest.h>

#include <set>

#include <jpeglib.h>

namespace vamhash {
namespace {

const Golden& golden() {
    static const Golden instance = read_golden("golden.tsv");
    return instance;
}

/// Whether the JPEG library smooths this picture as Pillow's does (tests/data/README.md).
bool library_decodes_alike(const GoldenLine& line) {
#if defined(LIBJPEG_TURBO_VERSION_NUMBER) && LIBJPEG_TURBO_VERSION_NUMBER >= 3000001
    return !line["kind"].empty();
#else
    return line["kind"] != "jpeg-partial-edge";
#endif
}

TEST(Golden, DiffersFromExactHashesOnlyInTiedBits) {
    for (const GoldenLine& line : golden().lines) {
        SCOPED_TRACE(line["file"] + " " + line["option"]);
        for (const auto& [hash, tie] : line.ties) {
            EXPECT_EQ(hex((line.reference(hash) ^ tie.exact) & ~tie.tied_bits), hex(0)) << hash;
            EXPECT_EQ(hex(tie.exact & tie.tied_bits), hex(0)) << hash << ": a tie is 0";
        }
    }
}

TEST(Golden, CountsItsLines) {
    std::set<std::string> files;
    int tied = 0;
    int noisy = 0;
    for (const GoldenLine& line : golden().lines) {
        files.insert(line["file"]);
        tied += line.ties.empty() ? 0 : 1;
        noisy += line.has_noise() ? 1 : 0;
    }
    std::ostringstream summary;
    summary << "# " << files.size() << " images, " << golden().lines.size() << " lines, " << tied
            << " with ties, " << noisy << " with noise";
    std::printf("%s\n", summary.str().c_str());
    EXPECT_EQ(golden().summary, summary.str());
    EXPECT_GE(files.size(), 200U);
}

TEST(Golden, KnowsEveryImage) {
    std::set<std::string> listed;
    for (const GoldenLine& line : golden().lines) {
        listed.insert(line["file"]);
    }
    std::set<std::string> present;
    for (const auto& entry : std::filesystem::directory_iterator(data_folder / "images")) {
        present.insert(entry.path().filename().string());
    }
    EXPECT_EQ(listed, present);
}

class Exactness : public testing::TestWithParam<Isa> {};

TEST_P(Exactness, HashesAsImageHashDoes) {
    int skipped = 0;
    for (const GoldenLine& line : test::thinned(golden().lines)) {
        SCOPED_TRACE(line["file"] + " " + line["option"]);
        if (!library_decodes_alike(line)) {
            ++skipped;
            continue;
        }
        const DecodeOptions options{.orient = line["option"] == "orient"};
        HashedImage image;
        try {
            image = hash_image(read_data("images/" + line["file"]), hash_all, options, GetParam());
        } catch (const ImageError& error) {
            ADD_FAILURE() << error.what();
            continue;
        }
        EXPECT_EQ(image.info.format, line["format"]);
        EXPECT_EQ(std::to_string(image.info.width), line["width"]);
        EXPECT_EQ(std::to_string(image.info.height), line["height"]);
        for (const NamedHash& hash : named_hashes) {
            EXPECT_EQ(hex(image.hashes.*hash.value), hex(line.exact(hash.name))) << hash.name;
        }
    }
    if (skipped != 0) {
        std::printf("%d lines left out: this libjpeg smooths incomplete JPEGs differently\n",
                    skipped);
    }
}

TEST_P(Exactness, HashesAloneAsTogether) {
    const std::vector<std::uint8_t> image = read_data("images/jpeg-photo_cat.jpg");
    const ImageHashes together = hash_image(image, hash_all, {}, GetParam()).hashes;
    const std::map<HashKind, std::uint64_t ImageHashes::*> kinds = {
        {hash_dhash, &ImageHashes::dhash},
        {hash_ahash, &ImageHashes::ahash},
        {hash_whash, &ImageHashes::whash},
        {hash_phash, &ImageHashes::phash},
        {hash_whash16, &ImageHashes::whash16}};
    for (const auto& [kind, value] : kinds) {
        ImageHashes expected;
        expected.*value = together.*value;
        EXPECT_EQ(hash_image(image, kind, {}, GetParam()).hashes, expected) << kind;
    }
}

INSTANTIATE_TEST_SUITE_P(EveryIsa, Exactness, testing::ValuesIn(available_isas()),
                         [](const testing::TestParamInfo<Isa>& info) {
                             return std::string(isa_name(info.param));
                         });

} // namespace
} // namespace vamhash
