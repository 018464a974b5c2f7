// The words in which CUDA and OpenCL differ. The kernels in this folder are written in what is left
// of C when these are used, so that one source serves both; integers alone, so that all devices
// give the same answers.
#ifndef VAMHASH_KERNELS_LANGUAGE_H
#define VAMHASH_KERNELS_LANGUAGE_H

#if defined(__CUDACC__)

typedef unsigned char u8;
typedef short i16;
typedef unsigned short u16;
typedef int i32;
typedef unsigned int u32;
typedef long long i64;
typedef unsigned long long u64;

#define KERNEL extern "C" __global__ void
#define FUNCTION static __device__ __forceinline__
#define GLOBAL
#define CONSTANT __constant__ const
#define LOCAL __shared__
#define LOCAL_POINTER

// Of work-groups of one dimension: CUDA's blocks.
FUNCTION u32 group_id(void) {
    return blockIdx.x;
}
FUNCTION u32 group_count(void) {
    return gridDim.x;
}
FUNCTION u32 local_id(void) {
    return threadIdx.x;
}
FUNCTION u32 local_size(void) {
    return blockDim.x;
}
FUNCTION void wait_for_group(void) {
    __syncthreads();
}
FUNCTION u32 bits_set(u32 value) {
    return (u32)__popc(value);
}
FUNCTION u32 bits_set_of_long(u64 value) {
    return (u32)__popcll(value);
}

// Both return the old value.
#define ATOMIC_ADD(target, value) atomicAdd(target, value)
#define ATOMIC_COMPARE_AND_SWAP(target, expected, value) atomicCAS(target, expected, value)

#elif defined(__OPENCL_VERSION__)

typedef uchar u8;
typedef short i16;
typedef ushort u16;
typedef int i32;
typedef uint u32;
typedef long i64;
typedef ulong u64;

#define KERNEL __kernel void
#define FUNCTION static inline
#define GLOBAL __global
#define CONSTANT __constant
#define LOCAL __local
#define LOCAL_POINTER __local

FUNCTION u32 group_id(void) {
    return (u32)get_group_id(0);
}
FUNCTION u32 group_count(void) {
    return (u32)get_num_groups(0);
}
FUNCTION u32 local_id(void) {
    return (u32)get_local_id(0);
}
FUNCTION u32 local_size(void) {
    return (u32)get_local_size(0);
}
#define wait_for_group() barrier(CLK_LOCAL_MEM_FENCE)
FUNCTION u32 bits_set(u32 value) {
    return popcount(value);
}
FUNCTION u32 bits_set_of_long(u64 value) {
    return (u32)popcount(value);
}

#define ATOMIC_ADD(target, value) atomic_add(target, value)
#define ATOMIC_COMPARE_AND_SWAP(target, expected, value) atomic_cmpxchg(target, expected, value)

#endif

#endif
