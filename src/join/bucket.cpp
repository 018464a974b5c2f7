#include "join/bucket.h"

#include "simd/isa.h"

#include <bit>

namespace vamhash {

const BucketKernels& bucket_kernels_for(Isa isa) {
    switch (isa) {
#if defined(__x86_64__)
    case Isa::avx512:
        return bucket_avx512;
    case Isa::avx2:
        return bucket_avx2;
#elif defined(__aarch64__)
    case Isa::neon:
        return bucket_neon;
#endif
    default:
        return bucket_scalar;
    }
}

Comparison comparison_for(std::uint64_t key, int threshold) {
    Comparison best{threshold, 0};
    int fewest = 64 * 64;
    for (int window = 0; window < 64; ++window) {
        const std::uint64_t turned = std::rotr(key, window);
        const int shared =
            64 * std::popcount(turned & 0xffffffff) + std::popcount(turned & 0xffffffffffff);
        if (shared < fewest) {
            fewest = shared;
            best.window = window;
        }
    }
    return best;
}

} // namespace vamhash
