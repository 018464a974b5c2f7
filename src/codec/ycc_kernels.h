// The kernels of ycc_grey.h: plain pointers only, so that no inline function is compiled for an
// instruction set that the machine may lack.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include <cstddef>
#include <cstdint>

namespace vamhash {

/// How the chroma planes are sampled, seen from luma.
enum class ChromaSampling {
    full,       // 4:4:4
    half_width, // 4:2:2
    half_both,  // 4:2:0
};

/// Luma pixels that are judged together.
constexpr std::size_t ycc_block = 32;

/// One row of both chroma planes. Where it has half of luma's width, the sample before its first
/// and the one after its last are there and repeat these.
struct ChromaRow {
    std::uint8_t* cb;
    std::uint8_t* cr;
    std::uint8_t* reach_up;   // a byte a block: no channel exceeds its luma by more,
    std::uint8_t* reach_down; // and none falls below it by more
};

/// The kernels of an instruction set.
struct YccKernels {
    /// Sets a chroma row's reaches from its samples.
    void (*find_reach)(ChromaSampling sampling, const ChromaRow& row, std::size_t blocks);

    /// Makes grey of one row of luma, in place. `near` is the chroma row that covers it, `far` the
    /// one on its other side (`near` again but for half_both).
    void (*luma_to_grey)(ChromaSampling sampling, std::uint8_t* luma, const ChromaRow& near,
                         const ChromaRow& far, std::size_t blocks);
};

void find_reach_avx2(ChromaSampling sampling, const ChromaRow& row, std::size_t blocks);

void luma_to_grey_avx2(ChromaSampling sampling, std::uint8_t* luma, const ChromaRow& near,
                       const ChromaRow& far, std::size_t blocks);

} // namespace vamhash
