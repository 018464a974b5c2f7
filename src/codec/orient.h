// Turns grey rows upright on their way to a sink.
//
// A left-right flip is done row by row. Every other orientation needs the picture's last row, or a
// column, first: those hold the grey picture, one byte a pixel, so max_pixels bounds them.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include "codec/exif.h"
#include "codec/image.h"

#include <memory>
#include <vector>

namespace vamhash {

/// A sink that gives another sink the same picture in another orientation.
class OrientingSink : public GreySink {
  public:
    OrientingSink(Orientation orientation, GreySink& upright)
        : orientation_(orientation), upright_(upright) {}

    void start(std::uint32_t width, std::uint32_t height) override;
    void rows(const std::uint8_t* pixels, std::size_t stride, std::uint32_t count) override;

  private:
    void flip_rows(const std::uint8_t* pixels, std::size_t stride, std::uint32_t count);
    void place_row(const std::uint8_t* row, std::size_t y);
    void place_columns(const std::uint8_t* pixels, std::size_t stride, std::uint32_t count);

    Orientation orientation_;
    GreySink& upright_;
    std::size_t width_ = 0; // of the stored picture
    std::size_t height_ = 0;
    std::size_t row_ = 0; // stored rows seen
    std::vector<std::uint8_t> mirrored_;
    std::unique_ptr<std::uint8_t[]> picture_; // upright; none for a left-right flip
};

} // namespace vamhash
