// Partition of codes by a table's key: counts, their sums, and one scatter. The order of codes
// within a bucket is left to chance; what is found in it does not depend on that.
//
// A scatter in one pass, whatever the number of buckets, takes an atomic addition a code. Those of
// some thousand buckets seldom meet, and writes to one bucket follow each other closely enough to
// be joined in the second-level cache.

FUNCTION u32 key_of(u64 code, GLOBAL const struct JoinTable* table) {
    u32 key = 0;
    for (u32 i = 0; i < table->key_runs; ++i) {
        key |= (u32)(code >> table->run_shift[i]) & table->run_mask[i];
    }
    return key;
}

// Adds the number of codes of each key to `counts`.
KERNEL count_keys(GLOBAL const u64* codes, u64 size, GLOBAL const struct JoinTable* table,
                  GLOBAL u32* counts) {
    const u64 stride = (u64)group_count() * local_size();
    for (u64 i = (u64)group_id() * local_size() + local_id(); i < size; i += stride) {
        ATOMIC_ADD(&counts[key_of(codes[i], table)], 1U);
    }
}

// Writes the codes bucket by bucket; `places` is where each bucket begins, and is moved to its end.
KERNEL scatter_codes(GLOBAL const u64* codes, u64 size, GLOBAL const struct JoinTable* table,
                     GLOBAL u32* places, GLOBAL u64* out) {
    const u64 stride = (u64)group_count() * local_size();
    for (u64 i = (u64)group_id() * local_size() + local_id(); i < size; i += stride) {
        const u64 code = codes[i];
        out[ATOMIC_ADD(&places[key_of(code, table)], 1U)] = code;
    }
}
