// Comparison of the codes within each bucket of a table.
//
// A launch takes a range of units, a group each. A unit is a tile of a long bucket's matrix of
// pairs, or a run of codes of which those in short buckets are compared. The hardware hands groups
// to its processors as they become free, so that a bucket of many tiles keeps none of them waiting.
//
// Hits are written to a buffer of fixed size, which the host empties between launches. A group
// reserves room for all hits of a step at once, or, where there is no room, notes the unit and the
// step in the list of unfinished ones and ends. The next launch takes that list instead of a range.
// So each hit is written once.

struct JoinCodes {
    GLOBAL const u64* codes;
    GLOBAL const u32* borders;
};

// What a launch reads and writes besides codes.
struct JoinLaunch {
    GLOBAL const struct JoinTable* table;
    GLOBAL u64* hits; // pairs of codes
    u32 capacity;     // pairs
    GLOBAL u32* state;
    GLOBAL u32* unfinished; // unit and step, one after the other
};

// The bits of the window, and the others.
struct Halves {
    u32 window;
    u32 others;
};

FUNCTION struct Halves halves_of(u64 code, u32 window) {
    const u64 turned = window == 0 ? code : code >> window | code << (64 - window);
    struct Halves halves;
    halves.window = (u32)turned;
    halves.others = (u32)(turned >> 32);
    return halves;
}

// Whether a pair whose codes differ in `bits` has not been found in an earlier table.
FUNCTION u32 is_new(u64 bits, GLOBAL const struct JoinTable* table) {
    for (u32 i = 0; i < table->must_differ_count; ++i) {
        if ((bits & table->must_differ[i]) == 0) {
            return 0;
        }
    }
    u32 block = 0;
    for (u32 part = 0; part < table->earlier_parts; ++part) {
        u32 equal = 0;
        for (; block < table->part_end[part]; ++block) {
            equal += (bits & table->earlier_blocks[block]) == 0 ? 1 : 0;
        }
        if (equal >= table->part_selected[part]) {
            return 0;
        }
    }
    return 1;
}

// By one work-item: reserves room for hits; returns where, or NO_ROOM.
#define NO_ROOM 0xffffffffU
FUNCTION u32 reserve(u32 hits, u32 unit, u32 step, struct JoinLaunch launch) {
    u32 used = launch.state[JOIN_HITS];
    for (;;) {
        if (used + hits > launch.capacity) {
            const u32 place = ATOMIC_ADD(&launch.state[JOIN_UNFINISHED], 1U);
            launch.unfinished[2 * place] = unit;
            launch.unfinished[2 * place + 1] = step;
            return NO_ROOM;
        }
        const u32 found = ATOMIC_COMPARE_AND_SWAP(&launch.state[JOIN_HITS], used, used + hits);
        if (found == used) {
            return used;
        }
        used = found;
    }
}

FUNCTION u32 size_of(GLOBAL const u32* borders, u32 key) {
    return borders[key + 1] - borders[key];
}

FUNCTION u32 is_short(u32 left, u32 right) {
    return left <= JOIN_SHORT_BUCKET && right <= JOIN_SHORT_BUCKET ? 1 : 0;
}

// Writes the number of tiles of each bucket: of its triangle, or of the rectangle of two.
KERNEL count_tiles(GLOBAL const u32* left_borders, GLOBAL const u32* right_borders, u32 keys,
                   u32 self, GLOBAL u64* tiles) {
    const u32 stride = group_count() * local_size();
    for (u32 key = group_id() * local_size() + local_id(); key < keys; key += stride) {
        const u32 left = size_of(left_borders, key);
        const u32 right = size_of(right_borders, key);
        const u64 rows = left / JOIN_TILE + (left % JOIN_TILE != 0 ? 1 : 0);
        const u64 columns = right / JOIN_TILE + (right % JOIN_TILE != 0 ? 1 : 0);
        tiles[key] = is_short(left, right) ? 0 : self ? rows * (rows + 1) / 2 : rows * columns;
    }
}

// The row block of a tile of a triangle of so many blocks, the tiles of which are numbered row by
// row; `tile` becomes its place in the row.
FUNCTION u32 row_of_triangle(u64* tile, u64 blocks) {
    u64 first = 0;
    u64 end = blocks;
    while (end - first > 1) {
        const u64 middle = first + (end - first) / 2;
        if (middle * blocks - middle * (middle - 1) / 2 <= *tile) {
            first = middle;
        } else {
            end = middle;
        }
    }
    *tile -= first == 0 ? 0 : first * blocks - first * (first - 1) / 2;
    return (u32)first;
}

// Compares the codes of tiles [first_tile, first_tile + groups), or of the `resumed` ones, which are
// counted from first_tile. Tile i is of the bucket whose number of earlier tiles, in tile_starts, is
// the last that is at most i. Groups of JOIN_GROUP.
KERNEL compare_tiles(GLOBAL const u64* left, GLOBAL const u32* left_borders,
                     GLOBAL const u64* right, GLOBAL const u32* right_borders,
                     GLOBAL const u64* tile_starts, u32 keys, u64 first_tile,
                     GLOBAL const u32* resumed, u32 is_resumed,
                     GLOBAL const struct JoinTable* table, GLOBAL u64* hits, u32 capacity,
                     GLOBAL u32* state, GLOBAL u32* unfinished) {
    LOCAL u32 place[5];                // the tile: its rows, its columns, and whether diagonal
    LOCAL u64 columns[JOIN_GROUP];     // codes
    LOCAL u32 window_bits[JOIN_GROUP]; // of columns
    LOCAL u32 other_bits[JOIN_GROUP];
    LOCAL u32 found[4]; // hits of a step, in turns
    LOCAL u32 reserved;
    struct JoinLaunch launch;
    launch.table = table;
    launch.hits = hits;
    launch.capacity = capacity;
    launch.state = state;
    launch.unfinished = unfinished;

    const u32 id = local_id();
    const u32 unit = is_resumed ? resumed[2 * group_id()] : group_id();
    const u32 first_step = is_resumed ? resumed[2 * group_id() + 1] : 0;
    const u32 self = table->self;
    const u32 threshold = table->threshold;
    const u32 window = table->window;
    const u32 narrow = table->narrow;
    if (id == 0) {
        u64 tile = first_tile + unit;
        const u32 key = last_at_most(tile_starts, keys, tile);
        tile -= tile_starts[key];
        const u64 blocks = (size_of(right_borders, key) + (u64)JOIN_TILE - 1) / JOIN_TILE;
        u32 row_block;
        u32 column_block;
        if (self) {
            row_block = row_of_triangle(&tile, blocks);
            column_block = row_block + (u32)tile;
        } else {
            row_block = (u32)(tile / blocks);
            column_block = (u32)(tile % blocks);
        }
        place[0] = left_borders[key] + row_block * JOIN_TILE;
        place[1] = left_borders[key + 1];
        place[2] = right_borders[key] + column_block * JOIN_TILE;
        place[3] = right_borders[key + 1];
        place[4] = self && row_block == column_block ? 1 : 0;
    }
    if (id < 4) {
        found[id] = 0;
    }
    wait_for_group();
    const u32 rows_end = place[1];
    const u32 first_column = place[2];
    const u32 columns_end =
        place[3] - first_column > JOIN_TILE ? first_column + JOIN_TILE : place[3];
    const u32 diagonal = place[4];
    // The rows of 32 neighbours lie together, so that on the diagonal they can pass over the columns
    // before all of them.
    const u32 first_row = place[0] + id / 32 * (32 * JOIN_ROWS);
    const u32 row = first_row + id % 32;

    u64 codes[JOIN_ROWS];
    struct Halves mine[JOIN_ROWS];
    for (u32 r = 0; r < JOIN_ROWS; ++r) {
        codes[r] = row + 32 * r < rows_end ? left[row + 32 * r] : 0;
        mine[r] = halves_of(codes[r], window);
    }

    u32 step = first_step;
    u32 ended = 0;
    u32 staged = first_step * JOIN_STEP_COLUMNS / JOIN_GROUP * JOIN_GROUP;
    for (; first_column + staged < columns_end && !ended; staged += JOIN_GROUP) {
        wait_for_group();
        {
            const u32 column = first_column + staged + id;
            const u64 code = column < columns_end ? right[column] : 0;
            const struct Halves halves = halves_of(code, window);
            columns[id] = code;
            window_bits[id] = halves.window;
            other_bits[id] = halves.others;
        }
        wait_for_group();
        for (; step * JOIN_STEP_COLUMNS < staged + JOIN_GROUP && !ended; ++step) {
            const u32 begin = step * JOIN_STEP_COLUMNS - staged; // in the staged columns
            const u32 column = first_column + step * JOIN_STEP_COLUMNS;
            if (column >= columns_end) {
                break;
            }
            const u32 left_over = columns_end - column;
            u32 end = left_over < JOIN_STEP_COLUMNS ? left_over : JOIN_STEP_COLUMNS;
            if ((diagonal && column + end <= first_row + 1) || first_row >= rows_end) {
                end = 0;
            }
            u32 candidates = 0;
            u32 masks[JOIN_ROWS];
            for (u32 r = 0; r < JOIN_ROWS; ++r) {
                masks[r] = 0;
            }
            for (u32 c = 0; c < end; ++c) {
                const u32 a = window_bits[begin + c];
                const u32 b = other_bits[begin + c];
                u32 least = 64;
                if (narrow) {
                    for (u32 r = 0; r < JOIN_ROWS; ++r) {
                        const u32 distance = bits_set(mine[r].window ^ a);
                        least = distance < least ? distance : least;
                    }
                } else {
                    for (u32 r = 0; r < JOIN_ROWS; ++r) {
                        const u32 distance =
                            bits_set(mine[r].window ^ a) + bits_set(mine[r].others ^ b);
                        least = distance < least ? distance : least;
                    }
                }
                if (least <= threshold) {
                    for (u32 r = 0; r < JOIN_ROWS; ++r) {
                        const u32 distance =
                            bits_set(mine[r].window ^ a) + bits_set(mine[r].others ^ b);
                        const u32 number = row + 32 * r;
                        if (distance <= threshold && number < rows_end &&
                            (!diagonal || number < column + c)) {
                            ++candidates;
                            masks[r] |= is_new(codes[r] ^ columns[begin + c], table) << c;
                        }
                    }
                }
            }
            // A step that is done again has told of its candidates.
            if (candidates != 0 && !(is_resumed && step == first_step)) {
                ATOMIC_ADD(&state[JOIN_CANDIDATES], candidates);
            }
            u32 hit_count = 0;
            for (u32 r = 0; r < JOIN_ROWS; ++r) {
                hit_count += bits_set(masks[r]);
            }
            u32 before = 0;
            if (hit_count != 0) {
                before = ATOMIC_ADD(&found[step % 4], hit_count);
            }
            if (id == 0) {
                found[(step + 2) % 4] = 0; // nobody is there any more, nor yet
            }
            wait_for_group();
            const u32 all = found[step % 4];
            if (all != 0) {
                if (id == 0) {
                    reserved = reserve(all, unit, step, launch);
                }
                wait_for_group();
                const u32 base = reserved;
                if (base == NO_ROOM) {
                    ended = 1;
                } else {
                    u64 at = base + (u64)before;
                    for (u32 r = 0; r < JOIN_ROWS; ++r) {
                        for (u32 c = 0; masks[r] >> c != 0; ++c) {
                            if ((masks[r] >> c & 1) != 0) {
                                hits[2 * at] = codes[r];
                                hits[2 * at + 1] = columns[begin + c];
                                ++at;
                            }
                            if (c == 31) {
                                break;
                            }
                        }
                    }
                }
                wait_for_group();
            }
        }
    }
}

// Compares each of the left codes [first + JOIN_GROUP * unit, ...) that lies in a short bucket with
// the right ones of its bucket; of one set, with those behind it.
KERNEL compare_runs(GLOBAL const u64* left, u32 left_size, GLOBAL const u32* left_borders,
                    GLOBAL const u64* right, GLOBAL const u32* right_borders, u32 first_unit,
                    GLOBAL const u32* resumed, u32 is_resumed,
                    GLOBAL const struct JoinTable* table, GLOBAL u64* hits, u32 capacity,
                    GLOBAL u32* state, GLOBAL u32* unfinished) {
    LOCAL u32 found;
    LOCAL u32 reserved;
    struct JoinLaunch launch;
    launch.table = table;
    launch.hits = hits;
    launch.capacity = capacity;
    launch.state = state;
    launch.unfinished = unfinished;

    const u32 id = local_id();
    const u32 unit = is_resumed ? resumed[2 * group_id()] : group_id();
    const u64 row = ((u64)first_unit + unit) * JOIN_GROUP + id;
    const u32 threshold = table->threshold;
    if (id == 0) {
        found = 0;
    }
    wait_for_group();
    u64 code = 0;
    u64 mask = 0;
    u32 begin = 0;
    u32 candidates = 0;
    if (row < left_size) {
        code = left[row];
        const u32 key = key_of(code, table);
        if (is_short(size_of(left_borders, key), size_of(right_borders, key))) {
            begin = table->self ? (u32)row + 1 : right_borders[key];
            const u32 end = right_borders[key + 1];
            for (u32 i = begin; i < end; ++i) {
                const u64 bits = code ^ right[i];
                if (bits_set_of_long(bits) <= threshold) {
                    ++candidates;
                    mask |= (u64)is_new(bits, table) << (i - begin);
                }
            }
        }
    }
    if (candidates != 0 && !is_resumed) {
        ATOMIC_ADD(&state[JOIN_CANDIDATES], candidates);
    }
    const u32 hit_count = bits_set_of_long(mask);
    u32 before = 0;
    if (hit_count != 0) {
        before = ATOMIC_ADD(&found, hit_count);
    }
    wait_for_group();
    if (found != 0) {
        if (id == 0) {
            reserved = reserve(found, unit, 0, launch);
        }
        wait_for_group();
        if (reserved != NO_ROOM) {
            u64 at = reserved + (u64)before;
            for (u32 i = begin; mask != 0; ++i, mask >>= 1) {
                if ((mask & 1) != 0) {
                    hits[2 * at] = code;
                    hits[2 * at + 1] = right[i];
                    ++at;
                }
            }
        }
    }
}
