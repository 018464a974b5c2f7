// Partition of codes by some of their bits: counting, then scattering to each key's place.
//
// A code is its own record: no row number travels with it, which halves the memory moved.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include <cstddef>
#include <cstdint>

namespace vamhash {

enum class Isa;

/// The bits of a code that make a key, the lowest first. Where the machine has no instruction for
/// it, they are gathered run by run of neighbouring bits.
struct KeyBits {
    std::uint64_t mask = 0;
    int bits = 0;
    int runs = 0;
    struct Run {
        std::uint64_t mask; // of the key
        int shift;          // of the code, to the right
    } run[32];
};

/// The key that the bits of `mask` make.
KeyBits key_bits(std::uint64_t mask);

/// The lowest `count` bits of a mask, or all where there are fewer.
std::uint64_t lowest_bits(std::uint64_t mask, int count);

struct PartitionKernels {
    /// Adds the number of codes with each key to counts[key].
    void (*count)(const std::uint64_t* codes, std::size_t size, const KeyBits& key,
                  std::uint32_t* counts);
    /// Copies each code to out[places[key]++].
    void (*scatter)(const std::uint64_t* codes, std::size_t size, const KeyBits& key,
                    std::uint32_t* places, std::uint64_t* out);
    /// Writes the numbers of the codes whose keys lie in [first, end), ascending, to `selected`,
    /// which has room for `size`; returns how many there are.
    std::size_t (*select)(const std::uint64_t* codes, std::size_t size, const KeyBits& key,
                          std::uint32_t first, std::uint32_t end, std::uint32_t* selected);
};

extern const PartitionKernels partition_scalar;
extern const PartitionKernels partition_avx2;
extern const PartitionKernels partition_neon;

/// The version for an instruction set, which the machine must have.
const PartitionKernels& partition_kernels_for(Isa isa);

} // namespace vamhash
