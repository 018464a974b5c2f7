// Partition in portable C++.
#include "join/partition.h"

namespace vamhash {

namespace {

// A run never moves to the left: the key has no more bits below it than the code has.
std::uint64_t key_of(std::uint64_t code, const KeyBits& key) {
    std::uint64_t value = 0;
    for (int i = 0; i < key.runs; ++i) {
        value |= code >> key.run[i].shift & key.run[i].mask;
    }
    return value;
}

void count(const std::uint64_t* codes, std::size_t size, const KeyBits& key,
           std::uint32_t* counts) {
    for (std::size_t i = 0; i < size; ++i) {
        ++counts[key_of(codes[i], key)];
    }
}

void scatter(const std::uint64_t* codes, std::size_t size, const KeyBits& key,
             std::uint32_t* places, std::uint64_t* out) {
    for (std::size_t i = 0; i < size; ++i) {
        out[places[key_of(codes[i], key)]++] = codes[i];
    }
}

std::size_t select(const std::uint64_t* codes, std::size_t size, const KeyBits& key,
                   std::uint32_t first, std::uint32_t end, std::uint32_t* selected) {
    std::size_t count = 0;
    for (std::size_t i = 0; i < size; ++i) {
        selected[count] = static_cast<std::uint32_t>(i);
        count += static_cast<std::size_t>(key_of(codes[i], key) - first < end - first);
    }
    return count;
}

} // namespace

const PartitionKernels partition_scalar{count, scatter, select};

} // namespace vamhash
