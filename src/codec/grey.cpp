#include "codec/grey.h"

#include "codec/grey_avx2.h"

namespace vamhash {

namespace {

std::uint8_t luma(unsigned red, unsigned green, unsigned blue) {
    return static_cast<std::uint8_t>((red * 19595U + green * 38470U + blue * 7471U + 0x8000U) >>
                                     16);
}

template <std::size_t bytes_per_pixel>
void scalar_to_grey(const std::uint8_t* pixels, std::uint8_t* grey, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
        const std::uint8_t* pixel = pixels + i * bytes_per_pixel;
        grey[i] = luma(pixel[0], pixel[1], pixel[2]);
    }
}

/// Pillow's rounded a * b / 255.
unsigned multiply_255(unsigned a, unsigned b) {
    const unsigned product = a * b + 128;
    return ((product >> 8) + product) >> 8;
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
        const unsigned light = inverted[3]; // 255 - black
        const auto remaining = [&](unsigned ink) { return light - multiply_255(ink, light); };
        grey[i] = luma(remaining(255U - inverted[0]), remaining(255U - inverted[1]),
                       remaining(255U - inverted[2]));
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
        grey[i] = luma(palette[3 * i], palette[3 * i + 1], palette[3 * i + 2]);
    }
    return grey;
}

} // namespace vamhash
