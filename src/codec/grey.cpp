#include "codec/grey.h"

#include "codec/grey_avx2.h"

#include <algorithm>
#include <numeric>

namespace vamhash {

std::uint8_t grey_of_rgb(unsigned red, unsigned green, unsigned blue) {
    return static_cast<std::uint8_t>((red * 19595U + green * 38470U + blue * 7471U + 0x8000U) >>
                                     16);
}

namespace {

template <std::size_t bytes_per_pixel>
void scalar_to_grey(const std::uint8_t* pixels, std::uint8_t* grey, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
        const std::uint8_t* pixel = pixels + i * bytes_per_pixel;
        grey[i] = grey_of_rgb(pixel[0], pixel[1], pixel[2]);
    }
}

/// Pillow's rounded a * b / 255.
unsigned multiply_255(unsigned a, unsigned b) {
    const unsigned product = a * b + 128;
    return ((product >> 8) + product) >> 8;
}

/// Pillow's CMYK to RGB to L.
std::uint8_t grey_of_inks(unsigned cyan, unsigned magenta, unsigned yellow, unsigned black) {
    const unsigned light = 255U - black;
    const auto remaining = [light](unsigned ink) { return light - multiply_255(ink, light); };
    return grey_of_rgb(remaining(cyan), remaining(magenta), remaining(yellow));
}

} // namespace

GreyRow rgb_to_grey(Isa isa) {
#if defined(__x86_64__)
    if (isa != Isa::scalar) {
        return rgb_to_grey_avx2;
    }
#endif
    static_cast<void>(isa);
    return scalar_to_grey<3>;
}

GreyRow rgbx_to_grey(Isa isa) {
#if defined(__x86_64__)
    if (isa != Isa::scalar) {
        return rgbx_to_grey_avx2;
    }
#endif
    static_cast<void>(isa);
    return scalar_to_grey<4>;
}

void inverted_cmyk_to_grey(const std::uint8_t* pixels, std::uint8_t* grey, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
        const std::uint8_t* inverted = pixels + 4 * i;
        grey[i] = grey_of_inks(255U - inverted[0], 255U - inverted[1], 255U - inverted[2],
                               255U - inverted[3]);
    }
}

void cmyk_to_grey(const std::uint8_t* pixels, std::uint8_t* grey, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
        const std::uint8_t* ink = pixels + 4 * i;
        grey[i] = grey_of_inks(ink[0], ink[1], ink[2], ink[3]);
    }
}

void premultiplied_to_grey(const std::uint8_t* pixels, std::uint8_t* grey, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
        const std::uint8_t* pixel = pixels + 4 * i;
        const unsigned alpha = pixel[3];
        const auto divided = [alpha](unsigned value) {
            return std::min(value * 255 / alpha, 255U);
        };
        grey[i] =
            alpha == 0 ? 0 : grey_of_rgb(divided(pixel[0]), divided(pixel[1]), divided(pixel[2]));
    }
}

void grey_alpha_to_grey(const std::uint8_t* pixels, std::uint8_t* grey, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
        grey[i] = pixels[2 * i];
    }
}

std::array<std::uint8_t, 256> palette_to_grey(std::span<const std::uint8_t> palette) {
    std::array<std::uint8_t, 256> grey{};
    for (std::size_t i = 0; i < grey.size() && 3 * i + 2 < palette.size(); ++i) {
        grey[i] = grey_of_rgb(palette[3 * i], palette[3 * i + 1], palette[3 * i + 2]);
    }
    return grey;
}

std::array<std::uint8_t, 256> palette_or_ramp_to_grey(std::span<const std::uint8_t> palette) {
    std::array<std::uint8_t, 256> ramp{};
    std::iota(ramp.begin(), ramp.end(), std::uint8_t{0});
    for (std::size_t i = 0; i < palette.size(); ++i) {
        if (palette[i] != i / 3) {
            return palette_to_grey(palette);
        }
    }
    return ramp;
}

} // namespace vamhash
