// What hashing an image costs beside the decode it cannot do without: all five hashes against
// libjpeg-turbo's own full decode of the same bytes to RGB, taken in turn on one core. Last, what
// of exact hashing remains on the processor where a device does all but reading the coefficients.
//
//   image_bench FILE.jpg ...        prints milliseconds (medians) and their ratio for each
#include "codec/jpeg_coefficients.h"
#include "engine/hash_image.h"
#include "engine/process.h"
#include "plain_decode.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <functional>
#include <iterator>
#include <vector>

using namespace vamhash;

namespace {

constexpr int rounds = 15;

/// Reads a JPEG's coefficients into memory that is used again; prints where that is not possible.
void read_coefficients(const std::vector<std::uint8_t>& bytes, std::vector<std::uint8_t>& memory) {
    const auto place = [&](std::uint64_t size) {
        memory.resize(std::max<std::size_t>(memory.size(), size));
        return memory.data();
    };
    if (!read_jpeg_coefficients(bytes, DecodeOptions{}, place)) {
        std::printf("no coefficients: ");
    }
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
    std::printf("%-32s %8s %11s %11s %11s %7s %7s %11s %7s\n", "image", "Mpixel", "decode ms",
                "exact ms", "fast ms", "exact/", "fast/", "coeff. ms", "coeff./");
    std::vector<std::uint8_t> memory;
    for (int argument = 1; argument < argc; argument++) {
        std::ifstream file(argv[argument], std::ios::binary);
        const std::vector<std::uint8_t> bytes{std::istreambuf_iterator<char>(file), {}};
        std::vector<double> decode;
        std::vector<double> exact;
        std::vector<double> fast;
        std::vector<double> exact_ratio;
        std::vector<double> fast_ratio;
        std::vector<double> coefficients;
        std::vector<double> coefficients_ratio;
        ImageInfo info;
        for (int round = 0; round < rounds; round++) {
            decode.push_back(milliseconds([&] { decode_rgb(bytes); }));
            exact.push_back(
                milliseconds([&] { info = hash_image(bytes, hash_all, DecodeOptions{}).info; }));
            fast.push_back(
                milliseconds([&] { hash_image(bytes, hash_all, DecodeOptions{.fast = true}); }));
            coefficients.push_back(milliseconds([&] { read_coefficients(bytes, memory); }));
            exact_ratio.push_back(exact.back() / decode.back());
            fast_ratio.push_back(fast.back() / decode.back());
            coefficients_ratio.push_back(coefficients.back() / decode.back());
        }
        const char* name = std::strrchr(argv[argument], '/');
        std::printf("%-32s %8.2f %11.3f %11.3f %11.3f %7.3f %7.3f %11.3f %7.3f\n",
                    name != nullptr ? name + 1 : argv[argument],
                    static_cast<double>(info.width) * info.height / 1e6, median(decode),
                    median(exact), median(fast), median(exact_ratio), median(fast_ratio),
                    median(coefficients), median(coefficients_ratio));
    }
    return 0;
}
