// Coefficients of JPEGs to samples: libjpeg's islow inverse DCT, bit for bit.
//
// It is the algorithm of Loeffler, Ligtenberg and Moschytz in fixed point, over columns, whose sums
// keep 2 bits of fraction, and then over rows. libjpeg-turbo has it in C and for several
// instruction sets, and these part where numbers leave 16 bits: there a picture is flagged, and
// what is written of it means nothing. So do sums here, which wrap round.

#define JPEG_TABLE_BYTES 128
#define JPEG_CONSTANT_BITS 13
#define JPEG_FRACTION_BITS 2
// Of a block between the passes, so that neither pass has conflicts between banks of local memory.
#define JPEG_ROW_STEP 9
#define JPEG_BLOCK_STEP (8 * JPEG_ROW_STEP)

FUNCTION u32 leaves_16_bits(u32 value) {
    return value + 0x8000u > 0xFFFFu ? 1 : 0;
}

// Rounds `bits` bits away.
FUNCTION i32 descaled(u32 value, u32 bits) {
    return (i32)(value + (1u << (bits - 1))) >> bits;
}

// Transforms 8 numbers, all two's complements; the sums are scaled by 2^13. Returns 1 where a sum
// that libjpeg may have in 16 bits leaves these.
FUNCTION u32 transform_8(u32* values) {
    const u32 sum_04 = values[0] + values[4];
    const u32 difference_04 = values[0] - values[4];
    const u32 turned = (values[2] + values[6]) * 4433u;
    const u32 even_2 = turned - values[6] * 15137u;
    const u32 even_3 = turned + values[2] * 6270u;
    const u32 even_0 = sum_04 << JPEG_CONSTANT_BITS;
    const u32 even_1 = difference_04 << JPEG_CONSTANT_BITS;
    const u32 outer = even_0 + even_3;
    const u32 inner = even_0 - even_3;
    const u32 outer_middle = even_1 + even_2;
    const u32 inner_middle = even_1 - even_2;

    const u32 sum_37 = values[7] + values[3];
    const u32 sum_15 = values[5] + values[1];
    const u32 both = (sum_37 + sum_15) * 9633u;
    const u32 turned_17 = values[7] * 7373u + values[1] * 7373u;
    const u32 turned_35 = values[5] * 20995u + values[3] * 20995u;
    const u32 turned_37 = both - sum_37 * 16069u;
    const u32 turned_15 = both - sum_15 * 3196u;
    const u32 odd_0 = values[7] * 2446u - turned_17 + turned_37;
    const u32 odd_1 = values[5] * 16819u - turned_35 + turned_15;
    const u32 odd_2 = values[3] * 25172u - turned_35 + turned_37;
    const u32 odd_3 = values[1] * 12299u - turned_17 + turned_15;

    values[0] = outer + odd_3;
    values[7] = outer - odd_3;
    values[1] = outer_middle + odd_2;
    values[6] = outer_middle - odd_2;
    values[2] = inner_middle + odd_1;
    values[5] = inner_middle - odd_1;
    values[3] = inner + odd_0;
    values[4] = inner - odd_0;
    return leaves_16_bits(sum_04) | leaves_16_bits(difference_04) | leaves_16_bits(sum_37) |
           leaves_16_bits(sum_15);
}

// Decodes JPEG_GROUP_BLOCKS blocks, each by 8 work-items of a group of JPEG_BLOCK_GROUP: first a
// column, and then a row for each. Group i is of the component whose number of earlier groups, at
// first_groups, is the last that is at most i.
KERNEL decode_jpeg_blocks(GLOBAL u8* pool, u64 components_at, u64 first_groups_at, u32 count) {
    LOCAL u32 between[JPEG_GROUP_BLOCKS * JPEG_BLOCK_STEP];
    GLOBAL const u64* first_groups = (GLOBAL const u64*)(pool + first_groups_at);
    const u32 which = last_at_most(first_groups, count, group_id());
    GLOBAL const struct JpegBlocks* component =
        (GLOBAL const struct JpegBlocks*)(pool + components_at) + which;
    const u32 number = (u32)(group_id() - first_groups[which]) * JPEG_GROUP_BLOCKS + local_id() / 8;
    const u32 line = local_id() % 8;
    const u32 is_one = number < component->count ? 1 : 0;
    const u32 x = number % component->across;
    const u32 y = number / component->across;
    LOCAL_POINTER u32* block = between + local_id() / 8 * JPEG_BLOCK_STEP;
    u32 values[8];
    u32 is_wild = 0;
    if (is_one) {
        GLOBAL const u16* factors = (GLOBAL const u16*)(pool + component->in);
        GLOBAL const i16* coefficients =
            (GLOBAL const i16*)(pool + component->in + JPEG_TABLE_BYTES) +
            64 * ((u64)y * component->stored_across + x);
        for (u32 k = 0; k < 8; ++k) {
            const i32 product = coefficients[8 * k + line] * (i32)factors[8 * k + line];
            // Factors of 16 bits may have a sign for libjpeg: then the least number is none.
            is_wild |= product < -0x7FFF || product > 0x7FFF ? 1 : 0;
            values[k] = (u32)product;
        }
        is_wild |= transform_8(values);
        for (u32 k = 0; k < 8; ++k) {
            const u32 value = (u32)descaled(values[k], JPEG_CONSTANT_BITS - JPEG_FRACTION_BITS);
            is_wild |= leaves_16_bits(value);
            block[JPEG_ROW_STEP * k + line] = value;
        }
    }
    wait_for_group();
    if (is_one) {
        for (u32 k = 0; k < 8; ++k) {
            values[k] = block[JPEG_ROW_STEP * line + k];
        }
        is_wild |= transform_8(values);
        u64 row = 0;
        for (u32 k = 0; k < 8; ++k) {
            const i32 value = descaled(values[k], JPEG_CONSTANT_BITS + JPEG_FRACTION_BITS + 3);
            is_wild |= value < -512 || value > 511 ? 1 : 0;
            const i32 sample = value + 128;
            row |= (u64)(sample < 0 ? 0 : sample > 255 ? 255 : sample) << (8 * k);
        }
        GLOBAL u64* rows = (GLOBAL u64*)(pool + component->out);
        rows[((u64)y * 8 + line) * component->across + x] = row;
        if (is_wild) {
            ((GLOBAL u32*)pool)[component->picture] = 1;
        }
    }
}
