// A coefficient is the sum over all pixels of p(y, x) cos(a) cos(b), where a = (2y+1) u pi/64 and
// b = (2x+1) v pi/64. With 2 cos(a) cos(b) = cos(a+b) + cos(a-b) each factor is one cosine of a
// multiple of pi/64, so that a single table of 42 fractional bits gives coefficients to 3e-8, in
// plain 64-bit sums that any device repeats bit for bit. The table has a cosine's symmetries
// exactly: what is zero or equal by symmetry stays so, where a double DCT leaves rounding noise.
#include "hash/dct.h"

#include "../../kernels/dct_cosines.h"

namespace vamhash {

namespace {

constexpr unsigned full_turn = 128;

constexpr std::array<std::int64_t, full_turn> make_cosines() {
    std::array<std::int64_t, full_turn> cosines{};
    for (unsigned m = 0; m <= full_turn / 4; ++m) {
        cosines[m] = dct_quarter_wave[m];
        cosines[(full_turn - m) % full_turn] = dct_quarter_wave[m];
        cosines[full_turn / 2 - m] = -dct_quarter_wave[m];
        cosines[full_turn / 2 + m] = -dct_quarter_wave[m];
    }
    return cosines;
}
constexpr std::array<std::int64_t, full_turn> cosines = make_cosines();

constexpr std::size_t half = dct_size / 2;
using FoldedPicture = std::array<std::int32_t, half * half>;

/// Adds up the four pixels that mirror each other: a frequency's cosines are equal there (even
/// frequencies) or opposite (odd ones).
FoldedPicture fold(std::span<const std::uint8_t, dct_size * dct_size> pixels, bool odd_vertical,
                   bool odd_horizontal) {
    const std::int32_t vertical = odd_vertical ? -1 : 1;
    const std::int32_t horizontal = odd_horizontal ? -1 : 1;
    FoldedPicture folded{};
    for (std::size_t y = 0; y < half; ++y) {
        const std::uint8_t* const top = pixels.data() + y * dct_size;
        const std::uint8_t* const bottom = pixels.data() + (dct_size - 1 - y) * dct_size;
        for (std::size_t x = 0; x < half; ++x) {
            const std::size_t mirrored = dct_size - 1 - x;
            folded[y * half + x] = top[x] + horizontal * top[mirrored] +
                                   vertical * (bottom[x] + horizontal * bottom[mirrored]);
        }
    }
    return folded;
}

std::int64_t coefficient(const FoldedPicture& folded, unsigned u, unsigned v) {
    std::int64_t sum = 0;
    for (unsigned y = 0; y < half; ++y) {
        const unsigned a = (2 * y + 1) * u;
        for (unsigned x = 0; x < half; ++x) {
            const unsigned b = (2 * x + 1) * v;
            sum += folded[y * half + x] *
                   (cosines[(a + b) % full_turn] + cosines[(a - b) % full_turn]);
        }
    }
    return sum;
}

} // namespace

std::array<std::int64_t, dct_kept * dct_kept>
low_frequencies(std::span<const std::uint8_t, dct_size * dct_size> pixels) {
    std::array<std::int64_t, dct_kept * dct_kept> coefficients{};
    for (unsigned parity = 0; parity < 4; ++parity) {
        const FoldedPicture folded = fold(pixels, parity / 2 != 0, parity % 2 != 0);
        for (unsigned u = parity / 2; u < dct_kept; u += 2) {
            for (unsigned v = parity % 2; v < dct_kept; v += 2)
                coefficients[u * dct_kept + v] = coefficient(folded, u, v);
        }
    }
    return coefficients;
}

} // namespace vamhash
