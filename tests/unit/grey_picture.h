// A sink that keeps the picture, for the tests of the codecs.
#pragma once

#include "codec/image.h"

#include <gtest/gtest.h>

#include <vector>

namespace vamhash {

using Bytes = std::vector<std::uint8_t>;

/// A decoded picture.
struct GreyPicture {
    std::uint32_t width = 0;
    std::uint32_t height = 0;
    std::uint32_t rows = 0; // that came
    Bytes pixels;

    [[nodiscard]] bool complete() const { return height > 0 && rows == height; }
};

/// Keeps all rows, and checks that they come as promised: start first, groups of 8, none too many.
class PictureSink : public GreySink {
  public:
    void start(std::uint32_t width, std::uint32_t height) override {
        EXPECT_EQ(picture.height, 0U) << "started twice";
        picture.width = width;
        picture.height = height;
    }
    void rows(const std::uint8_t* pixels, std::size_t stride, std::uint32_t count) override {
        picture.rows += count;
        EXPECT_LE(picture.rows, picture.height);
        EXPECT_TRUE(picture.rows == picture.height || count % 8 == 0) << count << " rows";
        for (std::uint32_t i = 0; i < count; ++i) {
            const std::uint8_t* row = pixels + i * stride;
            picture.pixels.insert(picture.pixels.end(), row, row + picture.width);
        }
    }

    GreyPicture picture;
};

/// The status of decoding an image. The bytes are copied to a buffer of their own length, so that
/// the sanitizers see a read beyond them.
inline ImageStatus status_of(std::span<const std::uint8_t> image, DecodeOptions options = {},
                             std::string* message = nullptr) {
    const Bytes exact(image.begin(), image.end());
    PictureSink sink;
    try {
        decode_grey(exact, options, sink);
    } catch (const ImageError& error) {
        if (message != nullptr) {
            *message = error.what();
        }
        EXPECT_NE(error.status(), ImageStatus::ok);
        return error.status();
    }
    EXPECT_TRUE(sink.picture.complete());
    return ImageStatus::ok;
}

/// Decodes an image that is known to be good.
inline GreyPicture picture_of(std::span<const std::uint8_t> image, DecodeOptions options = {},
                              ImageInfo* info = nullptr) {
    PictureSink sink;
    const ImageInfo decoded = decode_grey(image, options, sink);
    EXPECT_TRUE(sink.picture.complete());
    if (info != nullptr) {
        *info = decoded;
    }
    return sink.picture;
}

/// Pillow's L of one RGB pixel, written apart from src/codec/grey.cpp.
inline std::uint8_t pillow_l(int red, int green, int blue) {
    return static_cast<std::uint8_t>((red * 19595 + green * 38470 + blue * 7471 + 0x8000) / 65536);
}

/// The EXIF data of nothing but an orientation: a TIFF header and a directory of one entry.
inline Bytes exif_with_orientation(std::uint8_t orientation, bool big_endian = false) {
    if (big_endian) {
        return {'M', 'M', 0, 42, 0, 0, 0,           8, 0, 1, 0x01, 0x12, 0,
                3,   0,   0, 0,  1, 0, orientation, 0, 0, 0, 0,    0,    0};
    }
    return {'I', 'I', 42, 0, 8, 0,           0, 0, 1, 0, 0x12, 0x01, 3,
            0,   1,   0,  0, 0, orientation, 0, 0, 0, 0, 0,    0,    0};
}

/// What Pillow's exif_transpose makes of a picture, written by the place of each pixel.
inline Bytes turned(const Bytes& stored, std::size_t width, std::size_t height, int orientation) {
    const bool swapped = orientation >= 5;
    const std::size_t shown_width = swapped ? height : width;
    const std::size_t shown_height = swapped ? width : height;
    Bytes shown;
    for (std::size_t y = 0; y < shown_height; ++y) {
        for (std::size_t x = 0; x < shown_width; ++x) {
            std::size_t from_x = swapped ? y : x;
            std::size_t from_y = swapped ? x : y;
            if (orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8) {
                from_x = width - 1 - from_x;
            }
            if (orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7) {
                from_y = height - 1 - from_y;
            }
            shown.push_back(stored[from_y * width + from_x]);
        }
    }
    return shown;
}

} // namespace vamhash
