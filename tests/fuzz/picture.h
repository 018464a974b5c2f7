// A decoded picture, kept to compare it with others.
#pragma once

#include "codec/image.h"
#include "codec/orient.h"
#include "fuzz.h"
#include "hash/image_hasher.h"

#include <functional>
#include <new>
#include <string>

namespace vamhash::fuzz {

/// Keeps all rows, and finds those that a codec must not send.
class PictureSink : public GreySink {
  public:
    void start(std::uint32_t width, std::uint32_t height) override {
        require(this->height == 0, "a picture is started twice");
        require(width > 0 && height > 0, "a picture without pixels is started");
        this->width = width;
        this->height = height;
    }
    void rows(const std::uint8_t* bytes, std::size_t stride, std::uint32_t count) override {
        require(count > 0 && count <= height - row_count, "rows come before or beyond the picture");
        row_count += count;
        for (std::uint32_t i = 0; i < count; ++i) {
            const std::uint8_t* row = bytes + i * stride;
            pixels.insert(pixels.end(), row, row + width);
        }
    }

    std::uint32_t width = 0;
    std::uint32_t height = 0;
    std::uint32_t row_count = 0;
    Bytes pixels;
};

/// What decoding an image ends with: a picture, or an ImageError.
struct Outcome {
    ImageStatus status = ImageStatus::ok;
    std::string message;
    ImageInfo info;
    std::uint32_t width = 0; // of the pixels; of the grid of a fast decode
    std::uint32_t height = 0;
    Bytes pixels;

    [[nodiscard]] bool good() const { return status == ImageStatus::ok; }

    friend bool operator==(const Outcome& a, const Outcome& b) {
        return a.status == b.status && a.message == b.message && a.info.width == b.info.width &&
               a.info.height == b.info.height && a.info.format == b.info.format &&
               a.width == b.width && a.height == b.height && a.pixels == b.pixels;
    }
};

/// Runs a decoder. No fault of an image may be other than one of the four that SQL knows.
inline Outcome outcome_of(const std::function<ImageInfo(GreySink&)>& decode) {
    PictureSink sink;
    Outcome outcome;
    try {
        outcome.info = decode(sink);
        require(sink.row_count == sink.height && sink.height > 0, "rows are missing");
        outcome.width = sink.width;
        outcome.height = sink.height;
        outcome.pixels = std::move(sink.pixels);
    } catch (const ImageError& error) {
        outcome.status = error.status();
        outcome.message = error.what();
        require(outcome.status >= ImageStatus::truncated &&
                    outcome.status <= ImageStatus::too_large,
                "an image's fault is not one of an image: " + outcome.message);
    } catch (const std::bad_alloc&) {
        require(false, "a small image takes more memory than there is");
    }
    return outcome;
}

/// A stored picture turned by its orientation: each pixel is looked up where it came from.
inline Outcome turned(Outcome picture, Orientation orientation) {
    if (!picture.good() || orientation == Orientation::as_stored) {
        return picture;
    }
    const auto turn = static_cast<unsigned>(orientation);
    const Bytes stored = picture.pixels;
    const std::size_t width = picture.width;
    const std::size_t last_x = width - 1;
    const std::size_t last_y = picture.height - std::size_t{1};
    if (swaps_axes(orientation)) {
        std::swap(picture.width, picture.height);
        std::swap(picture.info.width, picture.info.height);
    }
    auto pixel = picture.pixels.begin();
    for (std::size_t row = 0; row < picture.height; ++row) {
        for (std::size_t column = 0; column < picture.width; ++column) {
            const std::size_t x = swaps_axes(orientation) ? row : column;
            const std::size_t y = swaps_axes(orientation) ? column : row;
            const bool from_right = turn == 2 || turn == 3 || turn == 7 || turn == 8;
            const bool from_below = turn == 3 || turn == 4 || turn == 6 || turn == 7;
            *pixel++ =
                stored[(from_below ? last_y - y : y) * width + (from_right ? last_x - x : x)];
        }
    }
    return picture;
}

/// The hashes of pixels, handed over in groups of as many rows as `next_count` says.
inline ImageHashes hashes_of(const Bytes& pixels, std::uint32_t width, std::uint32_t height,
                             Isa isa, const std::function<std::uint32_t()>& next_count) {
    ImageHasher hasher(hash_all, isa);
    hasher.start(width, height);
    for (std::uint32_t y = 0; y < height;) {
        const std::uint32_t count = std::min(next_count(), height - y);
        // Memory of their own, so that AddressSanitizer sees what is read beyond them.
        const auto first = pixels.begin() + static_cast<std::ptrdiff_t>(y) * width;
        const Bytes rows(first, first + static_cast<std::ptrdiff_t>(count) * width);
        hasher.rows(rows.data(), width, count);
        y += count;
    }
    return hasher.finish();
}

} // namespace vamhash::fuzz
