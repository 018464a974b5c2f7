// Resized pictures to the bits of their hashes: the decisions of src/hash/hash_bits.h, and the low
// frequencies of src/hash/dct.h, which are integers of 64 bits.
//
// A group makes the hashes of one picture, and each of its 64 work-items a bit of each.

// The side of what is transformed, and of its quarter.
#define DCT_SIZE 32
#define DCT_HALF (DCT_SIZE / 2)
#define DCT_TURN 128

// cos(m pi/64), with 42 bits of fraction, for m below DCT_TURN.
FUNCTION i64 dct_cosine(u32 m) {
    const u32 upper = m <= DCT_TURN / 2 ? m : DCT_TURN - m;
    return upper <= DCT_TURN / 4 ? dct_quarter_wave[upper]
                                 : -dct_quarter_wave[DCT_TURN / 2 - upper];
}

// Adds up the four pixels that mirror each other, for each of the four kinds of frequencies: of
// those that are odd, the cosines of mirrored pixels are opposite. Kinds lie side by side, so that
// work-items that read different ones have no conflicts between banks of local memory.
FUNCTION void fold_pixels(GLOBAL const u8* pixels, LOCAL_POINTER i16* folded) {
    for (u32 i = local_id(); i < DCT_HALF * DCT_HALF; i += IMAGE_BITS_GROUP) {
        const u32 x = i % DCT_HALF;
        const u32 mirrored = DCT_SIZE - 1 - x;
        GLOBAL const u8* top = pixels + i / DCT_HALF * DCT_SIZE;
        GLOBAL const u8* bottom = pixels + (DCT_SIZE - 1 - i / DCT_HALF) * DCT_SIZE;
        const i32 top_sum = top[x] + top[mirrored];
        const i32 top_difference = top[x] - top[mirrored];
        const i32 bottom_sum = bottom[x] + bottom[mirrored];
        const i32 bottom_difference = bottom[x] - bottom[mirrored];
        folded[4 * i] = (i16)(top_sum + bottom_sum);
        folded[4 * i + 1] = (i16)(top_difference + bottom_difference);
        folded[4 * i + 2] = (i16)(top_sum - bottom_sum);
        folded[4 * i + 3] = (i16)(top_difference - bottom_difference);
    }
}

// The coefficient of `u` vertical and `v` horizontal half-waves, times 2^43.
FUNCTION i64 dct_coefficient(LOCAL_POINTER const i16* folded, LOCAL_POINTER const i64* cosines,
                             u32 u, u32 v) {
    i64 sum = 0;
    for (u32 y = 0; y < DCT_HALF; ++y) {
        const u32 a = (2 * y + 1) * u;
        for (u32 x = 0; x < DCT_HALF; ++x) {
            const u32 b = (2 * x + 1) * v;
            sum += folded[4 * (y * DCT_HALF + x) + u % 2 * 2 + v % 2] *
                   (cosines[(a + b) % DCT_TURN] + cosines[(a - b) % DCT_TURN]);
        }
    }
    return sum;
}

// Whether a value is above the median of `count`, the mean of the two in the middle; each of the
// first work-items has one. All work-items of the group call it.
FUNCTION u32 is_above_median(i64 value, u32 count, LOCAL_POINTER i64* values,
                             LOCAL_POINTER i64* sorted) {
    const u32 id = local_id();
    if (id < count) {
        values[id] = value;
    }
    wait_for_group();
    if (id < count) {
        u32 rank = 0; // equal ones by their number, so that every rank is somebody's
        for (u32 i = 0; i < count; ++i) {
            rank += values[i] < value || (values[i] == value && i < id) ? 1 : 0;
        }
        sorted[rank] = value;
    }
    wait_for_group();
    return id < count && 2 * value > sorted[count / 2 - 1] + sorted[count / 2] ? 1 : 0;
}

// Writes the hashes of pictures, each by a group of IMAGE_BITS_GROUP. Places are those of the first
// picture's pixels of 9 x 8, 8 x 8 and 32 x 32, sums of 64 blocks, and IMAGE_HASHES hashes; those
// of other pictures follow. Hashes that are not among the bits of `wanted` are 0, and what they
// would be made of need not be there.
KERNEL make_image_bits(GLOBAL u8* pool, u64 dhash_at, u64 ahash_at, u64 phash_at, u64 sums_at,
                       u64 hashes_at, u32 wanted) {
    LOCAL i16 folded[4 * DCT_HALF * DCT_HALF];
    LOCAL i64 cosines[DCT_TURN];
    LOCAL i64 values[64];
    LOCAL i64 sorted[64];
    LOCAL u8 bits[IMAGE_HASHES * 64];
    const u64 picture = group_id();
    const u32 id = local_id();
    for (u32 i = 0; i < IMAGE_HASHES; ++i) {
        bits[64 * i + id] = 0;
    }
    if (wanted >> IMAGE_DHASH & 1) {
        GLOBAL const u8* pixel = pool + dhash_at + 72 * picture + id / 8 * 9 + id % 8;
        bits[64 * IMAGE_DHASH + id] = pixel[1] > pixel[0] ? 1 : 0;
    }
    GLOBAL const u8* pixels = pool + ahash_at + 64 * picture;
    if (wanted >> IMAGE_AHASH & 1) {
        u32 sum = 0;
        for (u32 i = 0; i < 64; ++i) {
            sum += pixels[i];
        }
        bits[64 * IMAGE_AHASH + id] = 64u * pixels[id] > sum ? 1 : 0;
    }
    if (wanted >> IMAGE_WHASH16 & 1) {
        GLOBAL const u8* block = pixels + id % 16 / 4 * 16 + id % 4 * 2;
        const i64 sum = block[0] + block[1] + block[8] + block[9];
        bits[64 * IMAGE_WHASH16 + id] = (u8)is_above_median(sum, 16, values, sorted);
    }
    if (wanted >> IMAGE_WHASH & 1) {
        const i64 sum = (i64)((GLOBAL const u64*)(pool + sums_at))[64 * picture + id];
        bits[64 * IMAGE_WHASH + id] = (u8)is_above_median(sum, 64, values, sorted);
    }
    if (wanted >> IMAGE_PHASH & 1) {
        for (u32 m = id; m < DCT_TURN; m += IMAGE_BITS_GROUP) {
            cosines[m] = dct_cosine(m);
        }
        fold_pixels(pool + phash_at + DCT_SIZE * DCT_SIZE * picture, folded);
        wait_for_group();
        const i64 coefficient = dct_coefficient(folded, cosines, id / 8, id % 8);
        bits[64 * IMAGE_PHASH + id] = (u8)is_above_median(coefficient, 64, values, sorted);
    }
    wait_for_group();
    // A work-item writes a byte: the first bit is the highest of the last one.
    if (id < 8 * IMAGE_HASHES) {
        u32 byte = 0;
        for (u32 i = 0; i < 8; ++i) {
            byte = byte << 1 | bits[8 * id + i];
        }
        pool[hashes_at + 8 * IMAGE_HASHES * picture + (id ^ 7)] = (u8)byte;
    }
}
