// An order of a code's 64 bits.
//
// Neighbouring bits of an image's hash agree more often than chance: keys of bits that lie far
// apart make smaller buckets. Moving the bits of all codes alike keeps every distance.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include <array>
#include <cstdint>

namespace vamhash {

/// Moves bits by looking up the codes' bytes.
class BitOrder {
  public:
    /// The order that changes nothing.
    BitOrder() = default;

    /// Bit i moves to bit stride * i (modulo 64); the stride is odd.
    static BitOrder strided(int stride);

    /// Bits i = 8 * row + column move to 8 * column + row.
    static BitOrder transposed();

    [[nodiscard]] bool changes() const { return changes_; }
    [[nodiscard]] std::uint64_t apply(std::uint64_t code) const {
        return changes_ ? move(code, to_) : code;
    }
    [[nodiscard]] std::uint64_t undo(std::uint64_t code) const {
        return changes_ ? move(code, from_) : code;
    }

  private:
    using Table = std::array<std::array<std::uint64_t, 256>, 8>;

    explicit BitOrder(const std::array<int, 64>& target);
    static Table table(const std::array<int, 64>& target);

    static std::uint64_t move(std::uint64_t code, const Table& table) {
        std::uint64_t moved = 0;
        for (int byte = 0; byte < 8; ++byte) {
            moved |= table[byte][code >> 8 * byte & 255];
        }
        return moved;
    }

    bool changes_ = false;
    Table to_{};
    Table from_{};
};

} // namespace vamhash
