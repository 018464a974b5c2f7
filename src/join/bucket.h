// Compares the codes of a bucket with each other: the innermost loop of the block join.
//
// A bucket is small, some tens of codes, and a call does thousands of them. Only the triangle of a
// bucket's pairs is compared. Close pairs are rare: they leave the loop as candidates, a pair of
// codes each, by a buffer that its owner empties.
//
// The codes of a bucket agree in the key, so for small thresholds the test sees a window of 32 bits
// that the key leaves out; it cannot lose a pair.
//
// There is one version an instruction set, in bucket_<isa>.cpp. Like join/tile.h, this header holds
// no inline function and includes no container.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include <cstddef>
#include <cstdint>

namespace vamhash {

enum class Isa;

/// Pairs of codes within the threshold, and the owner's way to empty them.
struct Candidates {
    static constexpr std::size_t capacity = 2048;
    static constexpr std::size_t slack = 8; // pairs are stored by whole vectors

    std::uint64_t left[capacity + slack];
    std::uint64_t right[capacity + slack];
    std::size_t count;
    void (*flush)(Candidates& full); // sets count to 0; may throw
    void* owner;
};

struct Comparison {
    int threshold;
    int window; // the lowest bit of the window, which wraps round at bit 63
};

/// Which pairs found in a table have not been found before. A pair belongs to the first table whose
/// key both codes share: none of an earlier part, and none of this part that differs first in
/// having an earlier block.
struct EmissionRule {
    std::uint64_t must_differ[64]; // blocks in which the codes must differ
    int must_differ_count;
    int earlier_parts;
    struct EarlierPart {
        int first_block; // in earlier_blocks
        int end_block;
        int selected; // so many equal blocks make an earlier table
    } earlier_part[64];
    std::uint64_t earlier_blocks[64];
};

/// Larger buckets than this are compared as blocks of so many codes, triangles and rectangles.
constexpr std::size_t largest_bucket = 2048;

struct BucketKernels {
    /// Compares the codes within each bucket of at most `largest_bucket` codes; bucket i is codes
    /// [borders[i], borders[i + 1]). Larger ones are left out. Up to 512 bytes behind a bucket are
    /// read.
    void (*compare_buckets)(const std::uint64_t* codes, const std::uint32_t* borders,
                            std::size_t buckets, const Comparison& comparison,
                            Candidates& candidates);
    /// Compares the codes of each bucket of one set with those of the bucket of the same number of
    /// the other, where neither has more than `largest_bucket`; otherwise as compare_buckets. The
    /// smaller set is better the left one: its codes pass by vectors of the right one's.
    void (*compare_bucket_rectangles)(const std::uint64_t* left, const std::uint32_t* left_borders,
                                      const std::uint64_t* right,
                                      const std::uint32_t* right_borders, std::size_t buckets,
                                      const Comparison& comparison, Candidates& candidates);
    /// Compares two blocks of at most `largest_bucket` codes.
    void (*compare_rectangle)(const std::uint64_t* left, std::size_t left_count,
                              const std::uint64_t* right, std::size_t right_count,
                              const Comparison& comparison, Candidates& candidates);
    /// Moves the candidates that the rule lets through to the front; returns their number.
    std::size_t (*select_new)(Candidates& candidates, const EmissionRule& rule);
};

extern const BucketKernels bucket_scalar;
extern const BucketKernels bucket_avx2;
extern const BucketKernels bucket_avx512;
extern const BucketKernels bucket_neon;

/// The version for an instruction set, which the machine must have.
const BucketKernels& bucket_kernels_for(Isa isa);

/// The comparison whose window shares the fewest bits with the key; of several, the one that can be
/// enlarged to 48 bits best.
Comparison comparison_for(std::uint64_t key, int threshold);

} // namespace vamhash
