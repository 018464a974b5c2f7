#include "join/bit_order.h"

namespace vamhash {

BitOrder::BitOrder(const std::array<int, 64>& target) : changes_(true), to_(table(target)) {
    std::array<int, 64> source{};
    for (int bit = 0; bit < 64; ++bit) {
        source[target[bit]] = bit;
    }
    from_ = table(source);
}

BitOrder BitOrder::strided(int stride) {
    std::array<int, 64> target{};
    for (int bit = 0; bit < 64; ++bit) {
        target[bit] = bit * stride % 64;
    }
    return BitOrder(target);
}

BitOrder BitOrder::transposed() {
    std::array<int, 64> target{};
    for (int bit = 0; bit < 64; ++bit) {
        target[bit] = bit % 8 * 8 + bit / 8;
    }
    return BitOrder(target);
}

// For each byte of a code and each of its values, where the bits go.
BitOrder::Table BitOrder::table(const std::array<int, 64>& target) {
    Table table{};
    for (int byte = 0; byte < 8; ++byte) {
        for (int value = 0; value < 256; ++value) {
            for (int bit = 0; bit < 8; ++bit) {
                if ((value >> bit & 1) != 0) {
                    table[byte][value] |= 1ULL << target[8 * byte + bit];
                }
            }
        }
    }
    return table;
}

} // namespace vamhash
