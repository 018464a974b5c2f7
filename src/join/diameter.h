// The greatest distance between two values of a group.
//
// Nearly always two bounds meet. From below: a value, the one farthest from it, the one farthest
// from that, and so on. From above: the number of bits that are not the same in all values, the sum
// of the two greatest distances from one value, and what the caller knows.
//
// Otherwise some pair may be farther apart than the best one known, at distance d. Since
// hamming(a, b) = 64 - hamming(a, ~b), such a pair is one of a value and another's complement
// within 63 - d: a similarity join that finds nothing, or ends when it finds something. Values so
// close to the first that no other can be so far from them are left out of it.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include "join/similar_pairs.h"
#include "join/tile.h"
#include "join/workers.h"
#include "simd/isa.h"

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace vamhash {

/// One thread's means to compare values.
class DiameterBuffers {
  public:
    /// The greatest distance in `codes`, of which there is at least one, and which is known to be
    /// at most `most`. The codes are brought into another order.
    int diameter(std::span<std::uint64_t> codes, int most, Isa isa);

    /// The greatest distance of a code in `left` and one in `right`, blocks of at most
    /// `block_codes`, or `known` if that is greater.
    int farther_than(int known, std::span<const std::uint64_t> left,
                     std::span<const std::uint64_t> right, Isa isa);

    static constexpr std::size_t block_codes = 1024;

  private:
    static constexpr std::size_t strip_codes = 64;

    std::unique_ptr<Hit[]> hits_; // made when it is needed
    std::vector<std::uint64_t> complement_;
};

/// As DiameterBuffers::diameter, by all threads: for more than some thousand codes. Of the options,
/// `isa` and `memory_limit` are looked at.
int diameter(std::span<std::uint64_t> codes, int most, const JoinOptions& options,
             Workers& workers);

} // namespace vamhash
