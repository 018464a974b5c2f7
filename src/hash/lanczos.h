// The Lanczos filters of Pillow's Image.resize, in its 22-bit fixed point.
//
// An output sample is a weighted sum of a window of input samples. Pillow computes the weights of
// a window in double precision, divides them by their sum and rounds them to integers; from there
// on everything is integer arithmetic. So the weights here must be Pillow's to the last bit, and
// they come from the C library's sin(), as Pillow's do.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace vamhash {

/// Fractional bits of a coefficient: 32 less 8 for the pixel and 2 for sign and overshoot.
inline constexpr int coefficient_bits = 22;

/// The input samples an output sample reads.
struct Window {
    std::uint32_t first = 0;
    std::uint32_t taps = 0;
    [[nodiscard]] std::uint32_t end() const { return first + taps; }
};

/// The filter that resamples in_size samples to out_size.
class LanczosFilter {
  public:
    LanczosFilter(std::uint32_t in_size, std::uint32_t out_size);

    [[nodiscard]] std::uint32_t in_size() const { return in_size_; }
    [[nodiscard]] std::uint32_t out_size() const {
        return static_cast<std::uint32_t>(windows_.size());
    }
    /// Most taps any output has.
    [[nodiscard]] std::uint32_t max_taps() const { return max_taps_; }
    [[nodiscard]] const Window& window(std::size_t output) const { return windows_[output]; }
    [[nodiscard]] const std::vector<Window>& windows() const { return windows_; }
    /// The coefficients of an output, one a tap.
    [[nodiscard]] std::span<const std::int32_t> coefficients(std::size_t output) const {
        return {coefficients_.data() + offsets_[output], windows_[output].taps};
    }

  private:
    std::uint32_t in_size_;
    std::uint32_t max_taps_ = 0;
    std::vector<Window> windows_;
    std::vector<std::size_t> offsets_;
    std::vector<std::int32_t> coefficients_;
};

} // namespace vamhash
