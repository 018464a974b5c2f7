#include "simd/isa.h"

namespace vamhash {

std::string_view isa_name(Isa isa) {
    switch (isa) {
    case Isa::scalar:
        return "scalar";
    case Isa::avx2:
        return "avx2";
    case Isa::avx512:
        return "avx512";
    case Isa::neon:
        return "neon";
    }
    return "unknown";
}

static std::vector<Isa> detect_isas() {
    std::vector<Isa> isas{Isa::scalar};
#if defined(__x86_64__)
    __builtin_cpu_init();
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2") &&
                      __builtin_cpu_supports("popcnt");
    if (avx2) {
        isas.push_back(Isa::avx2);
    }
    if (avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vbmi") &&
        __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vpopcntdq")) {
        isas.push_back(Isa::avx512);
    }
#elif defined(__aarch64__)
    isas.push_back(Isa::neon);
#endif
    return isas;
}

const std::vector<Isa>& available_isas() {
    static const std::vector<Isa> isas = detect_isas();
    return isas;
}

} // namespace vamhash
