// The last of `size` ascending numbers, the first of which is 0, that is at most `number`.
FUNCTION u32 last_at_most(GLOBAL const u64* numbers, u32 size, u64 number) {
    u32 first = 0;
    u32 end = size;
    while (end - first > 1) {
        const u32 middle = first + (end - first) / 2;
        if (numbers[middle] <= number) {
            first = middle;
        } else {
            end = middle;
        }
    }
    return first;
}
