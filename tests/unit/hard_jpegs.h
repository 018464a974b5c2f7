// JPEGs that are hard on a reader of coefficients: large ones, ones of long codes, and damaged
// ones.
#pragma once

#include "made_jpeg.h"
#include "test_size.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <gtest/gtest.h>
#include <random>
#include <span>
#include <vector>

namespace vamhash::test {

/// Across and down, of the first component.
using Sampling = std::array<int, 2>;

/// More than a part of the data that is read at once, with segments that end anywhere in it.
inline std::vector<JpegShape> large_shapes(std::span<const Sampling> samplings) {
    std::vector<JpegShape> shapes;
    for (const unsigned restart_mcus : {0U, 1U, 50U, 1000U, 5000U}) {
        for (const auto& [h, v] : samplings) {
            for (const int quality : {80, 100}) {
                shapes.push_back({.width = 1021,
                                  .height = 803,
                                  .h_sampling = h,
                                  .v_sampling = v,
                                  .quality = quality,
                                  .restart_mcus = restart_mcus,
                                  .noise = 200});
            }
        }
    }
    return shapes;
}

/// No code but those of small DC differences is found in one look.
inline std::vector<JpegShape> long_code_shapes(std::span<const Sampling> samplings) {
    std::vector<JpegShape> shapes;
    for (const auto& [h, v] : samplings) {
        for (const int quality : {20, 90, 100}) {
            shapes.push_back({.width = 517,
                              .height = 300,
                              .h_sampling = h,
                              .v_sampling = v,
                              .quality = quality,
                              .long_codes = true,
                              .noise = 256});
        }
    }
    return shapes;
}

/// Small images that have what can be damaged: these, a grey one, and one of long codes.
inline std::vector<Bytes> victims_of(const std::vector<JpegShape>& shapes) {
    std::vector<Bytes> images;
    for (const JpegShape& shape : shapes) {
        images.push_back(make_jpeg(shape));
    }
    images.push_back(make_jpeg({.width = 40,
                                .height = 30,
                                .pixels = JCS_GRAYSCALE,
                                .stored = JCS_GRAYSCALE,
                                .h_sampling = 1,
                                .v_sampling = 1,
                                .restart_mcus = 3}));
    images.push_back(make_jpeg({.width = 40, .height = 30, .long_codes = true, .noise = 256}));
    return images;
}

/// Calls with an image of which a bit is flipped: every `step`th bit of every image, or fewer in a
/// small test.
template <typename Call>
void flip_bits(const std::vector<Bytes>& images, std::size_t step, const Call& call) {
    for (const Bytes& image : images) {
        for (std::size_t bit = 0; bit < image.size() * 8; bit += step * stride(image.size())) {
            Bytes damaged = image;
            damaged[bit / 8] ^= static_cast<std::uint8_t>(1U << bit % 8);
            ASSERT_NO_FATAL_FAILURE(call(damaged)) << bit;
        }
    }
}

/// Calls so often with one of the images of which some bytes have been changed.
template <typename Call>
void damage_at_random(const std::vector<Bytes>& images, std::size_t rounds, const Call& call) {
    std::mt19937 random(7);
    for (std::size_t round = 0; round < rounds; ++round) {
        Bytes image = images[random() % images.size()];
        for (unsigned i = 0; i <= random() % 4; ++i) {
            image[random() % image.size()] = static_cast<std::uint8_t>(random());
        }
        ASSERT_NO_FATAL_FAILURE(call(image)) << round;
    }
}

} // namespace vamhash::test
