// What hashing an image costs beside the decode it cannot do without: all five hashes against
// libjpeg-turbo's own full decode of the same bytes to RGB, taken in turn on one core.
//
//   image_bench FILE.jpg ...        prints milliseconds (medians) and their ratio for each
#include "engine/hash_image.h"
#include "engine/process.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <functional>
#include <iterator>
#include <vector>

#include <jpeglib.h>

using namespace vamhash;

namespace {

constexpr int rounds = 15;

/// Decodes a JPEG to RGB with libjpeg-turbo's defaults, scanlines into one buffer used again.
void decode_rgb(const std::vector<std::uint8_t>& bytes) {
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

double milliseconds(const std::function<void()>& work) {
    const auto begin = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin)
        .count();
}

double median(std::vector<double> values) {
    std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
    return values[values.size() / 2];
}

} // namespace

int main(int argc, char** argv) {
    keep_memory_between_requests(); // as the engine does
    std::printf("%-32s %8s %11s %11s %11s %7s %7s\n", "image", "Mpixel", "decode ms", "exact ms",
                "fast ms", "exact/", "fast/");
    for (int argument = 1; argument < argc; argument++) {
        std::ifstream file(argv[argument], std::ios::binary);
        const std::vector<std::uint8_t> bytes{std::istreambuf_iterator<char>(file), {}};
        std::vector<double> decode;
        std::vector<double> exact;
        std::vector<double> fast;
        std::vector<double> exact_ratio;
        std::vector<double> fast_ratio;
        ImageInfo info;
        for (int round = 0; round < rounds; round++) {
            decode.push_back(milliseconds([&] { decode_rgb(bytes); }));
            exact.push_back(
                milliseconds([&] { info = hash_image(bytes, hash_all, DecodeOptions{}).info; }));
            fast.push_back(
                milliseconds([&] { hash_image(bytes, hash_all, DecodeOptions{.fast = true}); }));
            exact_ratio.push_back(exact.back() / decode.back());
            fast_ratio.push_back(fast.back() / decode.back());
        }
        const char* name = std::strrchr(argv[argument], '/');
        std::printf("%-32s %8.2f %11.3f %11.3f %11.3f %7.3f %7.3f\n",
                    name != nullptr ? name + 1 : argv[argument],
                    static_cast<double>(info.width) * info.height / 1e6, median(decode),
                    median(exact), median(fast), median(exact_ratio), median(fast_ratio));
    }
    return 0;
}
