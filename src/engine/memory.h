// How much memory there is for this process.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include <cstdint>

namespace vamhash {

/// Bytes that this process could have at most: the machine's memory, or the least limit of the
/// control groups it runs in (a container's, a systemd unit's) where that is less.
std::uint64_t available_memory();

/// The most memory that this process has held so far, bytes.
std::uint64_t peak_memory();

} // namespace vamhash
