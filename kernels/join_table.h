// One table of the join (src/join/scheme.h) as the kernels see it: which bits are its key, which
// pairs are near, and which of those belong to it. The host includes this, too.
#ifndef VAMHASH_KERNELS_JOIN_TABLE_H
#define VAMHASH_KERNELS_JOIN_TABLE_H

#include "numbers.h"

// The work-items of a group in the kernels that compare.
#define JOIN_GROUP 128
// Rows of a tile that one work-item compares with all columns.
#define JOIN_ROWS 4
// Rows, and columns, of a tile.
#define JOIN_TILE (JOIN_GROUP * JOIN_ROWS)
// Codes of a short bucket at most: one work-item compares one of them with all others, whose hits
// are bits of one number. Longer buckets are cut into tiles.
#define JOIN_SHORT_BUCKET 64
// Columns whose hits are told at once. So many hits fit into any buffer for them.
#define JOIN_STEP_COLUMNS 32
#define JOIN_MOST_HITS_AT_ONCE (JOIN_TILE * JOIN_STEP_COLUMNS)
#define JOIN_MOST_KEY_RUNS 32

// What a launch tells of itself.
#define JOIN_HITS 0       // written
#define JOIN_UNFINISHED 1 // units that found no room for their hits, in the list of those
#define JOIN_CANDIDATES 2 // pairs within the threshold
#define JOIN_STATE 4      // numbers in all

struct JoinTable {
    u64 must_differ[64];    // blocks in which the codes of a new pair differ
    u64 earlier_blocks[64]; // of earlier parts
    u32 must_differ_count;
    u32 earlier_parts;
    u32 part_end[64];      // the last block of an earlier part, and one, in earlier_blocks
    u32 part_selected[64]; // so many equal blocks make an earlier table
    u32 key_runs;          // of neighbouring bits of the code
    u32 run_shift[JOIN_MOST_KEY_RUNS]; // of the code, to the right
    u32 run_mask[JOIN_MOST_KEY_RUNS];  // of the key
    u32 threshold;
    u32 window; // the lowest bit of 32 that are compared first; it wraps round at bit 63
    u32 narrow; // 1: only pairs that these let through are compared in the others
    u32 self;   // 1: of one set of codes, each pair once
};

#endif
