#include "codec/orient.h"

#include <algorithm>

namespace vamhash {

void OrientingSink::start(std::uint32_t width, std::uint32_t height) {
    width_ = width;
    height_ = height;
    row_ = 0;
    if (orientation_ > Orientation::flip_left_right) {
        // Not zeroed: a small file that claims a large picture should cost no memory.
        picture_ = std::make_unique_for_overwrite<std::uint8_t[]>(width_ * height_);
    }
    if (swaps_axes(orientation_)) {
        upright_.start(height, width);
    } else {
        upright_.start(width, height);
    }
}

void OrientingSink::rows(const std::uint8_t* pixels, std::size_t stride, std::uint32_t count) {
    switch (orientation_) {
    case Orientation::as_stored:
        upright_.rows(pixels, stride, count);
        return;
    case Orientation::flip_left_right:
        flip_rows(pixels, stride, count);
        return;
    case Orientation::rotate_180:
    case Orientation::flip_top_bottom:
        for (std::uint32_t i = 0; i < count; ++i) {
            place_row(pixels + i * stride, row_ + i);
        }
        break;
    default:
        place_columns(pixels, stride, count);
    }
    row_ += count;
    if (row_ == height_) {
        if (swaps_axes(orientation_)) {
            upright_.rows(picture_.get(), height_, static_cast<std::uint32_t>(width_));
        } else {
            upright_.rows(picture_.get(), width_, static_cast<std::uint32_t>(height_));
        }
    }
}

/// Mirrors rows and passes them on.
void OrientingSink::flip_rows(const std::uint8_t* pixels, std::size_t stride, std::uint32_t count) {
    mirrored_.resize(width_ * count);
    for (std::uint32_t i = 0; i < count; ++i) {
        const std::uint8_t* row = pixels + i * stride;
        std::reverse_copy(row, row + width_, mirrored_.data() + i * width_);
    }
    upright_.rows(mirrored_.data(), width_, count);
}

/// Puts stored row y, mirrored for a half turn, at its place from the bottom.
void OrientingSink::place_row(const std::uint8_t* row, std::size_t y) {
    std::uint8_t* place = picture_.get() + (height_ - 1 - y) * width_;
    if (orientation_ == Orientation::rotate_180) {
        std::reverse_copy(row, row + width_, place);
    } else {
        std::copy_n(row, width_, place);
    }
}

/// Puts the next stored rows as columns. One upright row takes its bytes of all these rows at once,
/// so that each cache line of the picture is visited once a group.
void OrientingSink::place_columns(const std::uint8_t* pixels, std::size_t stride,
                                  std::uint32_t count) {
    const bool first_column_last = orientation_ == Orientation::transverse ||
                                   orientation_ == Orientation::rotate_anticlockwise;
    const bool first_row_right =
        orientation_ == Orientation::transverse || orientation_ == Orientation::rotate_clockwise;
    for (std::size_t x = 0; x < width_; ++x) {
        std::uint8_t* line = picture_.get() + (first_column_last ? width_ - 1 - x : x) * height_;
        if (first_row_right) {
            for (std::size_t i = 0; i < count; ++i) {
                line[height_ - 1 - row_ - i] = pixels[i * stride + x];
            }
        } else {
            for (std::size_t i = 0; i < count; ++i) {
                line[row_ + i] = pixels[i * stride + x];
            }
        }
    }
}

} // namespace vamhash
