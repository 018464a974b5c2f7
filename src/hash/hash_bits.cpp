#include "hash/hash_bits.h"

#include "hash/dct.h"

#include <algorithm>
#include <numeric>
#if defined(__x86_64__)
#include <emmintrin.h>
#endif

namespace vamhash {

namespace {

/// One bit a value, the first the highest of `count`: set where it is above the median, the mean of
/// the two middle values. A value equal to the median gives 0.
template <typename Value, std::size_t count>
std::uint64_t above_median(const std::array<Value, count>& values) {
    static_assert(count % 2 == 0 && count <= 64);
    std::array<Value, count> sorted = values;
    std::sort(sorted.begin(), sorted.end());
    const Value twice_median = sorted[count / 2 - 1] + sorted[count / 2];
    std::uint64_t bits = 0;
    for (const Value value : values)
        bits = bits << 1 | static_cast<std::uint64_t>(2 * value > twice_median);
    return bits;
}

/// The pixels' sum.
std::uint32_t sum(std::span<const std::uint8_t> pixels) {
    std::uint32_t result = 0;
#if defined(__x86_64__)
    __m128i sums = _mm_setzero_si128();
    for (; pixels.size() >= 16; pixels = pixels.subspan(16)) {
        const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(pixels.data()));
        sums = _mm_add_epi64(sums, _mm_sad_epu8(bytes, _mm_setzero_si128()));
    }
    result = static_cast<std::uint32_t>(_mm_cvtsi128_si32(sums) +
                                        _mm_cvtsi128_si32(_mm_unpackhi_epi64(sums, sums)));
#endif
    return std::accumulate(pixels.begin(), pixels.end(), result);
}

} // namespace

std::uint64_t dhash_bits(std::span<const std::uint8_t, 72> pixels) {
    std::uint64_t bits = 0;
    for (std::size_t y = 0; y < 8; ++y) {
        for (std::size_t x = 0; x < 8; ++x) {
            const bool grows = pixels[y * 9 + x + 1] > pixels[y * 9 + x];
            bits = bits << 1 | static_cast<std::uint64_t>(grows);
        }
    }
    return bits;
}

std::uint64_t ahash_bits(std::span<const std::uint8_t, 64> pixels) {
    const std::uint32_t sum = std::accumulate(pixels.begin(), pixels.end(), std::uint32_t{0});
    std::uint64_t bits = 0;
    for (const std::uint32_t pixel : pixels)
        bits = bits << 1 | static_cast<std::uint64_t>(64 * pixel > sum);
    return bits;
}

std::uint64_t phash_bits(std::span<const std::uint8_t, 1024> pixels) {
    return above_median(low_frequencies(pixels));
}

std::uint64_t whash16_bits(std::span<const std::uint8_t, 64> pixels) {
    std::array<std::uint32_t, 16> sums{};
    for (std::size_t y = 0; y < 8; ++y) {
        for (std::size_t x = 0; x < 8; ++x)
            sums[y / 2 * 4 + x / 2] += pixels[y * 8 + x];
    }
    return above_median(sums) << 48;
}

void BlockSums::add_row(const std::uint8_t* row) {
    std::uint64_t* const sums = sums_.data() + static_cast<std::size_t>(row_ / block_) * 8;
    for (std::size_t x = 0; x < 8; ++x)
        sums[x] += sum({row + x * block_, block_});
    ++row_;
}

std::uint64_t BlockSums::whash_bits() const {
    return above_median(sums_);
}

} // namespace vamhash
