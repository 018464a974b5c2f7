// Resampling. The independent answer to the filters and the scalar passes is Pillow's algorithm
// written down plainly here, on the whole image; the SIMD kernels answer to the scalar passes.
#include "hash/lanczos.h"
#include "hash/resample.h"
#include "simd/isa.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <ostream>
#include <random>
#include <span>
#include <string>
#include <vector>

namespace vamhash {
namespace {

struct Size {
    std::uint32_t width;
    std::uint32_t height;
    friend std::ostream& operator<<(std::ostream& out, const Size& size) {
        return out << size.width << 'x' << size.height;
    }
};

using Pixels = std::vector<std::uint8_t>;

double sinc(double x) {
    if (x == 0.0)
        return 1.0;
    x = x * std::numbers::pi;
    return std::sin(x) / x;
}

double lanczos(double x) {
    return -3.0 <= x && x < 3.0 ? sinc(x) * sinc(x / 3) : 0.0;
}

struct PlainWindow {
    int first;
    std::vector<std::int32_t> coefficients;
    bool operator==(const PlainWindow&) const = default;
};

// NOLINTBEGIN(bugprone-incorrect-roundings): Pillow's rounding
PlainWindow plain_window(int in_size, int out_size, int output) {
    const double scale = static_cast<double>(in_size) / out_size;
    const double filter_scale = scale < 1.0 ? 1.0 : scale;
    const double support = 3.0 * filter_scale;
    const double center = (output + 0.5) * scale;
    const double step = 1.0 / filter_scale;
    const int first = std::max(static_cast<int>(center - support + 0.5), 0);
    const int end = std::min(static_cast<int>(center + support + 0.5), in_size);
    std::vector<double> weights;
    double sum = 0.0;
    for (int x = 0; x < end - first; ++x) {
        weights.push_back(lanczos((x + first - center + 0.5) * step));
        sum += weights.back();
    }
    PlainWindow window{.first = first, .coefficients = {}};
    for (double weight : weights) {
        weight /= sum;
        window.coefficients.push_back(weight < 0 ? static_cast<int>(-0.5 + weight * (1 << 22))
                                                 : static_cast<int>(0.5 + weight * (1 << 22)));
    }
    return window;
}
// NOLINTEND(bugprone-incorrect-roundings)

std::vector<PlainWindow> windows_of(const LanczosFilter& filter) {
    std::vector<PlainWindow> windows;
    for (std::uint32_t o = 0; o < filter.out_size(); ++o) {
        const auto coefficients = filter.coefficients(o);
        windows.push_back({.first = static_cast<int>(filter.window(o).first),
                           .coefficients = {coefficients.begin(), coefficients.end()}});
    }
    return windows;
}

std::vector<PlainWindow> plain_windows(std::uint32_t in_size, std::uint32_t out_size) {
    std::vector<PlainWindow> windows;
    for (std::uint32_t o = 0; o < out_size; ++o) {
        windows.push_back(plain_window(static_cast<int>(in_size), static_cast<int>(out_size),
                                       static_cast<int>(o)));
    }
    return windows;
}

std::uint8_t plain_sum(const PlainWindow& window, const std::uint8_t* in, std::size_t step) {
    std::int64_t sum = 1 << 21;
    for (std::size_t i = 0; i < window.coefficients.size(); ++i)
        sum += std::int64_t{window.coefficients[i]} * in[(window.first + i) * step];
    EXPECT_LT(std::abs(sum), std::int64_t{1} << 31);
    return static_cast<std::uint8_t>(std::clamp<std::int64_t>(sum >> 22, 0, 255));
}

Pixels plain_resize(const Pixels& in, Size from, Size to) {
    Pixels middle(static_cast<std::size_t>(to.width) * from.height);
    const auto horizontal = plain_windows(from.width, to.width);
    for (std::size_t y = 0; y < from.height; ++y) {
        for (std::size_t x = 0; x < to.width; ++x)
            middle[y * to.width + x] = plain_sum(horizontal[x], in.data() + y * from.width, 1);
    }
    Pixels out(static_cast<std::size_t>(to.width) * to.height);
    const auto vertical = plain_windows(from.height, to.height);
    for (std::size_t y = 0; y < to.height; ++y) {
        for (std::size_t x = 0; x < to.width; ++x)
            out[y * to.width + x] = plain_sum(vertical[y], middle.data() + x, to.width);
    }
    return out;
}

/// Resizes by a Resampler, in groups of 16 rows whose memory ends where it may.
Pixels resize(const Pixels& in, Size from, Size to, Isa isa) {
    Resampler resampler(from.width, from.height, to.width, to.height, isa);
    Pixels out;
    for (std::uint32_t y = 0; y < from.height; y += rows_per_group) {
        const std::uint32_t count = std::min(rows_per_group, from.height - y);
        const std::size_t stride = resampler.row_bytes();
        Pixels group(stride * rows_per_group, 0xAA);
        for (std::uint32_t row = 0; row < count; ++row) {
            std::copy_n(in.begin() + static_cast<std::ptrdiff_t>(y + row) * from.width, from.width,
                        group.begin() + static_cast<std::ptrdiff_t>(row * stride));
        }
        resampler.push(group.data(), stride, count);
        while (const std::uint8_t* row = resampler.next_row())
            out.insert(out.end(), row, row + to.width);
    }
    return out;
}

enum class Content { zeros, full, noise, black_white, checkerboard, columns };
constexpr Content contents[] = {Content::zeros,       Content::full,         Content::noise,
                                Content::black_white, Content::checkerboard, Content::columns};

Pixels make_pixels(Size size, Content content) {
    std::mt19937 random(size.width * 7919 + size.height);
    Pixels pixels(static_cast<std::size_t>(size.width) * size.height);
    for (std::size_t i = 0; i < pixels.size(); ++i) {
        const std::size_t x = i % size.width;
        const std::size_t y = i / size.width;
        unsigned value = 0;
        switch (content) {
        case Content::zeros:
            break;
        case Content::full:
            value = 255;
            break;
        case Content::noise:
            value = random();
            break;
        case Content::black_white:
            value = random() % 2 * 255;
            break;
        case Content::checkerboard:
            value = (x + y) % 2 * 255;
            break;
        case Content::columns:
            value = x / 3 % 2 * 255;
            break;
        }
        pixels[i] = static_cast<std::uint8_t>(value);
    }
    return pixels;
}

std::vector<Isa> simd_isas() {
    return {std::next(available_isas().begin()), available_isas().end()};
}

/// Whether every instruction set makes of each content what the scalar passes make.
void expect_simd_equals_scalar(Size from, Size to, std::span<const Content> some) {
    for (const Content content : some) {
        const Pixels in = make_pixels(from, content);
        const Pixels expected = resize(in, from, to, Isa::scalar);
        ASSERT_EQ(expected.size(), static_cast<std::size_t>(to.width) * to.height);
        for (const Isa isa : simd_isas()) {
            ASSERT_EQ(resize(in, from, to, isa), expected)
                << from << " to " << to << " by " << isa_name(isa) << ", content "
                << static_cast<int>(content);
        }
    }
}

TEST(LanczosFilter, IsPillows) {
    for (const std::uint32_t out_size : {8U, 9U, 32U}) {
        for (std::uint32_t in_size = 1; in_size < 300; ++in_size) {
            ASSERT_EQ(windows_of(LanczosFilter(in_size, out_size)),
                      plain_windows(in_size, out_size))
                << in_size << " to " << out_size;
        }
    }
    std::mt19937 random(3);
    for (int i = 0; i < 60; ++i) {
        const std::uint32_t in_size =
            std::uniform_int_distribution<std::uint32_t>(300, i < 50 ? 5000 : 65500)(random);
        for (const std::uint32_t out_size : {8U, 9U, 32U, 64U, std::bit_floor(in_size)}) {
            ASSERT_EQ(windows_of(LanczosFilter(in_size, out_size)),
                      plain_windows(in_size, out_size))
                << in_size << " to " << out_size;
        }
    }
}

TEST(LanczosFilter, ToTheSameSizeIsTheIdentity) {
    for (const std::uint32_t size : {1U, 2U, 8U, 33U, 1024U}) {
        const LanczosFilter filter(size, size);
        for (std::uint32_t o = 0; o < size; ++o) {
            for (std::uint32_t i = 0; i < filter.window(o).taps; ++i) {
                EXPECT_EQ(filter.coefficients(o)[i],
                          filter.window(o).first + i == o ? 1 << coefficient_bits : 0);
            }
        }
    }
}

TEST(Resampler, IsPillowsTwoPasses) {
    const Size sizes[] = {{1, 1},   {2, 1},    {1, 5},    {8, 8},     {9, 8},    {7, 13},
                          {32, 32}, {33, 31},  {100, 17}, {61, 203},  {400, 37}, {5, 700},
                          {700, 5}, {512, 97}, {97, 512}, {2000, 40}, {40, 2000}};
    for (const Size from : sizes) {
        for (const Size to : {Size{9, 8}, Size{8, 8}, Size{32, 32}, Size{64, 64}, Size{16, 256}}) {
            for (const Content content : {Content::noise, Content::black_white, Content::full}) {
                const Pixels in = make_pixels(from, content);
                ASSERT_EQ(resize(in, from, to, Isa::scalar), plain_resize(in, from, to))
                    << from << " to " << to << ", content " << static_cast<int>(content);
            }
        }
    }
}

TEST(Resampler, SimdEqualsScalarOnSmallSizes) {
    constexpr Content some[] = {Content::noise, Content::black_white};
    for (std::uint32_t width = 1; width <= 48; ++width) {
        for (const std::uint32_t height : {1U, 2U, 8U, 9U, 15U, 16U, 17U, 31U, 40U}) {
            for (const Size to : {Size{9, 8}, Size{8, 8}, Size{32, 32}, Size{16, 16}})
                expect_simd_equals_scalar({width, height}, to, some);
        }
    }
}

TEST(Resampler, SimdEqualsScalarOnEveryContent) {
    const Size sizes[] = {{1, 1},     {3, 1000},  {1000, 3},   {127, 64},   {128, 128}, {129, 61},
                          {255, 256}, {257, 100}, {509, 123},  {1023, 33},  {1024, 48}, {1025, 50},
                          {1536, 20}, {2047, 70}, {2049, 300}, {4000, 100}, {100, 4000}};
    for (const Size from : sizes) {
        const std::uint32_t side = std::max(8U, std::bit_floor(std::min(from.width, from.height)));
        for (const Size to : {Size{9, 8}, Size{8, 8}, Size{32, 32}, Size{side, side}})
            expect_simd_equals_scalar(from, to, contents);
    }
}

TEST(Resampler, SimdEqualsScalarAtEveryReduction) {
    // Reductions from 1/8 to 300, across the border of short and long filters.
    constexpr Content some[] = {Content::noise, Content::black_white, Content::full};
    for (std::uint32_t width = 1; width < 2400; width += width / 9 + 1)
        expect_simd_equals_scalar({width, 20}, {8, 8}, some);
    for (std::uint32_t width = 200; width < 300; ++width)
        expect_simd_equals_scalar({width, 16}, {9, 8}, some);
    for (std::uint32_t height = 1; height < 2400; height += height / 9 + 1)
        expect_simd_equals_scalar({20, height}, {8, 8}, some);
    for (std::uint32_t out = 8; out < 2400; out += out / 5 + 1)
        expect_simd_equals_scalar({2399, 16}, {out, 16}, some);
}

TEST(Resampler, SimdEqualsScalarOnRandomSizes) {
    std::mt19937 random(11);
    constexpr Content some[] = {Content::noise, Content::black_white};
    for (int i = 0; i < 150; ++i) {
        const auto up_to = [&](std::uint32_t most) {
            return std::uniform_int_distribution<std::uint32_t>(1, most)(random);
        };
        const Size from{.width = up_to(900), .height = up_to(400)};
        const Size to{.width = up_to(80), .height = up_to(300)};
        expect_simd_equals_scalar(from, to, some);
    }
}

TEST(Resampler, TakesExtremeAspects) {
    constexpr Content some[] = {Content::noise, Content::full};
    for (const Size from : {Size{65500, 8}, Size{65500, 1}, Size{8, 65500}, Size{1, 65500}}) {
        for (const Size to : {Size{9, 8}, Size{8, 8}, Size{32, 32}})
            expect_simd_equals_scalar(from, to, some);
    }
}

} // namespace
} // namespace vamhash
