// A partition of codes by all threads together.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include "join/partition.h"
#include "join/workers.h"

#include <cstdint>
#include <span>
#include <vector>

namespace vamhash {

/// Writes the codes to `out`, key by key; returns where each key begins, and the end.
std::vector<std::uint32_t> partition_together(std::span<const std::uint64_t> codes,
                                              const KeyBits& key, std::uint64_t* out,
                                              const PartitionKernels& kernels, Workers& workers);

} // namespace vamhash
