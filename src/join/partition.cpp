#include "join/partition.h"

#include "simd/isa.h"

#include <bit>

namespace vamhash {

KeyBits key_bits(std::uint64_t mask) {
    KeyBits key;
    key.mask = mask;
    for (std::uint64_t rest = mask; rest != 0;) {
        const int first = std::countr_zero(rest);
        const int length = std::countr_one(rest >> first);
        const std::uint64_t ones = length == 64 ? ~0ULL : (1ULL << length) - 1;
        key.run[key.runs++] = {ones << key.bits, first - key.bits};
        key.bits += length;
        rest &= ~(ones << first);
    }
    return key;
}

std::uint64_t lowest_bits(std::uint64_t mask, int count) {
    std::uint64_t bits = 0;
    for (; mask != 0 && count > 0; mask &= mask - 1, --count) {
        bits |= mask & -mask;
    }
    return bits;
}

const PartitionKernels& partition_kernels_for(Isa isa) {
#if defined(__x86_64__)
    if (isa != Isa::scalar) {
        return partition_avx2;
    }
#elif defined(__aarch64__)
    if (isa == Isa::neon) {
        return partition_neon;
    }
#endif
    static_cast<void>(isa);
    return partition_scalar;
}

} // namespace vamhash
