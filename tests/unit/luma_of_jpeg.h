// What a device's decoder of JPEG files gives, by libjpeg.
#pragma once

#include "plugin/device_backend.h"

#include "codec/plain_jpeg.h"

#include <cstdint>
#include <cstdio>
#include <optional>
#include <span>
#include <vector>

#include <jpeglib.h> // after cstdio, which it wants

namespace vamhash::test {

/// The luma of a file of this size; nothing where a decoder would refuse it. libjpeg's own errors
/// end the program: decode_grey() has met them before.
inline std::optional<std::vector<std::uint8_t>> luma_of(const plugin::JpegFile& file) {
    const std::span image(file.bytes, file.size);
    const std::optional<PlainJpeg> plain = plain_jpeg(image, {});
    if (!plain || plain->width != file.width || plain->height != file.height) {
        return std::nullopt;
    }
    struct NoSink : GreySink {
        void start(std::uint32_t /*width*/, std::uint32_t /*height*/) override {}
        void rows(const std::uint8_t* /*pixels*/, std::size_t /*stride*/,
                  std::uint32_t /*count*/) override {}
    } sink;
    try {
        decode_grey(image, {}, sink);
    } catch (const ImageError&) {
        return std::nullopt;
    }
    jpeg_decompress_struct cinfo{};
    jpeg_error_mgr errors{};
    cinfo.err = jpeg_std_error(&errors);
    jpeg_create_decompress(&cinfo);
    jpeg_mem_src(&cinfo, image.data(), image.size());
    jpeg_read_header(&cinfo, TRUE);
    cinfo.out_color_space = JCS_GRAYSCALE;
    jpeg_start_decompress(&cinfo);
    std::vector<std::uint8_t> pixels(std::size_t{file.width} * file.height);
    while (cinfo.output_scanline < cinfo.output_height) {
        JSAMPROW row = pixels.data() + std::size_t{file.width} * cinfo.output_scanline;
        jpeg_read_scanlines(&cinfo, &row, 1);
    }
    jpeg_destroy_decompress(&cinfo);
    return pixels;
}

} // namespace vamhash::test
