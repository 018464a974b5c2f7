// Rows that a codec makes one by one, given to a sink in groups.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include "codec/image.h"

#include <algorithm>
#include <vector>

namespace vamhash {

/// Gives a sink the rows of a picture, top row first: `fill_row(y, grey)` writes `width` bytes.
template <typename FillRow>
void give_rows(GreySink& sink, std::uint32_t width, std::uint32_t height, const FillRow& fill_row) {
    constexpr std::uint32_t rows_per_group = 16; // whole groups of 8 and 16
    std::vector<std::uint8_t> grey(std::size_t{width} * std::min(rows_per_group, height));
    for (std::uint32_t y = 0; y < height; y += rows_per_group) {
        const std::uint32_t count = std::min(rows_per_group, height - y);
        for (std::uint32_t i = 0; i < count; ++i) {
            fill_row(y + i, grey.data() + std::size_t{i} * width);
        }
        sink.rows(grey.data(), width, count);
    }
}

} // namespace vamhash
