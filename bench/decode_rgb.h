// What no hashing of a JPEG by the CPU can do without: libjpeg-turbo's own decode.
#pragma once

#include <cstdint>
#include <cstdio>
#include <span>
#include <vector>

#include <jpeglib.h> // after cstdio, which it wants

namespace vamhash {

/// Decodes a JPEG to RGB with libjpeg-turbo's defaults, scanlines into one buffer used again.
inline void decode_rgb(std::span<const std::uint8_t> bytes) {
    jpeg_decompress_struct decompress;
    jpeg_error_mgr errors;
    decompress.err = jpeg_std_error(&errors);
    jpeg_create_decompress(&decompress);
    jpeg_mem_src(&decompress, bytes.data(), bytes.size());
    jpeg_read_header(&decompress, TRUE);
    decompress.out_color_space = JCS_RGB;
    jpeg_start_decompress(&decompress);
    constexpr JDIMENSION group = 16;
    const std::size_t stride = std::size_t{decompress.output_width} * 3;
    std::vector<JSAMPLE> buffer(stride * group);
    std::vector<JSAMPROW> rows(group);
    for (JDIMENSION row = 0; row < group; row++) {
        rows[row] = buffer.data() + row * stride;
    }
    while (decompress.output_scanline < decompress.output_height) {
        jpeg_read_scanlines(&decompress, rows.data(), group);
    }
    jpeg_finish_decompress(&decompress);
    jpeg_destroy_decompress(&decompress);
}

} // namespace vamhash
