// Computing a window's weights as Pillow does costs two sin() a tap: 5 ms for the eight filters of
// a 12-megapixel image, as much as the resampling itself. So they are computed twice over:
//
// - Fast: with t = pi x / 3, sinc(x) sinc(x / 3) = s^2 (3 - 4 s^2) / (3 t^2), where s = sin t, and
//   the sines of equidistant t are sums of products with a table shared by all windows of a filter.
//   A coefficient so computed is off by less than 5e-7 (units of the last place of the fixed
//   point).
// - Exact: Pillow's own order of operations, for each window that has a coefficient so near to a
//   half that the fast one might round to the other side. That is one window in many.
//
// This file is compiled without fused multiply-add, which would round differently.
#include "hash/lanczos.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace vamhash {

namespace {

constexpr double lobes = 3.0;
constexpr double unit = 1 << coefficient_bits;
// How near to a half (in units of the last place) the fast way is not trusted.
constexpr double doubt = 4e-6;

double sinc(double x) {
    if (x == 0.0)
        return 1.0;
    x *= std::numbers::pi;
    return std::sin(x) / x;
}

double lanczos(double x) {
    return -lobes <= x && x < lobes ? sinc(x) * sinc(x / lobes) : 0.0;
}

/// A filter's geometry: the doubles Pillow derives all windows from, in its order of operations.
struct Geometry {
    std::uint32_t in_size;
    double scale;   // input samples a output sample
    double support; // half a window's length
    double step;    // distance of two taps in units of the filter's argument

    Geometry(std::uint32_t in, std::uint32_t out) : in_size(in) {
        scale = static_cast<double>(static_cast<float>(in)) / out; // Pillow's box is of floats
        const double filter_scale = std::max(scale, 1.0);
        support = lobes * filter_scale;
        step = 1.0 / filter_scale;
    }
    [[nodiscard]] double center(std::size_t output) const {
        return (static_cast<double>(output) + 0.5) * scale;
    }
    [[nodiscard]] Window window(std::size_t output) const {
        // NOLINTBEGIN(bugprone-incorrect-roundings): Pillow's rounding, towards zero below -0.5
        const auto first = static_cast<std::int64_t>(center(output) - support + 0.5);
        const auto end = static_cast<std::int64_t>(center(output) + support + 0.5);
        // NOLINTEND(bugprone-incorrect-roundings)
        const auto clamped = std::max<std::int64_t>(first, 0);
        return {.first = static_cast<std::uint32_t>(clamped),
                .taps = static_cast<std::uint32_t>(std::min<std::int64_t>(end, in_size) - clamped)};
    }
    /// The filter's argument at a window's first tap, before multiplication by step.
    [[nodiscard]] double offset(std::size_t output, const Window& window) const {
        return static_cast<double>(window.first) - center(output) + 0.5;
    }
};

/// Sines and cosines of the multiples of an angle, from products of a coarse and a fine table.
struct AngleTable {
    std::vector<double> sines;
    std::vector<double> cosines;

    AngleTable(double angle, std::size_t count) : sines(count), cosines(count) {
        constexpr std::size_t fine = 64;
        double fine_sines[fine];
        double fine_cosines[fine];
        for (std::size_t i = 0; i < std::min(fine, count); ++i) {
            fine_sines[i] = std::sin(static_cast<double>(i) * angle);
            fine_cosines[i] = std::cos(static_cast<double>(i) * angle);
        }
        for (std::size_t start = 0; start < count; start += fine) {
            const double s = std::sin(static_cast<double>(start) * angle);
            const double c = std::cos(static_cast<double>(start) * angle);
            for (std::size_t i = 0; i < std::min(fine, count - start); ++i) {
                sines[start + i] = s * fine_cosines[i] + c * fine_sines[i];
                cosines[start + i] = c * fine_cosines[i] - s * fine_sines[i];
            }
        }
    }
};

/// A window's coefficients, operation by operation as Pillow's precompute_coeffs and
/// normalize_coeffs_8bpc.
void exact_coefficients(const Geometry& geometry, std::size_t output, const Window& window,
                        std::span<double> weights, std::int32_t* coefficients) {
    const double center = geometry.center(output);
    double sum = 0.0;
    for (std::uint32_t i = 0; i < window.taps; ++i) {
        weights[i] =
            lanczos((static_cast<double>(i + window.first) - center + 0.5) * geometry.step);
        sum += weights[i];
    }
    for (std::uint32_t i = 0; i < window.taps; ++i) {
        const double weight = sum != 0.0 ? weights[i] / sum : weights[i];
        coefficients[i] = static_cast<std::int32_t>((weight < 0 ? -0.5 : 0.5) + weight * unit);
    }
}

/// The sum in any order: four sums side by side.
double add_up(std::span<const double> weights) {
    double sums[4] = {};
    std::size_t i = 0;
    for (; i + 4 <= weights.size(); i += 4) {
        for (std::size_t j = 0; j < 4; ++j)
            sums[j] += weights[i + j];
    }
    for (; i < weights.size(); ++i)
        sums[0] += weights[i];
    return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

/// A window's coefficients by the angle table; false if one of them may round to the other side.
bool fast_coefficients(const Geometry& geometry, const AngleTable& table, std::size_t output,
                       const Window& window, std::span<double> weights,
                       std::int32_t* coefficients) {
    const double offset = geometry.offset(output, window);
    const double angle_step = geometry.step * std::numbers::pi / lobes;
    const double first_sine = std::sin(offset * angle_step);
    const double first_cosine = std::cos(offset * angle_step);
    const double* const sines = table.sines.data();
    const double* const cosines = table.cosines.data();
    const auto weigh = [&](std::uint32_t begin, std::uint32_t end) {
        for (std::uint32_t i = begin; i < end; ++i) {
            const double angle =
                (static_cast<double>(static_cast<std::int32_t>(i)) + offset) * angle_step;
            const double sine = first_sine * cosines[i] + first_cosine * sines[i];
            const double square = sine * sine;
            weights[i] = square * (3.0 - 4.0 * square) / (3.0 * angle * angle);
        }
    };
    // Near the centre the quotient loses digits.
    const double near = 0.05 / geometry.step;
    const auto tap = [&](double position) {
        return static_cast<std::uint32_t>(
            std::clamp(position, 0.0, static_cast<double>(window.taps)));
    };
    const std::uint32_t near_begin = tap(-offset - near);
    const std::uint32_t near_end = tap(-offset + near + 1.0);
    weigh(0, near_begin);
    for (std::uint32_t i = near_begin; i < near_end; ++i)
        weights[i] = lanczos((static_cast<double>(i) + offset) * geometry.step);
    weigh(near_end, window.taps);

    const double factor = unit / add_up(weights.first(window.taps));
    std::int32_t doubtful = 0;
    for (std::uint32_t i = 0; i < window.taps; ++i) {
        const double value = weights[i] * factor;
        const double magnitude = std::abs(value) + 0.5;
        const auto rounded = static_cast<std::int32_t>(magnitude);
        doubtful |= static_cast<std::int32_t>(std::abs(magnitude - rounded - 0.5) > 0.5 - doubt);
        coefficients[i] = value < 0 ? -rounded : rounded;
    }
    return doubtful == 0;
}

} // namespace

LanczosFilter::LanczosFilter(std::uint32_t in_size, std::uint32_t out_size)
    : in_size_(in_size), windows_(out_size), offsets_(out_size) {
    const Geometry geometry(in_size, out_size);
    std::size_t total = 0;
    for (std::size_t output = 0; output < out_size; ++output) {
        windows_[output] = geometry.window(output);
        offsets_[output] = total;
        total += windows_[output].taps;
        max_taps_ = std::max(max_taps_, windows_[output].taps);
    }
    coefficients_.resize(total);
    const AngleTable table(geometry.step * std::numbers::pi / lobes, max_taps_);
    std::vector<double> weights(max_taps_);
    for (std::size_t output = 0; output < out_size; ++output) {
        std::int32_t* const coefficients = coefficients_.data() + offsets_[output];
        if (!fast_coefficients(geometry, table, output, windows_[output], weights, coefficients))
            exact_coefficients(geometry, output, windows_[output], weights, coefficients);
    }
}

} // namespace vamhash
