// Every image of tests/data/images hashes as ImageHash on Pillow does, bit for bit.
//
// golden.tsv (tests/exactness/golden.py explains it) has ImageHash's value and, where bits tie with
// a median, the exact one. Our hash is the exact one, and that is ImageHash's but for tied bits.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include <jpeglib.h>

#include "engine/hash_image.h"

namespace vamhash {
namespace {

namespace fs = std::filesystem;

const fs::path data_folder = VAMHASH_TEST_DATA;

struct NamedHash {
    std::string_view name;
    std::uint64_t ImageHashes::*value;
};
constexpr std::array<NamedHash, 5> named_hashes{{{"dhash", &ImageHashes::dhash},
                                                 {"ahash", &ImageHashes::ahash},
                                                 {"phash", &ImageHashes::phash},
                                                 {"whash", &ImageHashes::whash},
                                                 {"whash16", &ImageHashes::whash16}}};

/// Bits of a hash that tie with its median, and the hash with all of them 0.
struct Tie {
    std::uint64_t exact = 0;
    std::uint64_t tied_bits = 0;
};

struct GoldenLine {
    std::map<std::string, std::string> fields; // by column
    std::map<std::string, Tie> ties;           // by hash

    [[nodiscard]] const std::string& operator[](const std::string& column) const {
        return fields.at(column);
    }
    [[nodiscard]] std::uint64_t reference(std::string_view hash) const {
        return std::stoull(fields.at(std::string(hash)), nullptr, 16);
    }
    [[nodiscard]] std::uint64_t exact(std::string_view hash) const {
        const auto tie = ties.find(std::string(hash));
        return tie == ties.end() ? reference(hash) : tie->second.exact;
    }
    [[nodiscard]] bool has_noise() const {
        return std::any_of(named_hashes.begin(), named_hashes.end(), [this](const NamedHash& hash) {
            return exact(hash.name) != reference(hash.name);
        });
    }
};

struct Golden {
    std::string summary; // the first line
    std::vector<GoldenLine> lines;
};

std::vector<std::string> split(const std::string& text, char separator) {
    std::vector<std::string> parts;
    std::istringstream stream(text);
    for (std::string part; std::getline(stream, part, separator);) {
        parts.push_back(part);
    }
    return parts;
}

/// Reads `name=exact/mask;...`, or `-` for none.
std::map<std::string, Tie> parse_ties(const std::string& text) {
    std::map<std::string, Tie> ties;
    if (text == "-") {
        return ties;
    }
    for (const std::string& field : split(text, ';')) {
        const std::size_t equals = field.find('=');
        const std::size_t slash = field.find('/');
        ties[field.substr(0, equals)] = {
            .exact = std::stoull(field.substr(equals + 1), nullptr, 16),
            .tied_bits = std::stoull(field.substr(slash + 1), nullptr, 16)};
    }
    return ties;
}

Golden read_golden() {
    std::ifstream file(data_folder / "golden.tsv");
    Golden golden;
    std::getline(file, golden.summary);
    std::string header;
    std::getline(file, header);
    const std::vector<std::string> columns = split(header, '\t');
    for (std::string row; std::getline(file, row);) {
        const std::vector<std::string> values = split(row, '\t');
        GoldenLine& line = golden.lines.emplace_back();
        for (std::size_t i = 0; i < columns.size(); ++i) {
            line.fields[columns[i]] = values.at(i);
        }
        line.ties = parse_ties(line["ties"]);
    }
    return golden;
}

const Golden& golden() {
    static const Golden instance = read_golden();
    return instance;
}

std::vector<std::uint8_t> read_image(const std::string& name) {
    std::ifstream file(data_folder / "images" / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::string hex(std::uint64_t hash) {
    std::array<char, 17> text{};
    std::snprintf(text.data(), text.size(), "%016llx", static_cast<unsigned long long>(hash));
    return text.data();
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
    for (const fs::directory_entry& entry : fs::directory_iterator(data_folder / "images")) {
        present.insert(entry.path().filename().string());
    }
    EXPECT_EQ(listed, present);
}

class Exactness : public testing::TestWithParam<Isa> {};

TEST_P(Exactness, HashesAsImageHashDoes) {
    int skipped = 0;
    for (const GoldenLine& line : golden().lines) {
        SCOPED_TRACE(line["file"] + " " + line["option"]);
        if (!library_decodes_alike(line)) {
            ++skipped;
            continue;
        }
        const DecodeOptions options{.orient = line["option"] == "orient"};
        HashedImage image;
        try {
            image = hash_image(read_image(line["file"]), hash_all, options, GetParam());
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
    const std::vector<std::uint8_t> image = read_image("jpeg-photo_cat.jpg");
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
