// Uninitialised memory for arrays as long as a join's input.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#ifdef __linux__
#include <sys/mman.h>
#endif

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>
#include <span>
#include <type_traits>

namespace vamhash {

/// An array of trivial elements, not initialised, which starts at a cache line; 512 bytes behind
/// its end may be read. Asks for huge pages: a partition writes to a thousand places at a time,
/// more than the processor keeps translations of small pages.
template <typename T>
class LargeArray {
    static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);

  public:
    LargeArray() = default;

    explicit LargeArray(std::size_t size) : size_(size) {
        const std::size_t bytes = bytes_for(size);
        const std::size_t alignment = alignment_for(size);
        data_.reset(static_cast<T*>(std::aligned_alloc(alignment, bytes)));
        if (!data_) {
            throw std::bad_alloc();
        }
#if defined(__linux__) && defined(MADV_HUGEPAGE)
        if (alignment == huge_page) {
            madvise(data_.get(), bytes, MADV_HUGEPAGE); // advice: its failure changes nothing
        }
#endif
    }

    /// The bytes that an array takes.
    static std::size_t bytes_for(std::size_t size) {
        const std::size_t alignment = alignment_for(size);
        return (size * sizeof(T) + slack + alignment - 1) / alignment * alignment;
    }

    [[nodiscard]] T* data() const {
        return data_.get();
    }
    [[nodiscard]] std::size_t size() const {
        return size_;
    }
    [[nodiscard]] T& operator[](std::size_t i) const {
        return data_.get()[i];
    }
    [[nodiscard]] std::span<T> first(std::size_t count) const {
        return {data(), count};
    }

  private:
    static constexpr std::size_t slack = 512;
    static constexpr std::size_t cache_line = 64;
    static constexpr std::size_t huge_page = std::size_t{2} << 20;

    static std::size_t alignment_for(std::size_t size) {
        return size * sizeof(T) + slack >= huge_page ? huge_page : cache_line;
    }

    struct Free {
        void operator()(T* memory) const { std::free(memory); }
    };

    std::unique_ptr<T, Free> data_;
    std::size_t size_ = 0;
};

} // namespace vamhash
