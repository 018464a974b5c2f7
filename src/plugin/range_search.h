// What a join method in a library of its own looks like to the engine: one function that finds all
// pairs of codes within a distance.
//
// Such a library brings what the engine must not depend on. It is loaded when a join asks for its
// method, and exports vamhash_range_search_plugin, a RangeSearchEntry. No exception crosses this
// border, and no memory changes hands.
//
// The header holds plain structs and constants, and is included on both sides.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include <cstddef>
#include <cstdint>

namespace vamhash::plugin {

extern "C" {

/// Raised with every change of what follows: a plugin of another version is refused.
constexpr std::uint32_t range_search_version = 1;

/// left[a] and right[b] differ in `distance` bits.
struct RangeHit {
    std::uint32_t a;
    std::uint32_t b;
    std::uint32_t distance;
};

/// Takes hits, on the thread that called `search`; `count` may be 0. `left_done`: left codes
/// searched so far. Returns 0 to go on, anything else to stop.
using TakeHits = int(void* context, std::uint64_t left_done, const RangeHit* hits,
                     std::size_t count) noexcept;

struct RangeRequest {
    const std::uint64_t* left;
    std::uint64_t left_count;
    const std::uint64_t* right; // of a self-join the same as left
    std::uint64_t right_count;  // up to 2^32 - 1, as left_count
    std::int32_t threshold;     // 0 .. 64: distances up to this are hits
    std::int32_t self;          // 1: only hits with a < b are wanted
    std::uint32_t threads;      // at least 1; with 1 none is started
    TakeHits* take;
    void* context;
};

enum class RangeStatus : std::int32_t {
    done = 0,
    stopped = 1, // by `take`
    out_of_memory = 2,
    failed = 3,
};

struct RangeSearch {
    std::uint32_t version; // range_search_version
    /// Gives every hit once, in no particular order. Where it fails it writes the reason, ended by
    /// 0 and cut to fit, to `message`.
    RangeStatus (*search)(const RangeRequest* request, char* message,
                          std::size_t message_size) noexcept;
};

/// What the library exports.
using RangeSearchEntry = const RangeSearch*() noexcept;
constexpr const char* range_search_entry = "vamhash_range_search_plugin";

} // extern "C"

} // namespace vamhash::plugin
