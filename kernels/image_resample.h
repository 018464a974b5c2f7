// Pillow's resize of 8-bit grey (src/hash/lanczos.h has its filters) of many pictures at once, and
// the block sums of the Haar wavelet. Sums of 32 bits wrap round for no picture, and have no order.

#define IMAGE_COEFFICIENT_BITS 22

FUNCTION u8 rounded(i32 sum) {
    const i32 value = sum >> IMAGE_COEFFICIENT_BITS;
    return (u8)(value < 0 ? 0 : value > 255 ? 255 : value);
}

// Sums every `step`th tap, from number `first` on.
FUNCTION i32 weighted_sum(GLOBAL const u8* samples, u64 tap_step, GLOBAL const i32* coefficients,
                          u32 taps, u32 first, u32 step) {
    i32 sum = 0;
    for (u32 k = first; k < taps; k += step) {
        sum += samples[k * tap_step] * coefficients[k];
    }
    return sum;
}

// Makes one line of a pass, group by group. Line i is of the pass whose number of earlier lines, at
// first_lines, is the last that is at most i. Places are those in the pool (image_pass.h). Groups
// of IMAGE_GROUP.
KERNEL resample_lines(GLOBAL u8* pool, u64 passes_at, u64 first_lines_at, u32 count,
                      GLOBAL const struct ImageWindow* windows, GLOBAL const i32* coefficients) {
    LOCAL i32 sums[IMAGE_GROUP];
    GLOBAL const u64* first_lines = (GLOBAL const u64*)(pool + first_lines_at);
    const u32 which = last_at_most(first_lines, count, group_id());
    const u64 line = group_id() - first_lines[which];
    GLOBAL const struct ImagePass* pass =
        (GLOBAL const struct ImagePass*)(pool + passes_at) + which;
    const u32 outputs = pass->outputs;
    // In a wide line each work-item makes whole outputs.
    const u32 shares = outputs <= IMAGE_NARROW ? IMAGE_GROUP / outputs : 1;
    const u32 share = local_id() % shares;
    const u32 at_once = IMAGE_GROUP / shares;
    for (u32 first = 0; first < outputs; first += at_once) {
        const u32 output = first + local_id() / shares;
        const u32 is_one = output < outputs && local_id() / shares < at_once ? 1 : 0;
        i32 sum = 0;
        if (is_one) {
            GLOBAL const struct ImageWindow* window =
                windows + pass->windows + (pass->by_line ? line : output);
            GLOBAL const u8* samples = pool + pass->in + line * pass->line_step +
                                       (u64)output * pass->output_step +
                                       (u64)window->first * pass->tap_step;
            sum = weighted_sum(samples, pass->tap_step, coefficients + window->coefficients,
                               window->taps, share, shares);
        }
        sums[local_id()] = sum;
        wait_for_group();
        if (is_one && share == 0) {
            i32 all = 1 << (IMAGE_COEFFICIENT_BITS - 1);
            for (u32 i = 0; i < shares; ++i) {
                all += sums[local_id() + i];
            }
            pool[pass->out + line * outputs + output] = rounded(all);
        }
        wait_for_group();
    }
}

// Writes the sum of each of the 64 blocks of square pictures, a block by a group of IMAGE_GROUP.
KERNEL sum_image_blocks(GLOBAL u8* pool, u64 squares_at, u64 sums_at) {
    LOCAL u64 sums[IMAGE_GROUP];
    GLOBAL const struct ImageSquare* square =
        (GLOBAL const struct ImageSquare*)(pool + squares_at) + group_id() / 64;
    const u32 block = group_id() % 64;
    const u64 side = square->side;
    const u64 width = side / 8;
    GLOBAL const u8* first = pool + square->in + block / 8 * width * side + block % 8 * width;
    u64 sum = 0;
    for (u64 y = 0; y < width; ++y) {
        for (u64 x = local_id(); x < width; x += IMAGE_GROUP) {
            sum += first[y * side + x];
        }
    }
    sums[local_id()] = sum;
    wait_for_group();
    for (u32 others = IMAGE_GROUP / 2; others > 0; others /= 2) {
        if (local_id() < others) {
            sums[local_id()] += sums[local_id() + others];
        }
        wait_for_group();
    }
    if (local_id() == 0) {
        ((GLOBAL u64*)(pool + sums_at))[group_id()] = sums[0];
    }
}
