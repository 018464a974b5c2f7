// A vector whose memory begins at a cache line, so that a SIMD kernel's loads of 64 bytes do not
// read from two.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include <cstddef>
#include <new>
#include <vector>

namespace vamhash {

/// Allocates whole cache lines.
template <typename Value>
struct CacheLineAllocator {
    using value_type = Value;
    static constexpr std::align_val_t line{64};

    CacheLineAllocator() = default;
    template <typename Other>
    explicit CacheLineAllocator(const CacheLineAllocator<Other>& /*other*/) {}

    Value* allocate(std::size_t count) {
        return static_cast<Value*>(::operator new(count * sizeof(Value), line));
    }
    void deallocate(Value* memory, std::size_t /*count*/) { ::operator delete(memory, line); }
    bool operator==(const CacheLineAllocator&) const = default;
};

template <typename Value>
using AlignedVector = std::vector<Value, CacheLineAllocator<Value>>;

} // namespace vamhash
