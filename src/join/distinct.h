// Groups of rows with one value.
//
// Real catalogs hold thousands of blank images: the join runs on distinct values, and multiplies
// only what it emits.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include "join/bit_order.h"
#include "join/large_array.h"
#include "join/partition.h"
#include "join/workers.h"

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

namespace vamhash {

/// Rows whose codes have a key in [first, end).
struct KeyRange {
    KeyBits key;
    std::uint32_t first;
    std::uint32_t end;
    std::size_t rows; // so many
};

/// The distinct values of a column and the rows of each. Groups are numbered from 0, with gaps.
/// Memory: about 26 bytes a row, of which 8 serve the join as its second array of values.
class Distinct {
  public:
    Distinct(std::span<const std::uint64_t> codes, Workers& workers);

    /// Of nothing yet; regroup() takes up to so many rows.
    explicit Distinct(std::size_t most_rows);

    /// Takes the groups of a part of the rows instead, in the same memory.
    void regroup(std::span<const std::uint64_t> codes, const KeyRange& range,
                 const PartitionKernels& kernels, Workers& workers);

    /// The bytes that grouping up to so many rows takes, with what the join of them adds.
    static std::size_t most_bytes(std::size_t rows);

    /// The values, in an order that looks random: any part of them is a fair sample.
    [[nodiscard]] std::span<const std::uint64_t> values() const { return values_.first(size_); }

    /// A second array as long as the values, for the join to write to.
    [[nodiscard]] std::uint64_t* spare() const { return spare_.data(); }

    /// Moves the bits of all values.
    void reorder(const BitOrder& order, Workers& workers);

    /// Finds the groups of `values`, each of which is one of values().
    void find(std::span<const std::uint64_t> values, std::uint32_t* groups) const;

    static constexpr std::uint32_t none = 0xffffffff;

    /// The group of a value as it was given, or `none`.
    [[nodiscard]] std::uint32_t find(std::uint64_t value) const;

    /// The rows of a group, ascending.
    [[nodiscard]] std::span<const std::uint32_t> rows(std::uint32_t group) const {
        return {rows_.data() + starts_[group], starts_[group + 1] - starts_[group]};
    }

    [[nodiscard]] std::size_t row_count() const { return row_count_; }

    /// The rows of the largest group.
    [[nodiscard]] std::uint32_t largest_group() const { return largest_group_; }

    /// The pairs of rows with equal values.
    [[nodiscard]] std::uint64_t equal_pairs() const { return equal_pairs_; }

    /// The number of rows of earlier groups.
    [[nodiscard]] std::size_t start(std::uint32_t group) const { return starts_[group]; }

    struct Chunk {
        std::uint32_t first_row;   // of all rows, group by group; the number of the first group
        std::uint32_t first_value; // in values()
        std::uint32_t groups;
    };

    /// Groups come in chunks: chunk c has groups [first_row, first_row + groups).
    [[nodiscard]] std::span<const Chunk> chunks() const { return chunks_; }

    /// The first group of a chunk, from the chunk's first, that has row `row` (of all rows, group
    /// by group) or later ones; 0 if the row lies before the chunk.
    [[nodiscard]] std::uint32_t group_at(const Chunk& chunk, std::size_t row) const {
        const std::span<const std::uint32_t> starts{starts_.data() + chunk.first_row, chunk.groups};
        const auto next = std::upper_bound(starts.begin(), starts.end(), row);
        return next == starts.begin() ? 0 : static_cast<std::uint32_t>(next - starts.begin() - 1);
    }

  private:
    class Grouping;

    void set_row_count(std::size_t rows);
    static int place_bits(std::size_t rows);

    std::size_t row_count_ = 0;
    std::size_t size_ = 0; // values
    std::uint64_t equal_pairs_ = 0;
    std::uint32_t largest_group_ = 0;
    BitOrder order_;
    LargeArray<std::uint64_t> values_;
    LargeArray<std::uint64_t> spare_;
    LargeArray<std::uint32_t> rows_;
    LargeArray<std::uint32_t> starts_;    // of a group in rows_, by its number; at the end, too
    LargeArray<std::uint32_t> directory_; // the first value of each place, from the chunk's first
    std::vector<Chunk> chunks_;
    int place_bits_ = 0;
    int chunk_bits_ = 0;
};

} // namespace vamhash
