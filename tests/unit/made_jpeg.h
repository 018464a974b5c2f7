// JPEGs of every kind, made by libjpeg, and what libjpeg itself decodes them to.
#pragma once

#include "grey_picture.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <random>

#include <jpeglib.h> // after cstdio, which it wants

namespace vamhash {

struct JpegShape {
    std::uint32_t width = 45;
    std::uint32_t height = 70;
    J_COLOR_SPACE pixels = JCS_RGB;
    J_COLOR_SPACE stored = JCS_YCbCr;
    int h_sampling = 2; // of the first component
    int v_sampling = 2;
    int h_chroma = 1; // of the others
    int v_chroma = 1;
    bool full_black = false; // K is sampled as the first component
    int quality = 75;
    bool progressive = false;
    bool arithmetic = false;
    bool scan_per_component = false;
    int restart_rows = 0;
    unsigned restart_mcus = 0;
    bool optimized = false;  // Huffman tables made for the image
    bool long_codes = false; // Huffman tables whose codes are as long as can be
    unsigned noise = 32;
};

inline int components_of(J_COLOR_SPACE space) {
    return space == JCS_GRAYSCALE ? 1 : space == JCS_CMYK ? 4 : 3;
}

/// Gives DC codes lengths of 5 to 16 bits, and all AC codes 16.
inline void lengthen_codes(jpeg_compress_struct& cinfo) {
    constexpr std::size_t longest = 16;
    for (std::size_t i = 0; i < 2; ++i) {
        JHUFF_TBL& dc = *cinfo.dc_huff_tbl_ptrs[i];
        std::fill_n(dc.bits, longest + 1, std::uint8_t{0});
        std::fill_n(dc.bits + 5, 12, std::uint8_t{1});
        JHUFF_TBL& ac = *cinfo.ac_huff_tbl_ptrs[i];
        std::fill_n(ac.bits, longest, std::uint8_t{0});
        ac.bits[longest] = 162;
    }
}

/// Encodes a smooth picture with some noise; libjpeg's own errors end the test program.
inline Bytes make_jpeg(const JpegShape& shape) {
    jpeg_compress_struct cinfo{};
    jpeg_error_mgr errors{};
    cinfo.err = jpeg_std_error(&errors);
    jpeg_create_compress(&cinfo);
    unsigned char* buffer = nullptr;
    unsigned long size = 0;
    jpeg_mem_dest(&cinfo, &buffer, &size);
    cinfo.image_width = shape.width;
    cinfo.image_height = shape.height;
    cinfo.input_components = components_of(shape.pixels);
    cinfo.in_color_space = shape.pixels;
    jpeg_set_defaults(&cinfo);
    jpeg_set_colorspace(&cinfo, shape.stored);
    jpeg_set_quality(&cinfo, shape.quality, TRUE);
    for (int i = 0; i < cinfo.num_components; ++i) {
        const bool as_first = i == 0 || (i == 3 && shape.full_black);
        cinfo.comp_info[i].h_samp_factor = as_first ? shape.h_sampling : shape.h_chroma;
        cinfo.comp_info[i].v_samp_factor = as_first ? shape.v_sampling : shape.v_chroma;
    }
    cinfo.arith_code = shape.arithmetic ? TRUE : FALSE;
    cinfo.restart_in_rows = shape.restart_rows;
    cinfo.restart_interval = shape.restart_mcus;
    cinfo.optimize_coding = shape.optimized ? TRUE : FALSE;
    if (shape.long_codes) {
        lengthen_codes(cinfo);
    }
    if (shape.progressive) {
        jpeg_simple_progression(&cinfo);
    }
    std::array<jpeg_scan_info, 4> scans{};
    if (shape.scan_per_component) {
        for (int i = 0; i < cinfo.num_components; ++i) {
            scans[static_cast<std::size_t>(i)] = {
                .comps_in_scan = 1, .component_index = {i}, .Ss = 0, .Se = 63, .Ah = 0, .Al = 0};
        }
        cinfo.scan_info = scans.data();
        cinfo.num_scans = cinfo.num_components;
    }
    jpeg_start_compress(&cinfo, TRUE);
    std::mt19937 random(shape.width * 1000 + shape.height);
    Bytes row(static_cast<std::size_t>(shape.width) * cinfo.input_components);
    while (cinfo.next_scanline < cinfo.image_height) {
        for (std::size_t i = 0; i < row.size(); ++i) {
            row[i] = static_cast<std::uint8_t>(
                (i * (2 + i % 3) + cinfo.next_scanline * 3 + random() % shape.noise) % 256);
        }
        JSAMPROW line = row.data();
        jpeg_write_scanlines(&cinfo, &line, 1);
    }
    jpeg_finish_compress(&cinfo);
    jpeg_destroy_compress(&cinfo);
    Bytes image(buffer, buffer + size);
    std::free(buffer);
    return image;
}

/// Calls with libjpeg's state of an image whose header it has read, and maybe tables before that.
/// libjpeg's own errors end the test program.
template <typename Call>
void with_libjpeg(const Bytes& image, const Call& call) {
    jpeg_decompress_struct cinfo{};
    jpeg_error_mgr errors{};
    cinfo.err = jpeg_std_error(&errors);
    errors.emit_message = [](j_common_ptr, int) {};
    jpeg_create_decompress(&cinfo);
    jpeg_mem_src(&cinfo, image.data(), image.size());
    while (jpeg_read_header(&cinfo, FALSE) == JPEG_HEADER_TABLES_ONLY) {
    }
    call(cinfo);
    jpeg_destroy_decompress(&cinfo);
}

/// Decodes plainly with libjpeg: the pixels in a colour space, scaled by 1/scale.
inline Bytes plain_decode(const Bytes& image, J_COLOR_SPACE space, unsigned scale = 1) {
    Bytes pixels;
    with_libjpeg(image, [&](jpeg_decompress_struct& cinfo) {
        cinfo.out_color_space = space;
        cinfo.scale_num = 1;
        cinfo.scale_denom = scale;
        jpeg_start_decompress(&cinfo);
        const std::size_t stride =
            std::size_t{cinfo.output_width} * static_cast<std::size_t>(components_of(space));
        pixels.resize(stride * cinfo.output_height);
        while (cinfo.output_scanline < cinfo.output_height) {
            JSAMPROW line = pixels.data() + stride * cinfo.output_scanline;
            jpeg_read_scanlines(&cinfo, &line, 1);
        }
    });
    return pixels;
}

/// Where a marker stands in an image.
inline std::size_t find_marker(const Bytes& image, std::uint8_t marker) {
    for (std::size_t i = 2; i + 1 < image.size(); ++i) {
        if (image[i] == 0xFF && image[i + 1] == marker) {
            return i;
        }
    }
    ADD_FAILURE() << "no marker " << int{marker};
    return 0;
}

/// An image with bytes put in at a place.
inline Bytes with_inserted(Bytes image, std::size_t at, const Bytes& inserted) {
    image.insert(image.begin() + static_cast<std::ptrdiff_t>(at), inserted.begin(), inserted.end());
    return image;
}

/// An image with one byte changed.
inline Bytes with_byte(Bytes image, std::size_t at, std::uint8_t value) {
    image[at] = value;
    return image;
}

} // namespace vamhash
