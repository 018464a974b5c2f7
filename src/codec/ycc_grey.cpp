#include "codec/ycc_grey.h"

#include <algorithm>
#include <utility>

namespace vamhash {

namespace {

constexpr std::uint32_t rows_per_group = 16;

/// Room before and after a chroma row's samples, for the repeated ones and whole vectors.
constexpr std::size_t chroma_margin = 32;

/// A row's bytes as an odd number of cache lines: the rows of a block fall into different sets of
/// the cache at every width.
std::size_t row_stride(std::size_t bytes) {
    constexpr std::size_t cache_line = 64;
    return (bytes + cache_line - 1) / cache_line * cache_line | cache_line;
}

} // namespace

const YccKernels* ycc_kernels(Isa isa) {
#if defined(__x86_64__)
    static constexpr YccKernels avx2{.find_reach = find_reach_avx2,
                                     .luma_to_grey = luma_to_grey_avx2};
    if (isa != Isa::scalar) {
        return &avx2;
    }
#endif
    static_cast<void>(isa);
    return nullptr;
}

YccGrey::YccGrey(const YccShape& shape, const YccKernels& kernels)
    : shape_(shape), kernels_(kernels), blocks_((shape.width + ycc_block - 1) / ycc_block),
      luma_stride_(row_stride(blocks_ * ycc_block)),
      ring_rows_(std::max(2 * shape.luma_rows, 2 * rows_per_group)),
      chroma_rows_(shape.sampling == ChromaSampling::half_both ? shape.luma_rows / 2
                                                               : shape.luma_rows),
      luma_(luma_stride_ * ring_rows_), chroma_(chroma_rows_ + 1), y_rows_(shape.luma_rows),
      cb_rows_(chroma_rows_),
      cr_rows_(chroma_rows_), planes_{y_rows_.data(), cb_rows_.data(), cr_rows_.data()} {
    const std::size_t samples =
        shape.sampling == ChromaSampling::full ? blocks_ * ycc_block : blocks_ * ycc_block / 2;
    const std::size_t plane_stride = row_stride(samples + 2 * chroma_margin);
    const std::size_t stride = row_stride(2 * plane_stride + 2 * blocks_);
    chroma_samples_.resize(stride * chroma_.size());
    for (std::size_t i = 0; i < chroma_.size(); ++i) {
        std::uint8_t* const row = chroma_samples_.data() + i * stride;
        std::uint8_t* const reach = row + 2 * plane_stride;
        chroma_[i] = {.cb = row + chroma_margin,
                      .cr = row + plane_stride + chroma_margin,
                      .reach_up = reach,
                      .reach_down = reach + blocks_};
    }
}

std::uint8_t*** YccGrey::planes() {
    std::swap(chroma_.front(), chroma_.back());
    for (std::size_t i = 0; i < y_rows_.size(); ++i) {
        y_rows_[i] = luma_.data() + (taken_ + i) % ring_rows_ * luma_stride_;
    }
    for (std::size_t i = 0; i < chroma_rows_; ++i) {
        cb_rows_[i] = chroma_[i + 1].cb;
        cr_rows_[i] = chroma_[i + 1].cr;
    }
    return planes_.data();
}

void YccGrey::take(GreySink& sink) {
    take_chroma();
    const bool waits = shape_.sampling == ChromaSampling::half_both;
    const std::uint32_t end = std::min(taken_ + shape_.luma_rows, shape_.height);
    const bool last = end == shape_.height;
    convert(waits && !last ? end - 1 : end);
    taken_ += shape_.luma_rows;
    while (given_ + rows_per_group <= converted_ || (last && given_ < converted_)) {
        const std::uint32_t count = std::min(rows_per_group, converted_ - given_);
        sink.rows(luma_.data() + given_ % ring_rows_ * luma_stride_, luma_stride_, count);
        given_ += count;
    }
}

/// Readies the chroma rows that have come for the kernels.
void YccGrey::take_chroma() {
    const std::uint32_t first = taken_ / shape_.luma_rows * chroma_rows_;
    const std::uint32_t count = std::min(chroma_rows_, shape_.chroma_height - first);
    for (std::uint32_t i = 1; i <= count; ++i) {
        const ChromaRow& row = chroma_[i];
        for (std::uint8_t* samples : {row.cb, row.cr}) {
            samples[-1] = samples[0];
            samples[shape_.chroma_width] = samples[shape_.chroma_width - 1];
        }
        kernels_.find_reach(shape_.sampling, row, blocks_);
    }
}

/// Converts the luma rows up to one.
void YccGrey::convert(std::uint32_t end) {
    const bool halved = shape_.sampling == ChromaSampling::half_both;
    const std::uint32_t first = taken_ / shape_.luma_rows * chroma_rows_;
    // chroma_[0] is the row before `first`
    const auto chroma = [&](std::uint32_t row) -> const ChromaRow& {
        return chroma_[row + 1 - first];
    };
    for (; converted_ < end; ++converted_) {
        std::uint32_t near = converted_;
        std::uint32_t far = converted_;
        if (halved) {
            near = converted_ / 2;
            far = converted_ % 2 == 0 ? std::max(near, 1U) - 1
                                      : std::min(near + 1, shape_.chroma_height - 1);
        }
        std::uint8_t* const luma = luma_.data() + converted_ % ring_rows_ * luma_stride_;
        kernels_.luma_to_grey(shape_.sampling, luma, chroma(near), chroma(far), blocks_);
    }
}

} // namespace vamhash
