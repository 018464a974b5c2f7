// The comparison of two blocks in portable C++: the answer that the other versions must give.
#include "join/tile.h"

#include <bit>

namespace vamhash {

std::size_t compare_tile_scalar(const std::uint64_t* left, std::size_t left_count,
                                const std::uint64_t* right, std::size_t right_count, int threshold,
                                Hit* hits) {
    Hit* out = hits;
    for (std::size_t a = 0; a < left_count; ++a) {
        for (std::size_t b = 0; b < right_count; ++b) {
            const int distance = std::popcount(left[a] ^ right[b]);
            if (distance <= threshold) {
                *out++ = {static_cast<std::uint16_t>(a), static_cast<std::uint16_t>(b),
                          static_cast<std::uint32_t>(distance)};
            }
        }
    }
    return out - hits;
}

} // namespace vamhash
