// Images put together by the tests of the codecs, byte by byte, and those of the exactness test.
#pragma once

#include "grey_picture.h"
#include "test_data.h"
#include "test_size.h"

#include <cstdint>
#include <fstream>
#include <initializer_list>
#include <iterator>
#include <random>
#include <string>
#include <string_view>

namespace vamhash {

inline Bytes joined(std::initializer_list<Bytes> parts) {
    Bytes bytes;
    for (const Bytes& part : parts) {
        bytes.insert(bytes.end(), part.begin(), part.end());
    }
    return bytes;
}

inline Bytes text_bytes(std::string_view text) {
    return {text.begin(), text.end()};
}

/// A little-endian number.
inline Bytes number(std::uint64_t value, unsigned count) {
    Bytes bytes;
    for (unsigned i = 0; i < count; ++i) {
        bytes.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
    }
    return bytes;
}

/// Random values below a limit, the same for the same seed.
inline Bytes random_values(std::size_t count, unsigned limit, unsigned seed = 1) {
    std::mt19937 random(seed);
    Bytes values(count);
    for (auto& value : values) {
        value = static_cast<std::uint8_t>(random() % limit);
    }
    return values;
}

/// A file of tests/data.
inline Bytes test_image(const std::string& name) {
    std::ifstream file(test::data_folder() / name, std::ios::binary);
    Bytes bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    EXPECT_FALSE(bytes.empty()) << name;
    return bytes;
}

/// An image of the exactness test.
inline Bytes golden_image(const std::string& name) {
    return test_image("images/" + name);
}

/// What decoding a good image ends with once a bit of it is flipped: a picture, or one ImageError.
inline void flip_every_bit(const Bytes& good) {
    for (std::size_t bit = 0; bit < good.size() * 8; bit += test::stride(good.size() * 8)) {
        Bytes image = good;
        image[bit / 8] ^= static_cast<std::uint8_t>(1U << bit % 8);
        status_of(image, {.orient = true, .max_pixels = 1'000'000});
    }
}

/// Expects every shorter image to be truncated, where as many bytes are there as a signature needs;
/// fewer are of no format.
inline void cut_everywhere(const Bytes& good, std::size_t signature_size, std::size_t end) {
    for (std::size_t length = 1; length < end; length += test::stride(end)) {
        const ImageStatus expected =
            length < signature_size ? ImageStatus::unsupported : ImageStatus::truncated;
        ASSERT_EQ(status_of({good.data(), length}, {.orient = true}), expected) << length;
    }
}

} // namespace vamhash
