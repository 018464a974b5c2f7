#include "join/tile.h"

#include "simd/isa.h"

namespace vamhash {

CompareTile* compare_tile_for(Isa isa) {
    switch (isa) {
#if defined(__x86_64__)
    case Isa::avx512:
        return compare_tile_avx512;
    case Isa::avx2:
        return compare_tile_avx2;
#elif defined(__aarch64__)
    case Isa::neon:
        return compare_tile_neon;
#endif
    default:
        return compare_tile_scalar;
    }
}

} // namespace vamhash
