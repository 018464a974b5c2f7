// The numbers of structs and tables that kernels and the host share. The host includes this, too.
#ifndef VAMHASH_KERNELS_NUMBERS_H
#define VAMHASH_KERNELS_NUMBERS_H

#if !defined(__CUDACC__) && !defined(__OPENCL_VERSION__)
#include <cstdint>
using u32 = std::uint32_t;
using i64 = std::int64_t;
using u64 = std::uint64_t;
#endif

#endif
