// The tiles of the upper triangle of blocks x blocks, numbered.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include <cstdint>

namespace vamhash {

struct Tile {
    std::uint64_t row_block;
    std::uint64_t column_block; // not before row_block
};

class Triangle {
  public:
    explicit Triangle(std::uint64_t blocks) : blocks_(blocks) {}

    [[nodiscard]] std::uint64_t tiles() const { return blocks_ * (blocks_ + 1) / 2; }

    // Folds the triangle into a rectangle: row r of it, which has blocks - r tiles, is followed by
    // the r + 1 tiles of the row that is as far from the end.
    [[nodiscard]] Tile tile(std::uint64_t number) const {
        const std::uint64_t row = number / (blocks_ + 1);
        const std::uint64_t column = number % (blocks_ + 1);
        if (column < blocks_ - row) {
            return {row, row + column};
        }
        return {blocks_ - 1 - row, column - 1};
    }

  private:
    std::uint64_t blocks_;
};

} // namespace vamhash
