// A batch of pictures for devices, grey ones and JPEGs, with the hashes that the CPU has of them.
#pragma once

#include "hash/device_hasher.h"
#include "hash/image_hasher.h"

#include "stored_jpeg.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <random>
#include <utility>
#include <vector>

namespace vamhash::test {

using Sizes = std::vector<std::pair<std::uint32_t, std::uint32_t>>;
using MaybeHashes = std::vector<std::optional<ImageHashes>>;

/// Noise over a slope: no two hashes alike, and sums on both sides of what is clipped.
inline Bytes made_pixels(std::uint32_t width, std::uint32_t height, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    Bytes pixels(std::size_t{width} * height);
    for (std::size_t i = 0; i < pixels.size(); ++i) {
        const auto slope = static_cast<std::uint64_t>(i % width * 200 / width);
        pixels[i] = static_cast<std::uint8_t>(random() % 3 == 0 ? random() % 2 * 255
                                                                : slope + random() % 55);
    }
    return pixels;
}

/// Sizes of all kinds, several of each.
inline Sizes mixed_sizes(std::uint32_t count) {
    Sizes sizes;
    for (std::uint32_t i = 0; i < count; ++i) {
        sizes.emplace_back(1 + i * 37 % 300, 1 + i * 53 % 200);
    }
    return sizes;
}

/// Pictures that lie one behind the other in memory.
class PictureBatch {
  public:
    explicit PictureBatch(std::uint32_t wanted = hash_all) : wanted_(wanted) {}

    /// Of made pixels.
    explicit PictureBatch(const Sizes& sizes, std::uint32_t wanted = hash_all)
        : PictureBatch(wanted) {
        for (const auto& [width, height] : sizes) {
            add(width, height, made_pixels(width, height, expected_.size()));
        }
    }

    PictureBatch(PictureBatch&&) = default; // the memory stays where it is
    PictureBatch(const PictureBatch&) = delete;

    void add(std::uint32_t width, std::uint32_t height, const Bytes& pixels) {
        expect(width, height, pixels);
        add_picture({.bytes = {}, .width = width, .height = height, .jpeg = {}}, pixels);
    }

    void add(const JpegShape& shape) {
        const Bytes image = make_jpeg(shape);
        const StoredJpeg stored = stored_jpeg(image);
        const GreyPicture decoded = picture_of(image);
        expect(decoded.width, decoded.height, decoded.pixels);
        add_picture(
            {.bytes = {}, .width = decoded.width, .height = decoded.height, .jpeg = stored.layout},
            stored.bytes);
    }

    [[nodiscard]] const Bytes& memory() const { return memory_; }
    [[nodiscard]] const std::vector<DevicePicture>& pictures() const { return pictures_; }
    [[nodiscard]] const MaybeHashes& expected() const { return expected_; }

    /// That a picture takes on a device, the largest, and all.
    [[nodiscard]] std::uint64_t bytes(std::size_t picture) const {
        return device_hash_bytes(pictures_[picture], wanted_);
    }
    [[nodiscard]] std::uint64_t most_bytes() const {
        std::uint64_t most = 0;
        for (std::size_t i = 0; i < pictures_.size(); ++i) {
            most = std::max(most, bytes(i));
        }
        return most;
    }
    [[nodiscard]] std::uint64_t all_bytes() const {
        std::uint64_t all = 0;
        for (std::size_t i = 0; i < pictures_.size(); ++i) {
            all += bytes(i);
        }
        return all;
    }

  private:
    void expect(std::uint32_t width, std::uint32_t height, const Bytes& pixels) {
        ImageHasher hasher(wanted_);
        hasher.start(width, height);
        hasher.rows(pixels.data(), width, height);
        expected_.emplace_back(hasher.finish());
    }

    // Others move with the memory.
    void add_picture(DevicePicture picture, const Bytes& bytes) {
        picture.bytes = bytes; // whose length is right
        pictures_.push_back(picture);
        memory_.insert(memory_.end(), bytes.begin(), bytes.end());
        const std::uint8_t* next = memory_.data();
        for (DevicePicture& own : pictures_) {
            own.bytes = {next, own.bytes.size()};
            next += own.bytes.size();
        }
    }

    std::uint32_t wanted_;
    Bytes memory_;
    std::vector<DevicePicture> pictures_;
    MaybeHashes expected_;
};

/// Grey pictures and JPEGs of all kinds, in turn.
inline PictureBatch mixed_batch(std::uint32_t count) {
    PictureBatch batch;
    for (const auto& [width, height] : mixed_sizes(count)) {
        const auto i = static_cast<std::uint32_t>(batch.pictures().size());
        switch (i % 4) {
        case 0:
            batch.add(
                {.width = width, .height = height, .v_sampling = 1 + static_cast<int>(i / 4 % 2)});
            break;
        case 1:
            batch.add({.width = width,
                       .height = height,
                       .pixels = JCS_GRAYSCALE,
                       .stored = JCS_GRAYSCALE,
                       .h_sampling = 1,
                       .v_sampling = 1});
            break;
        default:
            batch.add(width, height, made_pixels(width, height, i));
        }
    }
    return batch;
}

} // namespace vamhash::test
