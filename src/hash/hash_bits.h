// From resized pictures to 64 bits: the decisions of ImageHash, in integers. The first bit (row 0,
// column 0) is the most significant.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace vamhash {

/// 9 wide, 8 high: a bit is set where brightness grows to the right.
std::uint64_t dhash_bits(std::span<const std::uint8_t, 72> pixels);

/// 8x8: a bit is set where a pixel is above the mean.
std::uint64_t ahash_bits(std::span<const std::uint8_t, 64> pixels);

/// 32x32: a bit is set where one of the lowest 8x8 frequencies is above their median.
std::uint64_t phash_bits(std::span<const std::uint8_t, 1024> pixels);

/// 8x8: VAM Tools' single Haar level, 16 bits and 48 zeros: a bit is set where a block of 2x2 is
/// above the median block.
std::uint64_t whash16_bits(std::span<const std::uint8_t, 64> pixels);

/// The Haar wavelet's low-pass band of a square picture is its 8x8 block sums; ImageHash's removal
/// of the lowest band shifts all by a constant. A bit is set where a block is above the median.
class BlockSums {
  public:
    /// `size` is the picture's side, a power of two from 8 on.
    explicit BlockSums(std::uint32_t size) : block_(size / 8) {}

    /// Adds the next row of `size` pixels.
    void add_row(const std::uint8_t* row);

    [[nodiscard]] std::uint64_t whash_bits() const;

  private:
    std::uint32_t block_;
    std::uint32_t row_ = 0;
    std::array<std::uint64_t, 64> sums_{};
};

} // namespace vamhash
