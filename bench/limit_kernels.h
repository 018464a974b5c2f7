// Kernels of the benchmark's own (device_join.cpp), compiled behind those of the join into a build
// of the backends that is for the benchmark alone: what a device can do at most, and the plain
// join.

// Copies codes: 16 bytes of memory a code.
KERNEL copy_codes(GLOBAL const u64* from, u64 size, GLOBAL u64* to) {
    const u64 stride = (u64)group_count() * local_size();
    for (u64 i = (u64)group_id() * local_size() + local_id(); i < size; i += stride) {
        to[i] = from[i];
    }
}

// Counts the bits of LIMIT_COUNTS numbers of 32 bits a round, in registers, two by two as those of
// codes that are compared.
#define LIMIT_COUNTS 16
KERNEL count_bits(u32 rounds, GLOBAL u32* out) {
    const u32 id = group_id() * local_size() + local_id();
    u64 codes[LIMIT_COUNTS / 2];
    u32 sums[LIMIT_COUNTS / 2];
    for (u32 i = 0; i < LIMIT_COUNTS / 2; ++i) {
        codes[i] = (id + (u64)i) * 0x9e3779b97f4a7c15UL;
        sums[i] = 0;
    }
    for (u32 round = 0; round < rounds; ++round) {
        const u64 other = round * 0xbf58476d1ce4e5b9UL;
        for (u32 i = 0; i < LIMIT_COUNTS / 2; ++i) {
            sums[i] += bits_set_of_long(codes[i] ^ other);
        }
    }
    u32 sum = 0;
    for (u32 i = 0; i < LIMIT_COUNTS / 2; ++i) {
        sum += sums[i];
    }
    out[id] = sum;
}

// The plain join: a work-item compares its code with all codes, and counts those within the
// threshold, itself included.
KERNEL count_near(GLOBAL const u64* codes, u32 size, u32 threshold, GLOBAL u32* counts) {
    const u32 row = group_id() * local_size() + local_id();
    if (row >= size) {
        return;
    }
    const u64 code = codes[row];
    u32 count = 0;
    for (u32 i = 0; i < size; ++i) {
        count += bits_set_of_long(code ^ codes[i]) <= threshold ? 1 : 0;
    }
    counts[row] = count;
}
