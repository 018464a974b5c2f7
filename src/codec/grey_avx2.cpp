// Grey conversion, 32 pixels at a time. 38470 is over a signed 16-bit weight, so green is taken
// twice with half of it: R 19595 + G 19235 in one multiply-add, G 19235 + B 7471 in the other.
#include "codec/grey_avx2.h"

#include <immintrin.h>

namespace vamhash {

namespace {

/// Grey of 8 pixels as 32-bit lanes; the shuffles spread a lane's 4 pixels to words R G and G B.
inline __m256i grey_of_8(__m256i pixels, __m256i red_green, __m256i green_blue) {
    const __m256i weights_rg = _mm256_set1_epi32(19235 << 16 | 19595);
    const __m256i weights_gb = _mm256_set1_epi32(7471 << 16 | 19235);
    const __m256i rg = _mm256_madd_epi16(_mm256_shuffle_epi8(pixels, red_green), weights_rg);
    const __m256i gb = _mm256_madd_epi16(_mm256_shuffle_epi8(pixels, green_blue), weights_gb);
    const __m256i sum = _mm256_add_epi32(_mm256_add_epi32(rg, gb), _mm256_set1_epi32(0x8000));
    return _mm256_srli_epi32(sum, 16);
}

/// Packs four times 8 lanes to 32 bytes. The packs work within 128-bit halves; the permutation
/// puts their 4-pixel pieces back in order.
inline __m256i pack_32(__m256i a, __m256i b, __m256i c, __m256i d) {
    const __m256i words_ab = _mm256_packs_epi32(a, b);
    const __m256i words_cd = _mm256_packs_epi32(c, d);
    const __m256i bytes = _mm256_packus_epi16(words_ab, words_cd);
    return _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

/// Loads 8 R, G, B pixels, 4 to a half; reads 4 bytes beyond them.
inline __m256i load_8_rgb(const std::uint8_t* pixels) {
    const __m128i low = _mm_loadu_si128(reinterpret_cast<const __m128i*>(pixels));
    const __m128i high = _mm_loadu_si128(reinterpret_cast<const __m128i*>(pixels + 12));
    return _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
}

inline __m256i load_8_rgbx(const std::uint8_t* pixels) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(pixels));
}

/// Converts the pixels after the last whole group.
inline void grey_tail(const std::uint8_t* pixels, std::size_t bytes_per_pixel, std::uint8_t* grey,
                      std::size_t count) {
    for (std::size_t i = 0; i < count; ++i, pixels += bytes_per_pixel) {
        const unsigned sum = pixels[0] * 19595U + pixels[1] * 38470U + pixels[2] * 7471U + 0x8000U;
        grey[i] = static_cast<std::uint8_t>(sum >> 16);
    }
}

} // namespace

void rgb_to_grey_avx2(const std::uint8_t* pixels, std::uint8_t* grey, std::size_t count) {
    const __m256i red_green = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(0, -1, 1, -1, 3, -1, 4, -1, 6, -1, 7, -1, 9, -1, 10, -1));
    const __m256i green_blue = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(1, -1, 2, -1, 4, -1, 5, -1, 7, -1, 8, -1, 10, -1, 11, -1));
    std::size_t i = 0;
    for (; i + 34 <= count; i += 32) { // 34: the last load reads into the two pixels that follow
        const std::uint8_t* p = pixels + 3 * i;
        const __m256i a = grey_of_8(load_8_rgb(p), red_green, green_blue);
        const __m256i b = grey_of_8(load_8_rgb(p + 24), red_green, green_blue);
        const __m256i c = grey_of_8(load_8_rgb(p + 48), red_green, green_blue);
        const __m256i d = grey_of_8(load_8_rgb(p + 72), red_green, green_blue);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(grey + i), pack_32(a, b, c, d));
    }
    grey_tail(pixels + 3 * i, 3, grey + i, count - i);
}

void rgbx_to_grey_avx2(const std::uint8_t* pixels, std::uint8_t* grey, std::size_t count) {
    const __m256i red_green = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(0, -1, 1, -1, 4, -1, 5, -1, 8, -1, 9, -1, 12, -1, 13, -1));
    const __m256i green_blue = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(1, -1, 2, -1, 5, -1, 6, -1, 9, -1, 10, -1, 13, -1, 14, -1));
    std::size_t i = 0;
    for (; i + 32 <= count; i += 32) {
        const std::uint8_t* p = pixels + 4 * i;
        const __m256i a = grey_of_8(load_8_rgbx(p), red_green, green_blue);
        const __m256i b = grey_of_8(load_8_rgbx(p + 32), red_green, green_blue);
        const __m256i c = grey_of_8(load_8_rgbx(p + 64), red_green, green_blue);
        const __m256i d = grey_of_8(load_8_rgbx(p + 96), red_green, green_blue);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(grey + i), pack_32(a, b, c, d));
    }
    grey_tail(pixels + 4 * i, 4, grey + i, count - i);
}

} // namespace vamhash
