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

#include "join/bucket.h"

#include <cstdint>
#include <vector>

namespace vamhash {

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

/// The ways to choose k of n.
double binomial(int n, int k);

/// The tables of a part, in order.
std::vector<Table> tables_of(const Part& part);

/// The bits of a table's key, or of its first `count` blocks.
std::uint64_t key_mask(const Part& part, const Table& table, std::size_t count);
std::uint64_t key_mask(const Part& part, const Table& table);

/// The rule that lets each pair through in one table.
EmissionRule emission_rule(const Scheme& scheme, std::size_t part, const Table& table);

/// A table by its key, and the pairs that are its own.
struct KeyTable {
    std::uint64_t key_mask;
    EmissionRule rule;
};

/// The tables whose first `shared_blocks` blocks are the same, the bits of which are shared_mask.
struct TableSet {
    std::uint64_t shared_mask;
    std::vector<KeyTable> tables;
};

/// All tables of a scheme, in order.
std::vector<TableSet> table_sets(const Scheme& scheme);

/// The bits of the longest key.
int longest_key(const Scheme& scheme);

/// The scheme of `parts` parts whose tolerances differ by at most one, with `selected` blocks in a
/// key of about `key_bits` bits; no parts if there is none.
Scheme make_scheme(int threshold, int parts, int selected, int key_bits);

/// The scheme of one table with an empty key: every code is compared with every other.
Scheme one_bucket();

} // namespace vamhash
