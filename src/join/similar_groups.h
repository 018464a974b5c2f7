// Groups of similar rows: an array of 64-bit hashes in, the members of groups out.
//
// Two rows are neighbours if their hashes are within the threshold, equal ones included; a row's
// neighbours are counted in the whole set. Rows with one key and one hash count once: the first of
// them stays, the copies are in no group and nobody's neighbours. "The first" in what follows is by
// the rank of the rows' keys, which is all that the caller has to know of them; so the answer is
// the same for one set of rows in whatever order they come.
//
//   star       The rows are gone through by most neighbours, then by rank. A row that is in no
//              group yet becomes a centre and takes all its neighbours that are in none. Every
//              member is within the threshold of its centre, two members within twice of it.
//   complete   The same centres' order; but a centre goes through its neighbours that are in no
//              group yet by their distance to it, then by rank, and takes each that is within the
//              threshold of all members taken so far. Every two members are within the threshold.
//   connected  Two rows are in one group if a chain of neighbours leads from one to the other. The
//              centre is the member with most neighbours, of several the first.
//
// A group has two rows or more: a row that takes nobody and that nobody takes is in none. Rows with
// equal hashes have the same neighbours, and so end up in one group, under each method. That is why
// all of it works on distinct values: no two equal hashes are ever compared.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include "join/report.h"
#include "join/similar_pairs.h"

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace vamhash {

enum class GroupMethod : std::uint32_t { star = 0, complete = 1, connected = 2 };

/// A row in a group.
struct Member {
    std::uint32_t row;
    std::uint32_t group;   // from 1, in the order of the groups' first members
    std::uint32_t size;    // rows in the group
    std::uint8_t distance; // to the group's centre
    std::uint8_t diameter; // the greatest distance of two members
    bool is_center;        // of one member a group
};

/// A row that has a neighbour, unless all of them turn out to be copies of it.
struct GroupedRow {
    std::uint32_t row;
    std::uint32_t value; // rows have the same one if and only if their hashes are equal
};

/// Ranks the keys of rows, which come in ascending order: returns a number for each, in the same
/// order, that compares with the others as its key does. Rows of one key have the same rank; their
/// hashes must be equal.
using RankSource = std::function<std::vector<std::uint32_t>(std::span<const GroupedRow>)>;

/// Takes members, batch by batch: group by group, and within a group by rank.
using MemberSink = std::function<void(std::span<const Member>)>;

/// Groups the rows whose hashes are within `threshold` (0 .. 64). `ranks` is called once, or not at
/// all if no two rows are neighbours; it and `sink` are called on the calling thread, and what they
/// throw ends the call. Of the options max_pairs has no effect. The report counts the pairs of
/// neighbours, without copies.
///
/// Memory: about 50 bytes a row and up to 30 more for rows in groups. `star` and `complete` keep
/// the pairs of similar values besides, 12 bytes each; `connected` keeps none, and is the way out
/// where there are too many.
///
/// Throws std::invalid_argument for a threshold out of range, for more than 2^32 - 1 rows and for
/// ranks that are too few, too many, or the same for two different hashes; JoinMemoryExceeded;
/// JoinMethodMissing.
JoinReport similar_groups(std::span<const std::uint64_t> codes, int threshold, GroupMethod method,
                          const JoinOptions& options, const RankSource& ranks,
                          const MemberSink& sink);

} // namespace vamhash
