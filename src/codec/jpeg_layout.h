// How the coefficients of a JPEG lie in memory from where decoding goes on elsewhere.
//
// The components follow one another. Each begins with its quantisation table, 64 numbers of 16
// bits, and then has its blocks, row by row, of 64 signed numbers of 16 bits; both in natural
// order, rows from the top. As in libjpeg, a component has whole MCUs: blocks beyond its own are
// there, and mean nothing.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include <array>
#include <cstdint>

namespace vamhash {

/// What the components are; inks are inverted, as Adobe stores them.
enum class JpegColour : std::uint8_t { grey, ycc, rgb, cmyk, ycck };

/// Samples of the picture's full resolution for each of a component's, in both directions: 1 or 2.
struct JpegSampling {
    std::uint8_t across = 1;
    std::uint8_t down = 1; // 2 only where `across` is

    friend bool operator==(const JpegSampling&, const JpegSampling&) = default;
};

struct JpegLayout {
    std::uint32_t width = 0; // pixels, as stored
    std::uint32_t height = 0;
    JpegColour colour = JpegColour::grey;
    std::array<JpegSampling, 4> sampling{}; // of each component

    friend bool operator==(const JpegLayout&, const JpegLayout&) = default;
};

constexpr std::uint32_t max_jpeg_side = 65500; // libjpeg's most

/// Whether all in it is as it is said above, and sides have 1 to max_jpeg_side pixels.
bool is_valid(const JpegLayout& layout);

std::uint32_t component_count(JpegColour colour);

/// Where a component is. Of a valid layout, with `component` less than component_count().
struct JpegComponent {
    std::uint32_t width;  // samples
    std::uint32_t height; // samples
    std::uint32_t blocks_across;
    std::uint32_t blocks_down;
    std::uint64_t offset; // of its quantisation table, in bytes; its blocks are 128 bytes behind
    [[nodiscard]] std::uint64_t blocks() const {
        return std::uint64_t{blocks_across} * blocks_down;
    }
};
JpegComponent jpeg_component(const JpegLayout& layout, std::uint32_t component);

/// Bytes of all components.
std::uint64_t jpeg_bytes(const JpegLayout& layout);

constexpr std::uint32_t jpeg_block_bytes = 128; // and those of a quantisation table

} // namespace vamhash
