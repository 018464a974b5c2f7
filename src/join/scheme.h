// Schemes: which bits of the codes are keys, so that every similar pair shares one.
//
// Cut the 64 bits into parts. If two codes differ in at most t bits, and sum(tolerance + 1) = t + 1
// over the parts, then in some part they differ in at most its tolerance bits: the general
// pigeonhole (Qin et al., GPH, ICDE 2018). Cut that part into tolerance + selected blocks: at least
// `selected` of them are equal (Manku et al., WWW 2007). So the codes share the key of one of the
// tables, which are all choices of `selected` blocks of a part.
//
// A pair may share several keys. It belongs to the first table whose mask misses a ^ b: tables are
// ordered by part, then by the blocks' numbers like words in a dictionary, so that this is the
// table of the first `selected` equal blocks in the first part that has so many.
//
// Blocks need not cover all bits: differences elsewhere only leave fewer for the blocks.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include "join/bit_order.h"
#include "join/bucket.h"
#include "simd/isa.h"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace vamhash {

/// Bits of the first blocks by which a partition is shared at most: a scatter to more chunks is
/// slower than a second one in cache.
constexpr int most_shared_bits = 11;

struct Part {
    std::vector<std::uint64_t> blocks; // masks, disjoint
    int selected;                      // of the blocks make a key
};

/// The blocks of one key, ascending.
struct Table {
    std::vector<int> blocks;
};

struct Scheme {
    std::vector<Part> parts;
    int shared_blocks = 0; // codes are partitioned once for all tables with as many first blocks

    [[nodiscard]] std::size_t tables() const;
};

/// The tables of a part, in order.
std::vector<Table> tables_of(const Part& part);

/// The bits of a table's key, or of its first `count` blocks.
std::uint64_t key_mask(const Part& part, const Table& table, std::size_t count);
std::uint64_t key_mask(const Part& part, const Table& table);

/// The bits of the first `shared_blocks` blocks, for each set of tables that have them in common,
/// in the tables' order.
std::vector<std::uint64_t> shared_masks(const Scheme& scheme);

/// The rule that lets each pair through in one table.
EmissionRule emission_rule(const Scheme& scheme, std::size_t part, const Table& table);

/// The scheme of `parts` parts whose tolerances differ by at most one, with `selected` blocks in a
/// key of about `key_bits` bits; no parts if there is none.
Scheme make_scheme(int threshold, int parts, int selected, int key_bits);

/// The scheme of one table with an empty key: every code is compared with every other.
Scheme one_bucket();

/// A scheme and what the planner expects of it.
struct Plan {
    Scheme scheme;
    BitOrder order;
    double seconds = 0; // on one thread, without writing pairs
    bool one_bucket = false;
};

/// The plan's scheme in words: "2 parts (2, 2), keys of 2 blocks", the parts by their tolerances.
std::string describe(const Plan& plan);

/// How many of so many values are a sample for plan_join.
std::size_t sample_size(std::size_t values);

struct PlanRequest {
    std::span<const std::uint64_t> sample; // distinct values
    double values;                         // in all
    int threshold;
    Isa isa;
    bool allow_one_bucket; // that is, brute force
    // Of a join of two sets, the other set.
    std::span<const std::uint64_t> right_sample = {};
    double right_values = 0; // 0: of a self-join
    // Values are gathered and grouped anew for each set of tables (join/passes.h).
    bool in_passes = false;

    [[nodiscard]] bool self() const { return right_values == 0; }
    [[nodiscard]] double all_values() const { return values + right_values; }
    [[nodiscard]] double pairs() const { return values * (self() ? values / 2 : right_values); }
};

/// The expected seconds of so many comparisons by brute force on one thread.
double brute_force_seconds(double pairs, int threshold, Isa isa);

/// Chooses the scheme and the order of bits of the least expected cost: partition, comparisons and
/// candidates, from the sample's histograms.
Plan plan_join(const PlanRequest& request);

/// Every scheme that plan_join may choose, for the tests.
std::vector<Scheme> possible_schemes(int threshold, double values);

} // namespace vamhash
