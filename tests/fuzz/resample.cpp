// The resampler: pictures of any size and content, the same to the bit by every instruction set and
// however their rows are grouped. The input is the size, the groups, and pixels that are repeated.
#include "hash/resample.h"

#include "picture.h"

#include <bit>

namespace vamhash {
namespace {

using namespace fuzz;

// A wide picture's filters are computed anew for each input, which takes most of the time.
constexpr std::uint32_t max_pixels = 1 << 15;
constexpr std::uint32_t max_side = 9000;

struct Picture {
    std::uint32_t width;
    std::uint32_t height;
    Bytes pixels;
};

Picture take_picture(Input& input) {
    Picture picture{};
    picture.width = input.between(1, max_side);
    picture.height = input.between(1, std::min(max_side, max_pixels / picture.width));
    if (input.byte() % 2 != 0) {
        std::swap(picture.width, picture.height);
    }
    picture.pixels.resize(std::size_t{picture.width} * picture.height);
    return picture;
}

/// Fills a picture with what is left of the input, again and again.
void fill(Picture& picture, std::span<const std::uint8_t> content) {
    for (std::size_t i = 0; i < picture.pixels.size() && !content.empty(); ++i) {
        picture.pixels[i] = content[i % content.size()];
    }
}

/// Resizes a picture by groups of 16 rows whose memory ends where it may.
Bytes resized(const Picture& picture, std::uint32_t width, std::uint32_t height, Isa isa) {
    Resampler resampler(picture.width, picture.height, width, height, isa);
    const std::size_t stride = resampler.row_bytes();
    Bytes out;
    for (std::uint32_t y = 0; y < picture.height; y += rows_per_group) {
        const std::uint32_t count = std::min(rows_per_group, picture.height - y);
        Bytes group(stride * rows_per_group, 0xAA);
        for (std::uint32_t row = 0; row < count; ++row) {
            std::memcpy(group.data() + row * stride,
                        picture.pixels.data() + std::size_t{y + row} * picture.width,
                        picture.width);
        }
        resampler.push(group.data(), stride, count);
        while (const std::uint8_t* row = resampler.next_row()) {
            out.insert(out.end(), row, row + width);
        }
    }
    require(out.size() == std::size_t{width} * height, "rows are missing");
    return out;
}

void check_sizes(const Picture& picture) {
    const std::uint32_t side =
        std::max(8U, std::bit_floor(std::min(picture.width, picture.height)));
    const std::pair<std::uint32_t, std::uint32_t> sizes[] = {
        {9, 8}, {8, 8}, {32, 32}, {side, side}};
    for (const auto& [width, height] : sizes) {
        const Bytes expected = resized(picture, width, height, Isa::scalar);
        for (const Isa isa : available_isas()) {
            require(resized(picture, width, height, isa) == expected,
                    "pixels differ by instruction set");
        }
    }
}

void check_groups(const Picture& picture, std::span<const std::uint8_t> counts) {
    const ImageHashes expected = hashes_of(picture.pixels, picture.width, picture.height,
                                           Isa::scalar, [&] { return picture.height; });
    for (const Isa isa : available_isas()) {
        std::size_t next = 0;
        const ImageHashes hashes = hashes_of(picture.pixels, picture.width, picture.height, isa,
                                             [&] { return 1U + counts[next++ % counts.size()]; });
        require(hashes == expected, "hashes differ by instruction set or groups of rows");
    }
}

} // namespace
} // namespace vamhash

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    vamhash::fuzz::Input input({data, size});
    vamhash::Picture picture = vamhash::take_picture(input);
    const auto counts = input.take<std::array<std::uint8_t, 4>>();
    vamhash::fill(picture, input.rest());
    vamhash::check_sizes(picture);
    vamhash::check_groups(picture, counts);
    return 0;
}
