// Passes kept for the next image: a catalog's photographs have few sizes, and computing a
// photograph's filters costs a tenth of hashing it, a thumbnail's half.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include "simd/isa.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

namespace vamhash {

/// The most recently used passes of one direction. Thread-safe.
template <typename Pass>
class PassCache {
  public:
    /// The pass from in_size to out_size, computed unless kept.
    std::shared_ptr<const Pass> get(std::uint32_t in_size, std::uint32_t out_size, Isa isa) {
        const Key key{.in_size = in_size, .out_size = out_size, .isa = isa};
        {
            const std::lock_guard lock(mutex_);
            const auto found = std::find_if(entries_.begin(), entries_.end(),
                                            [&](const Entry& entry) { return entry.key == key; });
            if (found != entries_.end()) {
                std::rotate(entries_.begin(), found, found + 1);
                return entries_.front().pass;
            }
        }
        auto pass = std::make_shared<const Pass>(in_size, out_size, isa);
        if (in_size <= largest_kept) {
            const std::lock_guard lock(mutex_);
            if (entries_.size() == most_kept)
                entries_.pop_back();
            entries_.insert(entries_.begin(), {.key = key, .pass = pass});
        }
        return pass;
    }

  private:
    // A pass takes about 24 bytes an input sample: 64 of them at most 25 MB, mostly 5 MB.
    static constexpr std::size_t most_kept = 64;
    static constexpr std::uint32_t largest_kept = 16'384;

    struct Key {
        std::uint32_t in_size;
        std::uint32_t out_size;
        Isa isa;
        bool operator==(const Key&) const = default;
    };
    struct Entry {
        Key key;
        std::shared_ptr<const Pass> pass;
    };

    std::mutex mutex_;
    std::vector<Entry> entries_; // the last used first
};

/// The process's passes of one direction.
template <typename Pass>
std::shared_ptr<const Pass> shared_pass(std::uint32_t in_size, std::uint32_t out_size, Isa isa) {
    static PassCache<Pass> cache;
    return cache.get(in_size, out_size, isa);
}

} // namespace vamhash
