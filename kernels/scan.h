// Sums of all earlier items, in three launches: the sums of blocks, those of earlier blocks, and the
// items' own. Included once for each type of items, with SCAN(name) and ITEM set.
//
// A block is SCAN_BLOCK items, and a group SCAN_GROUP work-items.
#ifndef VAMHASH_KERNELS_SCAN_H
#define VAMHASH_KERNELS_SCAN_H
#define SCAN_GROUP 256
#define SCAN_ITEMS 8
#define SCAN_BLOCK (SCAN_GROUP * SCAN_ITEMS)
#endif

#ifdef ITEM

// Replaces a number of each work-item by the sum of those of earlier ones; returns the sum of all.
FUNCTION ITEM SCAN(scan_group)(LOCAL_POINTER ITEM* numbers) {
    const u32 id = local_id();
    ITEM sum = numbers[id];
    const ITEM own = sum;
    for (u32 distance = 1; distance < SCAN_GROUP; distance *= 2) {
        wait_for_group();
        const ITEM other = id >= distance ? numbers[id - distance] : 0;
        wait_for_group();
        sum += other;
        numbers[id] = sum;
    }
    wait_for_group();
    const ITEM all = numbers[SCAN_GROUP - 1];
    wait_for_group();
    numbers[id] = sum - own;
    wait_for_group();
    return all;
}

KERNEL SCAN(sum_blocks)(GLOBAL const ITEM* items, u32 size, GLOBAL ITEM* sums) {
    LOCAL ITEM numbers[SCAN_GROUP];
    const u32 first = group_id() * SCAN_BLOCK + local_id() * SCAN_ITEMS;
    ITEM sum = 0;
    for (u32 i = 0; i < SCAN_ITEMS; ++i) {
        sum += first + i < size ? items[first + i] : 0;
    }
    numbers[local_id()] = sum;
    const ITEM all = SCAN(scan_group)(numbers);
    if (local_id() == 0) {
        sums[group_id()] = all;
    }
}

// By one group.
KERNEL SCAN(scan_sums)(GLOBAL ITEM* sums, u32 blocks) {
    LOCAL ITEM numbers[SCAN_GROUP];
    ITEM before = 0;
    for (u32 first = 0; first < blocks; first += SCAN_GROUP) {
        const u32 block = first + local_id();
        numbers[local_id()] = block < blocks ? sums[block] : 0;
        const ITEM all = SCAN(scan_group)(numbers);
        if (block < blocks) {
            sums[block] = before + numbers[local_id()];
        }
        before += all;
        wait_for_group();
    }
}

// Writes the sums to `items` and to `out`, which has the sum of all at its end.
KERNEL SCAN(scan_blocks)(GLOBAL ITEM* items, u32 size, GLOBAL const ITEM* sums, GLOBAL ITEM* out) {
    LOCAL ITEM numbers[SCAN_GROUP];
    const u32 first = group_id() * SCAN_BLOCK + local_id() * SCAN_ITEMS;
    ITEM sum = 0;
    for (u32 i = 0; i < SCAN_ITEMS; ++i) {
        sum += first + i < size ? items[first + i] : 0;
    }
    numbers[local_id()] = sum;
    SCAN(scan_group)(numbers);
    ITEM before = sums[group_id()] + numbers[local_id()];
    for (u32 i = 0; i < SCAN_ITEMS && first + i < size; ++i) {
        const ITEM item = items[first + i];
        out[first + i] = before;
        items[first + i] = before;
        before += item;
        if (first + i + 1 == size) {
            out[size] = before;
        }
    }
}

#endif
