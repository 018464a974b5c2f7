#include "hash/resample.h"

#include "hash/pass_cache.h"

#include <algorithm>
#include <cstring>

namespace vamhash {

namespace {

/// The kernels of an instruction set; none for scalar.
const ResampleKernels* kernels_for(Isa isa) {
#if defined(__x86_64__)
    switch (isa) {
    case Isa::avx2:
        return &resample_avx2;
    case Isa::avx512:
        return &resample_avx512;
    default:
        return nullptr;
    }
#else
    static_cast<void>(isa);
#endif
    return nullptr;
}

/// Rounds a sum of products to a pixel. The sums stay below 2^31: a Lanczos window's coefficients
/// add up to 1, their magnitudes to less than 1.6.
std::uint8_t clip(std::int32_t sum) {
    return static_cast<std::uint8_t>(std::clamp(sum >> coefficient_bits, 0, 255));
}

/// The definition of an output sample: `in` is its window's first sample, `step` bytes lie between
/// two.
std::uint8_t weighted_sum(std::span<const std::int32_t> coefficients, const std::uint8_t* in,
                          std::size_t step) {
    std::int32_t sum = 1 << (coefficient_bits - 1);
    for (std::size_t i = 0; i < coefficients.size(); ++i)
        sum += in[i * step] * coefficients[i];
    return clip(sum);
}

} // namespace

HorizontalPass::HorizontalPass(std::uint32_t in_width, std::uint32_t out_width, Isa isa)
    : in_width_(in_width), row_bytes_(in_width), kernels_(kernels_for(isa)) {
    LanczosFilter filter(in_width, out_width);
    if (kernels_ == nullptr) {
        filter_ = std::move(filter);
    } else if (in_width / out_width >= kernels_->long_reduction) {
        const auto& packed = filter_.emplace<PackedLongFilter>(filter, *kernels_);
        row_bytes_ = std::max(in_width, packed.row_bytes());
    } else {
        filter_.emplace<PackedShortFilter>(filter, *kernels_);
    }
}

void HorizontalPass::run(const std::uint8_t* rows, std::size_t stride, std::uint32_t count,
                         std::uint8_t* out, std::size_t out_stride) const {
    if (const auto* short_filter = std::get_if<PackedShortFilter>(&filter_)) {
        kernels_->short_rows(short_filter->view(), rows, stride, in_width_, out, out_stride);
    } else if (const auto* long_filter = std::get_if<PackedLongFilter>(&filter_)) {
        kernels_->long_rows(long_filter->view(), rows, stride, out, out_stride);
    } else if (const auto* filter = std::get_if<LanczosFilter>(&filter_)) {
        for (std::uint32_t row = 0; row < count; ++row) {
            for (std::uint32_t x = 0; x < filter->out_size(); ++x) {
                out[row * out_stride + x] = weighted_sum(
                    filter->coefficients(x), rows + row * stride + filter->window(x).first, 1);
            }
        }
    }
}

VerticalPass::VerticalPass(std::uint32_t in_height, std::uint32_t out_height, Isa isa)
    : kernels_(kernels_for(isa)) {
    LanczosFilter filter(in_height, out_height);
    windows_ = filter.windows();
    max_taps_ = filter.max_taps();
    if (kernels_ == nullptr) {
        filter_ = std::move(filter);
    } else {
        filter_.emplace<PackedColumnFilter>(filter, *kernels_);
    }
}

void VerticalPass::run(std::size_t output, const std::uint8_t* rows, std::size_t stride,
                       std::uint32_t width, std::uint8_t* out) const {
    if (const auto* packed = std::get_if<PackedColumnFilter>(&filter_)) {
        kernels_->columns(packed->coefficients(output), packed->lanes(output), rows, stride, width,
                          out);
    } else if (const auto* filter = std::get_if<LanczosFilter>(&filter_)) {
        for (std::uint32_t x = 0; x < width; ++x)
            out[x] = weighted_sum(filter->coefficients(output), rows + x, stride);
    }
}

Resampler::Resampler(std::uint32_t in_width, std::uint32_t in_height, std::uint32_t out_width,
                     std::uint32_t out_height, Isa isa)
    : out_width_(out_width), out_height_(out_height),
      horizontal_(shared_pass<HorizontalPass>(in_width, out_width, isa)),
      vertical_(shared_pass<VerticalPass>(in_height, out_height, isa)),
      stride_((out_width + std::size_t{15}) / 16 * 16) {
    // At least as many rows as pushed by one call beside a whole window; half a window or 64 rows
    // more, so that sliding costs little.
    const std::uint32_t most = in_height + rows_per_group - 1;
    const std::uint32_t taps = vertical_->max_taps();
    capacity_ = std::min(most, taps + rows_per_group + std::max<std::uint32_t>(taps / 2, 64));
    capacity_ = capacity_ / rows_per_group * rows_per_group;
    window_.resize(capacity_ * stride_);
    finished_.resize(stride_);
}

void Resampler::push(const std::uint8_t* rows, std::size_t stride, std::uint32_t count) {
    if (filled_ + rows_per_group > capacity_)
        slide();
    horizontal_->run(rows, stride, count, window_.data() + filled_ * stride_, stride_);
    filled_ += count;
}

/// Drops the rows that no further output reads.
void Resampler::slide() {
    const std::uint32_t needed =
        next_ < out_height_ ? vertical_->window(next_).first : base_ + filled_;
    const std::uint32_t lane = vertical_->lane_rows();
    const std::uint32_t dropped = std::min(needed - base_, filled_) / lane * lane;
    filled_ -= dropped;
    base_ += dropped;
    std::memmove(window_.data(), window_.data() + dropped * stride_, filled_ * stride_);
}

const std::uint8_t* Resampler::next_row() {
    if (next_ == out_height_)
        return nullptr;
    const Window& window = vertical_->window(next_);
    if (window.end() > base_ + filled_)
        return nullptr;
    const std::uint32_t lane = vertical_->lane_rows();
    const std::size_t first = (window.first - base_) / lane * lane;
    vertical_->run(next_, window_.data() + first * stride_, stride_, out_width_, finished_.data());
    ++next_;
    return finished_.data();
}

} // namespace vamhash
