// Pillow's two-pass Lanczos resize of 8-bit grey, row by row.
//
// The horizontal pass runs on groups of 16 rows as they come. Its 8-bit results stay in a sliding
// window of rows until the vertical pass has read them; an output row is made as soon as the last
// row it reads has come. So the memory is what one output row reads: 6 in_height / out_height rows
// of out_width bytes, and about half as much again so that the window need not slide often.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include "hash/aligned_vector.h"
#include "hash/lanczos.h"
#include "hash/packed_filter.h"
#include "hash/resample_kernels.h"
#include "simd/isa.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <variant>
#include <vector>

namespace vamhash {

/// Resamples rows to another width.
class HorizontalPass {
  public:
    HorizontalPass(std::uint32_t in_width, std::uint32_t out_width, Isa isa);

    /// Bytes that must be readable from a row's start: its width, or a little more.
    [[nodiscard]] std::uint32_t row_bytes() const { return row_bytes_; }

    /// Resamples `count` rows, at most 16, to rows interleaved by lanes (resample_kernels.h). All
    /// 16 must be readable, and all 16 may be written, each with up to 15 bytes after its last
    /// output.
    void run(const std::uint8_t* rows, std::size_t stride, std::uint32_t count, std::uint8_t* out,
             std::size_t out_stride) const;

  private:
    std::uint32_t in_width_;
    std::uint32_t row_bytes_;
    const ResampleKernels* kernels_;
    std::variant<std::monostate, LanczosFilter, PackedShortFilter, PackedLongFilter> filter_;
};

/// Makes the rows of another height.
class VerticalPass {
  public:
    VerticalPass(std::uint32_t in_height, std::uint32_t out_height, Isa isa);

    /// The rows an output row is made of.
    [[nodiscard]] const Window& window(std::size_t output) const { return windows_[output]; }
    [[nodiscard]] std::uint32_t max_taps() const { return max_taps_; }
    /// The rows that lie interleaved.
    [[nodiscard]] std::uint32_t lane_rows() const {
        return kernels_ == nullptr ? 1 : kernels_->lane_taps;
    }

    /// Makes one output row; `rows` is the lane that its window begins in. Its lanes and `width`
    /// rounded up to 16 must be readable, the latter also writable.
    void run(std::size_t output, const std::uint8_t* rows, std::size_t stride, std::uint32_t width,
             std::uint8_t* out) const;

  private:
    const ResampleKernels* kernels_;
    std::vector<Window> windows_;
    std::uint32_t max_taps_;
    std::variant<std::monostate, LanczosFilter, PackedColumnFilter> filter_;
};

/// Resizes one image.
class Resampler {
  public:
    Resampler(std::uint32_t in_width, std::uint32_t in_height, std::uint32_t out_width,
              std::uint32_t out_height, Isa isa);

    /// Bytes that must be readable from a row's start: its width, or a little more.
    [[nodiscard]] std::uint32_t row_bytes() const { return horizontal_->row_bytes(); }

    /// Takes `count` further rows: 16, or what is left at the end; the memory of 16 must be
    /// readable. Ask for the rows finished by them before the next call.
    void push(const std::uint8_t* rows, std::size_t stride, std::uint32_t count);

    /// The next output row, if finished; valid until the next call of push or next_row.
    const std::uint8_t* next_row();

  private:
    void slide();

    std::uint32_t out_width_;
    std::uint32_t out_height_;
    std::shared_ptr<const HorizontalPass> horizontal_;
    std::shared_ptr<const VerticalPass> vertical_;
    std::size_t stride_;
    std::uint32_t capacity_;   // rows the window can hold
    std::uint32_t base_ = 0;   // input row that the window starts with
    std::uint32_t filled_ = 0; // rows in the window
    std::uint32_t next_ = 0;   // next output row
    AlignedVector<std::uint8_t> window_;
    AlignedVector<std::uint8_t> finished_;
};

} // namespace vamhash
