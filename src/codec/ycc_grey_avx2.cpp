// Grey from YCbCr, a block of 32 pixels at a time. Blocks out of their colours' reach of both ends
// are done when they are known; the others are upsampled and converted with the rounding of
// libjpeg-turbo, pixels of even and of odd columns in words of their own.
#include "codec/ycc_kernels.h"

#include <immintrin.h>

namespace vamhash {

namespace {

/// A reach is found at the samples, but holds for what is upsampled from them: a weighted mean, so
/// no further out but for the rounding. Upsampling rounds by up to 3/4, which 1.772 multiplies;
/// each product is rounded by 1/2 there and here.
constexpr int rounding_slack = 3;

/// 16 pixels or samples as words; chroma less 128.
struct Chroma {
    __m256i cb;
    __m256i cr;
};

/// A multiply-add's weights for pairs of words.
inline __m256i weights_of(int first, int second) {
    return _mm256_unpacklo_epi16(_mm256_set1_epi16(static_cast<short>(first)),
                                 _mm256_set1_epi16(static_cast<short>(second)));
}

inline __m256i load_16(const std::uint8_t* samples) {
    return _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(samples)));
}

// The factors' fractions in 1/32768. For the 256 values of chroma, R and B come out as libjpeg's
// tables have them.
inline __m256i red_offset(__m256i cr) {
    return _mm256_add_epi16(cr, _mm256_mulhrs_epi16(cr, _mm256_set1_epi16(13175)));
}

inline __m256i blue_offset(__m256i cb) {
    return _mm256_add_epi16(cb, _mm256_mulhrs_epi16(cb, _mm256_set1_epi16(25297)));
}

/// What green lies off luma, in 1/65536 rounded: -22554 cb - 46802 cr. The second weight is over a
/// signed word, so a whole cr is taken off after the shift.
inline __m256i green_offset(Chroma chroma) {
    const __m256i weights = weights_of(-22554, 18734);
    const __m256i half = _mm256_set1_epi32(0x8000);
    const __m256i low = _mm256_madd_epi16(_mm256_unpacklo_epi16(chroma.cb, chroma.cr), weights);
    const __m256i high = _mm256_madd_epi16(_mm256_unpackhi_epi16(chroma.cb, chroma.cr), weights);
    const __m256i sum = _mm256_packs_epi32(_mm256_srai_epi32(_mm256_add_epi32(low, half), 16),
                                           _mm256_srai_epi32(_mm256_add_epi32(high, half), 16));
    return _mm256_sub_epi16(sum, chroma.cr);
}

/// Green's offset to within 1: for the reach only.
inline __m256i about_green_offset(Chroma chroma) {
    return _mm256_add_epi16(_mm256_mulhrs_epi16(chroma.cb, _mm256_set1_epi16(-11277)),
                            _mm256_mulhrs_epi16(chroma.cr, _mm256_set1_epi16(-23401)));
}

inline __m256i clamp_to_byte(__m256i words) {
    return _mm256_min_epi16(_mm256_max_epi16(words, _mm256_setzero_si256()),
                            _mm256_set1_epi16(255));
}

/// Grey of 16 pixels: libjpeg's RGB, then Pillow's L. L's weights make 65536, so green's may go to
/// the differences from green: 19595 (R - G) + 7471 (B - G).
inline __m256i grey_of_16(__m256i luma, Chroma chroma) {
    const __m256i red = clamp_to_byte(_mm256_add_epi16(luma, red_offset(chroma.cr)));
    const __m256i green = clamp_to_byte(_mm256_add_epi16(luma, green_offset(chroma)));
    const __m256i blue = clamp_to_byte(_mm256_add_epi16(luma, blue_offset(chroma.cb)));
    const __m256i weights = weights_of(19595, 7471);
    const __m256i half = _mm256_set1_epi32(0x8000);
    const __m256i red_over = _mm256_sub_epi16(red, green);
    const __m256i blue_over = _mm256_sub_epi16(blue, green);
    const __m256i low = _mm256_madd_epi16(_mm256_unpacklo_epi16(red_over, blue_over), weights);
    const __m256i high = _mm256_madd_epi16(_mm256_unpackhi_epi16(red_over, blue_over), weights);
    const __m256i sum = _mm256_packs_epi32(_mm256_srai_epi32(_mm256_add_epi32(low, half), 16),
                                           _mm256_srai_epi32(_mm256_add_epi32(high, half), 16));
    return _mm256_add_epi16(green, sum);
}

/// One plane's values under the even and odd pixels of a block, less 128.
struct EvenOdd {
    __m256i even;
    __m256i odd;
};

inline EvenOdd full_samples(const std::uint8_t* samples) {
    const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(samples));
    const __m256i centre = _mm256_set1_epi16(128);
    return {.even = _mm256_sub_epi16(_mm256_and_si256(bytes, _mm256_set1_epi16(255)), centre),
            .odd = _mm256_sub_epi16(_mm256_srli_epi16(bytes, 8), centre)};
}

/// The triangle filter, times 16: first 3 to 1 between the rows, then between the columns.
template <int even_bias, int odd_bias>
inline EvenOdd upsampled(const std::uint8_t* near, const std::uint8_t* far) {
    const auto column = [&](std::ptrdiff_t at) {
        const __m256i sample = load_16(near + at);
        return _mm256_add_epi16(_mm256_add_epi16(sample, _mm256_add_epi16(sample, sample)),
                                load_16(far + at));
    };
    constexpr int centre = 128 * 16;
    const __m256i here = column(0);
    const __m256i thrice = _mm256_add_epi16(here, _mm256_add_epi16(here, here));
    const __m256i even = _mm256_add_epi16(_mm256_add_epi16(thrice, column(-1)),
                                          _mm256_set1_epi16(even_bias - centre));
    const __m256i odd =
        _mm256_add_epi16(_mm256_add_epi16(thrice, column(1)), _mm256_set1_epi16(odd_bias - centre));
    return {.even = _mm256_srai_epi16(even, 4), .odd = _mm256_srai_epi16(odd, 4)};
}

template <ChromaSampling sampling>
inline EvenOdd plane_values(const std::uint8_t* near, const std::uint8_t* far) {
    if constexpr (sampling == ChromaSampling::full) {
        return full_samples(near);
    } else if constexpr (sampling == ChromaSampling::half_width) {
        return upsampled<4, 8>(near, far); // 1/4 and 2/4
    } else {
        return upsampled<8, 7>(near, far);
    }
}

template <ChromaSampling sampling>
inline __m256i grey_block(__m256i luma, const ChromaRow& near, const ChromaRow& far,
                          std::size_t at) {
    const EvenOdd cb = plane_values<sampling>(near.cb + at, far.cb + at);
    const EvenOdd cr = plane_values<sampling>(near.cr + at, far.cr + at);
    const __m256i even =
        grey_of_16(_mm256_and_si256(luma, _mm256_set1_epi16(255)), {.cb = cb.even, .cr = cr.even});
    const __m256i odd = grey_of_16(_mm256_srli_epi16(luma, 8), {.cb = cb.odd, .cr = cr.odd});
    return _mm256_or_si256(even, _mm256_slli_epi16(odd, 8));
}

inline __m256i broadcast_larger(std::uint8_t a, std::uint8_t b) {
    return _mm256_set1_epi8(static_cast<char>(a > b ? a : b));
}

constexpr std::size_t samples_per_block(ChromaSampling sampling) {
    return sampling == ChromaSampling::full ? ycc_block : ycc_block / 2;
}

template <ChromaSampling sampling>
void row_to_grey(std::uint8_t* luma, const ChromaRow& near, const ChromaRow& far,
                 std::size_t blocks) {
    for (std::size_t block = 0; block < blocks; ++block) {
        auto* const place = reinterpret_cast<__m256i*>(luma + block * ycc_block);
        const __m256i bytes = _mm256_loadu_si256(place);
        const __m256i up = broadcast_larger(near.reach_up[block], far.reach_up[block]);
        const __m256i down = broadcast_larger(near.reach_down[block], far.reach_down[block]);
        const __m256i over = _mm256_subs_epu8(bytes, _mm256_xor_si256(up, _mm256_set1_epi8(-1)));
        const __m256i under = _mm256_subs_epu8(down, bytes);
        const __m256i clipped = _mm256_or_si256(over, under);
        if (_mm256_testz_si256(clipped, clipped) == 0) {
            _mm256_storeu_si256(
                place, grey_block<sampling>(bytes, near, far, block * samples_per_block(sampling)));
        }
    }
}

/// The largest and the smallest offset from luma of any channel.
struct Extent {
    __m256i highest;
    __m256i lowest;
};

inline Extent extent_of_16(const std::uint8_t* cb, const std::uint8_t* cr) {
    const __m256i centre = _mm256_set1_epi16(128);
    const Chroma chroma{.cb = _mm256_sub_epi16(load_16(cb), centre),
                        .cr = _mm256_sub_epi16(load_16(cr), centre)};
    const __m256i red = red_offset(chroma.cr);
    const __m256i green = about_green_offset(chroma);
    const __m256i blue = blue_offset(chroma.cb);
    return {.highest = _mm256_max_epi16(_mm256_max_epi16(red, green), blue),
            .lowest = _mm256_min_epi16(_mm256_min_epi16(red, green), blue)};
}

/// The largest byte of each half, in its lowest byte.
inline __m128i largest_of_halves(__m128i bytes) {
    bytes = _mm_max_epu8(bytes, _mm_srli_epi64(bytes, 32));
    bytes = _mm_max_epu8(bytes, _mm_srli_epi64(bytes, 16));
    return _mm_max_epu8(bytes, _mm_srli_epi64(bytes, 8));
}

/// Adds the slack to a reach, up and down in the two halves, unless both are none: without colour
/// nothing is rounded.
inline __m128i with_slack(__m128i reach) {
    const __m128i either = _mm_or_si128(reach, _mm_shuffle_epi32(reach, _MM_SHUFFLE(1, 0, 3, 2)));
    const __m128i colourless = _mm_cmpeq_epi8(either, _mm_setzero_si128());
    return _mm_adds_epu8(reach, _mm_andnot_si128(colourless, _mm_set1_epi8(rounding_slack)));
}

} // namespace

void find_reach_avx2(ChromaSampling sampling, const ChromaRow& row, std::size_t blocks) {
    const std::size_t step = samples_per_block(sampling);
    // Two loads have a block's samples, and their neighbours where these are mixed in.
    const bool mixed = sampling != ChromaSampling::full;
    const std::ptrdiff_t first = mixed ? -1 : 0;
    const std::ptrdiff_t second = mixed ? 1 : 16;
    for (std::size_t block = 0; block < blocks; ++block) {
        const std::uint8_t* const cb = row.cb + block * step;
        const std::uint8_t* const cr = row.cr + block * step;
        const Extent a = extent_of_16(cb + first, cr + first);
        const Extent b = extent_of_16(cb + second, cr + second);
        const __m256i highest = _mm256_max_epi16(a.highest, b.highest);
        const __m256i lowest = _mm256_min_epi16(a.lowest, b.lowest);
        const __m256i falls = _mm256_sub_epi16(_mm256_setzero_si256(), lowest);
        const __m256i bytes = _mm256_packus_epi16(highest, falls); // in both 128-bit halves
        const __m128i largest = largest_of_halves(
            _mm_max_epu8(_mm256_castsi256_si128(bytes), _mm256_extracti128_si256(bytes, 1)));
        const __m128i reach = with_slack(largest);
        row.reach_up[block] = static_cast<std::uint8_t>(_mm_extract_epi8(reach, 0));
        row.reach_down[block] = static_cast<std::uint8_t>(_mm_extract_epi8(reach, 8));
    }
}

void luma_to_grey_avx2(ChromaSampling sampling, std::uint8_t* luma, const ChromaRow& near,
                       const ChromaRow& far, std::size_t blocks) {
    switch (sampling) {
    case ChromaSampling::full:
        row_to_grey<ChromaSampling::full>(luma, near, far, blocks);
        break;
    case ChromaSampling::half_width:
        row_to_grey<ChromaSampling::half_width>(luma, near, far, blocks);
        break;
    case ChromaSampling::half_both:
        row_to_grey<ChromaSampling::half_both>(luma, near, far, blocks);
        break;
    }
}

} // namespace vamhash
