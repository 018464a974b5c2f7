// Every image of tests/data/plugin_images hashes as ImageHash does, but for two bits of each hash:
// libheif and LibRaw make the pixels, and do so a little differently from version to version
// (tests/exactness/plugin_golden.py).
#include "codec/format.h"
#include "engine/hash_image.h"
#include "made_image.h"

#include <gtest/gtest.h>

#include <bit>
#include <filesystem>
#include <map>
#include <set>
#include <sstream>

namespace vamhash {
namespace {

constexpr int tolerated_bits = 2;

struct GoldenLine {
    std::string file;
    std::string format;
    std::uint32_t width = 0;
    std::uint32_t height = 0;
    ImageHashes hashes{};
};

std::istream& operator>>(std::istream& stream, GoldenLine& line) {
    return stream >> line.file >> line.format >> line.width >> line.height >> std::hex >>
           line.hashes.dhash >> line.hashes.ahash >> line.hashes.phash >> line.hashes.whash >>
           line.hashes.whash16 >> std::dec;
}

std::vector<GoldenLine> read_golden() {
    std::ifstream file(VAMHASH_TEST_DATA "/plugin_golden.tsv");
    std::string head;
    std::getline(file, head); // the libraries' versions
    std::getline(file, head);
    EXPECT_EQ(head, "file\tformat\twidth\theight\tdhash\tahash\tphash\twhash\twhash16");
    std::vector<GoldenLine> lines;
    for (GoldenLine line; file >> line;) {
        lines.push_back(line);
    }
    return lines;
}

TEST(PluginGolden, KnowsEveryImage) {
    std::set<std::string> listed;
    for (const GoldenLine& line : read_golden()) {
        listed.insert(line.file);
    }
    std::set<std::string> present;
    for (const auto& entry :
         std::filesystem::directory_iterator(VAMHASH_TEST_DATA "/plugin_images")) {
        present.insert(entry.path().filename().string());
    }
    EXPECT_EQ(listed, present);
    EXPECT_GE(listed.size(), 60U);
}

TEST(PluginGolden, HashesNearlyAsImageHashDoes) {
    int hashed = 0;
    int differing_bits = 0;
    for (const GoldenLine& line : read_golden()) {
        SCOPED_TRACE(line.file);
        const Bytes image = test_image("plugin_images/" + line.file);
        const Format* const format = recognise(image);
        ASSERT_NE(format, nullptr);
        EXPECT_EQ(format->name, line.format);
        if (format->decode == nullptr) {
            continue; // this build has no library for it
        }
        for (const bool orient : {false, true}) { // upright in any case
            const HashedImage ours = hash_image(image, hash_all, {.orient = orient});
            EXPECT_EQ(ours.info.format, line.format);
            EXPECT_EQ(ours.info.width, line.width);
            EXPECT_EQ(ours.info.height, line.height);
            for (const auto hash : {&ImageHashes::dhash, &ImageHashes::ahash, &ImageHashes::phash,
                                    &ImageHashes::whash, &ImageHashes::whash16}) {
                const int bits = std::popcount(ours.hashes.*hash ^ line.hashes.*hash);
                EXPECT_LE(bits, tolerated_bits) << std::hex << line.hashes.*hash;
                differing_bits += bits;
            }
        }
        ++hashed;
    }
    std::printf("%d images hashed, %d bits differ\n", hashed, differing_bits / 2);
    RecordProperty("hashed", hashed);
}

} // namespace
} // namespace vamhash
