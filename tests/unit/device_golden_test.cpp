// Every image of tests/data/images, hashed on every device that there is, PoCL's CPU among them, as
// ImageHash on Pillow does: as exactness_test does it for the CPU.
#include "engine/arena_picture.h"
#include "engine/place_image.h"
#include "hash/device_hasher.h"

#include "golden_file.h"
#include "made_arena.h"
#include "tested_devices.h"

#include <cstdio>
#include <gtest/gtest.h>
#include <memory>
#include <optional>
#include <vector>

namespace vamhash {
namespace {

constexpr std::uint64_t arena_bytes = 256 << 20;
constexpr std::size_t batch_lines = 40;

TEST(DeviceGolden, HashesAsImageHashDoes) {
    const auto devices = test::open_tested_devices();
    if (devices.empty()) {
        GTEST_SKIP() << "there is no device, not even PoCL's";
    }
    const Golden golden = read_golden("golden.tsv");
    const Descriptor memory = test::make_arena_memory(arena_bytes);
    const MappedArena arena(memory, test::arena_of(arena_bytes, 1));
    std::size_t jpegs = 0;
    std::size_t left = 0;
    for (std::size_t first = 0; first < golden.lines.size(); first += batch_lines) {
        PicturePlaces places(arena, [](std::uint32_t /*part*/, std::uint32_t /*pictures*/) {});
        std::vector<const GoldenLine*> lines;
        std::vector<DevicePicture> pictures;
        for (std::size_t i = first; i < std::min(first + batch_lines, golden.lines.size()); ++i) {
            const GoldenLine& line = golden.lines[i];
            const DecodeOptions options{.orient = line["option"] == "orient"};
            const PlacedImage placed =
                place_image(read_data("images/" + line["file"]), hash_all, options, places);
            ASSERT_TRUE(placed.picture) << line["file"];
            EXPECT_EQ(std::to_string(placed.image.info.width), line["width"]) << line["file"];
            EXPECT_EQ(std::to_string(placed.image.info.height), line["height"]) << line["file"];
            lines.push_back(&line);
            pictures.push_back(
                picture_of(placed.picture->picture, arena.part(placed.picture->place.part), false)
                    .value());
            jpegs += pictures.back().jpeg ? 1 : 0;
        }
        for (const auto& device : devices) {
            DeviceHasher hasher(*device, hash_all, 0);
            const auto hashes = hasher.hash(pictures);
            ASSERT_EQ(hashes.size(), lines.size());
            for (std::size_t i = 0; i < lines.size(); ++i) {
                const GoldenLine& line = *lines[i];
                SCOPED_TRACE(device->name() + ": " + line["file"] + " " + line["option"]);
                if (!hashes[i]) {
                    ++left;
                    continue;
                }
                if (line["kind"] == "jpeg-partial-edge") {
                    continue; // it depends on the library, which smooths it: exactness_test
                }
                for (const NamedHash& hash : named_hashes) {
                    EXPECT_EQ(hex((*hashes[i]).*hash.value), hex(line.exact(hash.name)))
                        << hash.name;
                }
            }
        }
    }
    std::printf("%zu lines, %zu of them by coefficients, %zu left to the CPU\n",
                golden.lines.size(), jpegs, left);
    EXPECT_GT(jpegs, 50U);
    EXPECT_EQ(left, 0U);
}

} // namespace
} // namespace vamhash
