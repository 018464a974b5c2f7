// Arenas as a backend makes them.
#pragma once

#include "engine/arena.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <memory>
#include <sys/mman.h>

namespace vamhash::test {

/// Memory whose size is sealed.
inline Descriptor make_arena_memory(std::uint64_t bytes) {
    Descriptor memory(memfd_create("arena", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    EXPECT_GE(memory.number(), 0);
    EXPECT_EQ(ftruncate(memory.number(), static_cast<off_t>(bytes)), 0);
    EXPECT_EQ(fcntl(memory.number(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
    return memory;
}

inline protocol::Arena arena_of(std::uint64_t bytes, std::uint32_t parts,
                                std::uint32_t batch = protocol::max_images, bool waits = false) {
    return {.bytes = bytes,
            .parts = parts,
            .batch = batch,
            .waits = waits ? 1U : 0U,
            .number = 1,
            .kept = 0,
            .jpeg_files = 0};
}

} // namespace vamhash::test
