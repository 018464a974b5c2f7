// JPEG files on devices: what becomes of them between a decoder of files and the hashes. Where a
// device has none of its own, libjpeg decodes for it (decoding_backend.h), and what is to come out
// is known to the bit. Of a vendor's decoder it is known how far from exact it may be.
#include "codec/plain_jpeg.h"
#include "hash/device_hasher.h"

#include "decoding_backend.h"
#include "golden_file.h"
#include "picture_batch.h"
#include "tested_devices.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdio>
#include <deque>
#include <gtest/gtest.h>
#include <optional>
#include <vector>

namespace vamhash {
namespace {

ImageHashes hashes_of(std::uint32_t width, std::uint32_t height, const Bytes& pixels) {
    ImageHasher hasher(hash_all);
    hasher.start(width, height);
    hasher.rows(pixels.data(), width, height);
    return hasher.finish();
}

/// JPEG files, and what the hashes of their luma are.
class Files {
  public:
    void add(const Bytes& image, int orientation = 1) {
        images_.push_back(image);
        const PlainJpeg plain = plain_jpeg(images_.back(), {}).value();
        const bool is_turned = orientation >= 5;
        const std::uint32_t width = is_turned ? plain.height : plain.width;
        const std::uint32_t height = is_turned ? plain.width : plain.height;
        pictures.push_back({.bytes = std::span(images_.back()).first(plain.bytes),
                            .width = width,
                            .height = height,
                            .jpeg = {},
                            .orientation = static_cast<Orientation>(orientation),
                            .is_file = true});
        expected.emplace_back(hashes_of(
            width, height,
            turned(plain_decode(image, JCS_GRAYSCALE), plain.width, plain.height, orientation)));
    }

    /// A picture of another form, among them.
    void add(const DevicePicture& picture, const std::optional<ImageHashes>& hashes) {
        pictures.push_back(picture);
        expected.push_back(hashes);
    }

    std::vector<DevicePicture> pictures;
    test::MaybeHashes expected;

  private:
    std::deque<Bytes> images_;
};

/// Files of all orientations, sizes and kinds, with grey pictures and coefficients between them.
Files mixed_files(const test::PictureBatch& others) {
    Files files;
    const std::vector<JpegShape> shapes{
        {.width = 45, .height = 70},
        {.width = 301, .height = 203, .v_sampling = 1},
        {.width = 64, .height = 64, .h_sampling = 1, .v_sampling = 1},
        {.width = 33, .height = 17, .pixels = JCS_GRAYSCALE, .stored = JCS_GRAYSCALE},
        {.width = 1, .height = 1},
        {.width = 600, .height = 400, .restart_rows = 2}};
    std::size_t other = 0;
    for (const JpegShape& shape : shapes) {
        for (int orientation = 1; orientation <= 8; ++orientation) {
            files.add(make_jpeg(shape), orientation);
            if (other < others.pictures().size()) {
                files.add(others.pictures()[other], others.expected()[other]);
                ++other;
            }
        }
    }
    return files;
}

class DeviceJpegFileTest : public testing::Test {
  protected:
    void SetUp() override {
        const std::vector<DeviceListing> devices = test::tested_devices();
        if (devices.empty()) {
            GTEST_SKIP() << "there is no device, not even PoCL's";
        }
        backend_.emplace(*load_device_backend(devices[0].backend).backend);
        device_.emplace(backend_->table(), static_cast<std::uint32_t>(devices[0].number));
        device_->load_jpeg_decoder();
    }

    std::optional<test::DecodingBackend> backend_;
    std::optional<Device> device_;
};

TEST_F(DeviceJpegFileTest, HashesTheLumaOfFiles) {
    const test::PictureBatch others = test::mixed_batch(24);
    const Files files = mixed_files(others);
    const auto hashes = DeviceHasher(*device_, hash_all).hash(files.pictures);
    ASSERT_EQ(hashes.size(), files.expected.size());
    for (std::size_t i = 0; i < hashes.size(); ++i) {
        EXPECT_EQ(hashes[i], files.expected[i]) << i;
    }
}

TEST_F(DeviceJpegFileTest, HashesFilesInManyChunks) {
    const test::PictureBatch others = test::mixed_batch(24);
    const Files files = mixed_files(others);
    std::uint64_t most = 0;
    for (const DevicePicture& picture : files.pictures) {
        most = std::max(most, device_hash_bytes(picture, hash_all));
    }
    EXPECT_EQ(DeviceHasher(*device_, hash_all, 3 * most).hash(files.pictures), files.expected);
}

TEST_F(DeviceJpegFileTest, LeavesFilesThatTheDecoderRefuses) {
    const test::PictureBatch others = test::mixed_batch(4);
    Files files = mixed_files(others);
    constexpr std::size_t wide = 8; // a file
    ASSERT_TRUE(files.pictures[wide].is_file);
    files.pictures[wide].width += 1; // more than it has
    files.expected[wide].reset();
    const Bytes rubbish(5000, 0xFF);
    files.add({.bytes = rubbish, .width = 70, .height = 50, .jpeg = {}, .is_file = true}, {});
    EXPECT_EQ(DeviceHasher(*device_, hash_all).hash(files.pictures), files.expected);
}

TEST_F(DeviceJpegFileTest, TakesABoundedNumberOfBytesAtOnce) {
    const Bytes rubbish(std::size_t{10} << 20);
    const std::vector<DevicePicture> pictures(
        40, {.bytes = rubbish, .width = 1, .height = 1, .jpeg = {}, .is_file = true});
    test::DecodingBackend::most_bytes() = 0;
    const auto hashes = DeviceHasher(*device_, hash_all).hash(pictures);
    EXPECT_EQ(hashes, test::MaybeHashes(40));
    EXPECT_GT(test::DecodingBackend::most_bytes(), 100U << 20);
    EXPECT_LE(test::DecodingBackend::most_bytes(), 128U << 20);
}

TEST_F(DeviceJpegFileTest, GoesOnInLessMemory) {
    const test::PictureBatch others = test::mixed_batch(4);
    const Files files = mixed_files(others);
    test::DecodingBackend::status() = plugin::DeviceStatus::out_of_memory;
    EXPECT_EQ(DeviceHasher(*device_, hash_all).hash(files.pictures), files.expected);
    EXPECT_EQ(test::DecodingBackend::status(), plugin::DeviceStatus::done) << "it was called";
}

TEST_F(DeviceJpegFileTest, TellsOfAFailure) {
    Files files;
    files.add(make_jpeg({}));
    DeviceHasher hasher(*device_, hash_all);
    test::DecodingBackend::status() = plugin::DeviceStatus::failed;
    EXPECT_THROW(hasher.hash(files.pictures), DeviceFailed);
}

TEST_F(DeviceJpegFileTest, RefusesWhatIsNoPicture) {
    DeviceHasher hasher(*device_, hash_all);
    const auto refuses = [&](auto change) {
        Files files;
        files.add(make_jpeg({}));
        change(files.pictures[0]);
        EXPECT_THROW(hasher.hash(files.pictures), std::invalid_argument);
    };
    refuses([](DevicePicture& picture) { picture.width = 0; });
    refuses([](DevicePicture& picture) { picture.height = max_jpeg_side + 1; });
    refuses([](DevicePicture& picture) { picture.bytes = {}; });
    refuses([](DevicePicture& picture) { picture.jpeg = JpegLayout{.width = 45, .height = 70}; });
    refuses([](DevicePicture& picture) { picture.orientation = static_cast<Orientation>(9); });
}

TEST(JpegDecoder, IsNotThereInABackendWithoutOne) {
    for (const auto& device : test::open_tested_devices()) {
        if (device->name().starts_with("opencl")) {
            EXPECT_THROW(device->load_jpeg_decoder(), NoJpegDecoder);
        }
    }
}

/// The vendor's decoder, on each device that has one.
class VendorsJpegDecoder : public testing::Test {
  protected:
    void SetUp() override {
        for (std::unique_ptr<Device>& device : test::open_tested_devices()) {
            try {
                device->load_jpeg_decoder();
                devices_.push_back(std::move(device));
            } catch (const NoJpegDecoder& error) {
                std::printf("%s: %s\n", device->name().c_str(), error.what());
            }
        }
        if (devices_.empty()) {
            GTEST_SKIP() << "no device decodes JPEG files";
        }
    }

    std::vector<std::unique_ptr<Device>> devices_;
};

TEST_F(VendorsJpegDecoder, IsNearExact) {
    // Upsampling has no part in luma, and a sample is thought to differ by one or two. The bound is
    // a guess, to be set by what the first run on a GPU prints.
    constexpr int most_bits = 6;
    Files files;
    std::vector<ImageHashes> exact;
    std::vector<bool> may_be_left; // sampled as few files are
    for (const GoldenLine& line : read_golden("golden.tsv").lines) {
        const Bytes image = read_data("images/" + line["file"]);
        const std::optional<PlainJpeg> plain = plain_jpeg(image, {});
        if (plain && std::min(plain->width, plain->height) >= 64 && line["option"] != "orient" &&
            line["kind"].find("flat") == std::string::npos) {
            files.add(image);
            const GreyPicture decoded = picture_of(image);
            exact.push_back(hashes_of(decoded.width, decoded.height, decoded.pixels));
            may_be_left.push_back(line["kind"].find("sampling") != std::string::npos);
        }
    }
    ASSERT_GT(std::ranges::count(may_be_left, false), 10);
    for (const std::unique_ptr<Device>& device : devices_) {
        const auto hashes = DeviceHasher(*device, hash_all).hash(files.pictures);
        for (const NamedHash& hash : named_hashes) {
            std::array<std::size_t, 65> moved{};
            for (std::size_t i = 0; i < hashes.size(); ++i) {
                if (!hashes[i]) {
                    EXPECT_TRUE(may_be_left[i]) << i;
                    continue;
                }
                const int bits = std::popcount((*hashes[i]).*hash.value ^ exact[i].*hash.value);
                EXPECT_LE(bits, most_bits) << hash.name << " of picture " << i;
                ++moved[static_cast<std::size_t>(bits)];
            }
            std::printf("%s, %s: pictures by bits moved:", device->name().c_str(),
                        std::string(hash.name).c_str());
            for (std::size_t bits = 0; bits < moved.size(); ++bits) {
                if (moved[bits] != 0) {
                    std::printf(" %zu: %zu", bits, moved[bits]);
                }
            }
            std::printf("\n");
        }
    }
}

TEST_F(VendorsJpegDecoder, TakesAllOrientationsAndSizes) {
    const test::PictureBatch others = test::mixed_batch(24);
    const Files files = mixed_files(others);
    for (const std::unique_ptr<Device>& device : devices_) {
        DeviceHasher hasher(*device, hash_dhash);
        for (int round = 0; round < 3; ++round) {
            const auto hashes = hasher.hash(files.pictures);
            for (std::size_t i = 0; i < hashes.size(); ++i) {
                const DevicePicture& picture = files.pictures[i];
                if (picture.is_file && std::min(picture.width, picture.height) < 32) {
                    continue; // too few samples for the bits to be much the same
                }
                ASSERT_TRUE(hashes[i]) << i;
                EXPECT_LE(std::popcount(hashes[i]->dhash ^ files.expected[i]->dhash), 6) << i;
            }
        }
    }
}

TEST_F(VendorsJpegDecoder, LeavesWhatIsNotAsItIsSaid) {
    const Bytes image = make_jpeg({.width = 200, .height = 160});
    for (const std::unique_ptr<Device>& device : devices_) {
        DeviceHasher hasher(*device, hash_all);
        for (const auto& [width, height] : test::Sizes{{199, 160}, {200, 161}, {160, 200}}) {
            Files files;
            files.add(image);
            files.add(
                {.bytes = image, .width = width, .height = height, .jpeg = {}, .is_file = true},
                {});
            const auto hashes = hasher.hash(files.pictures);
            EXPECT_TRUE(hashes[0]);
            EXPECT_FALSE(hashes[1]) << width << " x " << height;
        }
        const Bytes rubbish(5000, 0xFF);
        const DevicePicture none{
            .bytes = rubbish, .width = 70, .height = 50, .jpeg = {}, .is_file = true};
        EXPECT_FALSE(hasher.hash({&none, 1})[0]);
    }
}

TEST_F(VendorsJpegDecoder, BearsDamagedFiles) {
    const Bytes image = make_jpeg({.width = 320, .height = 240});
    for (const std::unique_ptr<Device>& device : devices_) {
        DeviceHasher hasher(*device, hash_all);
        std::mt19937 random(5);
        for (int round = 0; round < 50; ++round) {
            Files files;
            files.add(image);
            Bytes damaged = image;
            for (int i = 0; i < 10; ++i) {
                damaged[100 + random() % (image.size() - 100)] =
                    static_cast<std::uint8_t>(random());
            }
            files.add({.bytes = damaged, .width = 320, .height = 240, .jpeg = {}, .is_file = true},
                      {});
            const auto hashes = hasher.hash(files.pictures);
            ASSERT_TRUE(hashes[0]);
            EXPECT_LE(std::popcount(hashes[0]->dhash ^ files.expected[0]->dhash), 6);
        }
    }
}

} // namespace
} // namespace vamhash
