#include "codec/jpeg_layout.h"

#include <algorithm>

namespace vamhash {

namespace {

constexpr std::uint32_t block_side = 8;

std::uint32_t divide_up(std::uint32_t number, std::uint32_t by) {
    return (number + by - 1) / by;
}

// The most that any component is sampled down, which is the number of samples that the least has
// in an MCU's side.
JpegSampling coarsest(const JpegLayout& layout) {
    JpegSampling most;
    for (std::uint32_t i = 0; i < component_count(layout.colour); ++i) {
        most.across = std::max(most.across, layout.sampling[i].across);
        most.down = std::max(most.down, layout.sampling[i].down);
    }
    return most;
}

} // namespace

std::uint32_t component_count(JpegColour colour) {
    switch (colour) {
    case JpegColour::grey:
        return 1;
    case JpegColour::ycc:
    case JpegColour::rgb:
        return 3;
    default:
        return 4;
    }
}

bool is_valid(const JpegLayout& layout) {
    if (layout.width == 0 || layout.height == 0 || layout.width > max_jpeg_side ||
        layout.height > max_jpeg_side || layout.colour > JpegColour::ycck) {
        return false;
    }
    bool any_full = false;
    for (std::uint32_t i = 0; i < component_count(layout.colour); ++i) {
        const auto [across, down] = layout.sampling[i];
        if (across < 1 || across > 2 || down < 1 || down > across) {
            return false;
        }
        any_full = any_full || (across == 1 && down == 1);
    }
    return any_full;
}

JpegComponent jpeg_component(const JpegLayout& layout, std::uint32_t component) {
    const auto [most_across, most_down] = coarsest(layout);
    const std::uint32_t mcus_across = divide_up(layout.width, block_side * most_across);
    const std::uint32_t mcus_down = divide_up(layout.height, block_side * most_down);
    JpegComponent place{};
    for (std::uint32_t i = 0; i <= component; ++i) {
        const auto [across, down] = layout.sampling[i];
        place = {.width = divide_up(layout.width, across),
                 .height = divide_up(layout.height, down),
                 .blocks_across = mcus_across * (most_across / across),
                 .blocks_down = mcus_down * (most_down / down),
                 .offset = i == 0 ? 0 : place.offset + (place.blocks() + 1) * jpeg_block_bytes};
    }
    return place;
}

std::uint64_t jpeg_bytes(const JpegLayout& layout) {
    const JpegComponent last = jpeg_component(layout, component_count(layout.colour) - 1);
    return last.offset + (last.blocks() + 1) * jpeg_block_bytes;
}

} // namespace vamhash
