// libjpeg-turbo's own decode, by itself: what no hashing of a JPEG by the CPU can do without, or
// what of a JPEG is luma.
#pragma once

#include <cstdint>
#include <cstdio>
#include <span>
#include <vector>

#include <jpeglib.h> // after cstdio, which it wants

namespace vamhash {

/// Decodes a JPEG with libjpeg-turbo's defaults, scanlines into one buffer used again. Calls
/// start(width, height), and take(pixels, stride, rows) with up to 16 rows.
template <typename Start, typename Take>
void decode_plainly(std::span<const std::uint8_t> bytes, J_COLOR_SPACE space, const Start& start,
                    const Take& take) {
    jpeg_decompress_struct decompress;
    jpeg_error_mgr errors;
    decompress.err = jpeg_std_error(&errors);
    jpeg_create_decompress(&decompress);
    jpeg_mem_src(&decompress, bytes.data(), bytes.size());
    jpeg_read_header(&decompress, TRUE);
    decompress.out_color_space = space;
    jpeg_start_decompress(&decompress);
    start(decompress.output_width, decompress.output_height);
    constexpr JDIMENSION group = 16;
    const std::size_t stride = std::size_t{decompress.output_width} * decompress.output_components;
    std::vector<JSAMPLE> buffer(stride * group);
    std::vector<JSAMPROW> rows(group);
    for (JDIMENSION row = 0; row < group; row++) {
        rows[row] = buffer.data() + row * stride;
    }
    while (decompress.output_scanline < decompress.output_height) {
        JDIMENSION have = 0;
        while (have < group && decompress.output_scanline < decompress.output_height) {
            have += jpeg_read_scanlines(&decompress, rows.data() + have, group - have);
        }
        take(buffer.data(), stride, have);
    }
    jpeg_finish_decompress(&decompress);
    jpeg_destroy_decompress(&decompress);
}

inline void decode_rgb(std::span<const std::uint8_t> bytes) {
    decode_plainly(
        bytes, JCS_RGB, [](std::uint32_t, std::uint32_t) {},
        [](const std::uint8_t*, std::size_t, std::uint32_t) {});
}

} // namespace vamhash
