// The instruction sets this machine can run, found at run time.
//
// Every SIMD kernel of vamhash lives in a small file named after its instruction set, compiled with
// that set's flags, behind one function pointer; the scalar version is the tests' answer. The
// kernels take an Isa, so that a test can run each one that the machine has.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include <string_view>
#include <vector>

namespace vamhash {

enum class Isa {
    scalar,
    avx2,   // x86-64-v3: AVX2, BMI2, POPCNT
    avx512, // AVX-512 F, BW, VL, VBMI, VNNI and VPOPCNTDQ (Ice Lake, Zen 4 and later)
    neon,   // every 64-bit ARM
};

/// Name of an instruction set, as shown to users: "scalar", "avx2", "avx512", "neon".
std::string_view isa_name(Isa isa);

/// Every instruction set this machine can run, the slowest (scalar) first.
const std::vector<Isa>& available_isas();

/// The fastest instruction set this machine can run.
inline Isa best_isa() {
    return available_isas().back();
}

} // namespace vamhash
