// Partition with BMI2's PEXT, which every processor with AVX2 has.
#include "join/partition.h"

#include <immintrin.h>

namespace vamhash {

namespace {

void count(const std::uint64_t* codes, std::size_t size, const KeyBits& key,
           std::uint32_t* counts) {
    const std::uint64_t mask = key.mask;
#pragma GCC unroll 4
    for (std::size_t i = 0; i < size; ++i) {
        ++counts[_pext_u64(codes[i], mask)];
    }
}

void scatter(const std::uint64_t* codes, std::size_t size, const KeyBits& key,
             std::uint32_t* places, std::uint64_t* out) {
    const std::uint64_t mask = key.mask;
#pragma GCC unroll 4
    for (std::size_t i = 0; i < size; ++i) {
        out[places[_pext_u64(codes[i], mask)]++] = codes[i];
    }
}

std::size_t select(const std::uint64_t* codes, std::size_t size, const KeyBits& key,
                   std::uint32_t first, std::uint32_t end, std::uint32_t* selected) {
    const std::uint64_t mask = key.mask;
    std::size_t count = 0;
    for (std::size_t i = 0; i < size; ++i) {
        selected[count] = static_cast<std::uint32_t>(i);
        count += static_cast<std::size_t>(_pext_u64(codes[i], mask) - first < end - first);
    }
    return count;
}

} // namespace

const PartitionKernels partition_avx2{count, scatter, select};

} // namespace vamhash
