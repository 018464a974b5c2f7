// What may be believed of pictures in the arena. Those that cannot be are in pictures_job_test,
// too.
#include "engine/arena_picture.h"

#include "grey_picture.h"

#include <gtest/gtest.h>
#include <optional>
#include <vector>

namespace vamhash {
namespace {

constexpr std::uint64_t part_bytes = 64 * 1024;

protocol::Picture file_record(std::uint64_t offset, std::uint32_t bytes) {
    return picture_record(offset, PlainJpeg{.width = 300, .height = 200, .bytes = bytes},
                          Orientation::rotate_clockwise);
}

TEST(ArenaPicture, IsAFileWhereThereMayBeOne) {
    const Bytes part(part_bytes);
    const std::optional<DevicePicture> picture = picture_of(file_record(128, 1000), part, true);
    ASSERT_TRUE(picture);
    EXPECT_TRUE(picture->is_file);
    EXPECT_FALSE(picture->jpeg);
    EXPECT_EQ(picture->bytes.data(), part.data() + 128);
    EXPECT_EQ(picture->bytes.size(), 1000U);
    EXPECT_EQ(picture->width, 200U); // upright
    EXPECT_EQ(picture->height, 300U);
    EXPECT_EQ(picture->orientation, Orientation::rotate_clockwise);
    EXPECT_FALSE(picture_of(file_record(128, 1000), part, false));
}

TEST(ArenaPicture, IsNoFileThatCannotBe) {
    const Bytes part(part_bytes);
    const auto is_refused = [&](auto change) {
        protocol::Picture record = file_record(0, 1000);
        change(record);
        return !picture_of(record, part, true);
    };
    EXPECT_FALSE(is_refused([](auto& /*record*/) {}));
    EXPECT_TRUE(is_refused([](auto& record) { record.bytes = 0; }));
    EXPECT_TRUE(is_refused([](auto& record) { record.bytes = part_bytes + 1; }));
    EXPECT_TRUE(is_refused([](auto& record) { record.offset = part_bytes - 960; }));
    EXPECT_TRUE(is_refused([](auto& record) { record.offset = 32; }));
    EXPECT_TRUE(is_refused([](auto& record) { record.width = 0; }));
    EXPECT_TRUE(is_refused([](auto& record) { record.height = max_jpeg_side + 1; }));
    EXPECT_TRUE(is_refused([](auto& record) { record.orientation = 0; }));
    EXPECT_TRUE(is_refused([](auto& record) { record.orientation = 9; }));
    EXPECT_TRUE(is_refused([](auto& record) { record.form = 3; }));
}

TEST(ArenaPicture, FilesHaveNotMoreBytesThanThePart) {
    const Bytes part(part_bytes);
    const std::vector<protocol::Picture> records{file_record(0, part_bytes - 1000),
                                                 picture_record(0, 10, 10), file_record(64, 1000),
                                                 file_record(64, 1), picture_record(0, 10, 10)};
    const auto pictures = pictures_of(records, part, true);
    ASSERT_EQ(pictures.size(), records.size());
    for (std::size_t i = 0; i < pictures.size(); ++i) {
        EXPECT_EQ(pictures[i].has_value(), i != 3) << i;
    }
}

} // namespace
} // namespace vamhash
