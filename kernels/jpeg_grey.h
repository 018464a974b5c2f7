// Samples of JPEGs to grey: libjpeg's fancy upsampling and fixed-point colours, and then Pillow's
// L.
//
// A component of half the resolution is filtered by triangles: a pixel takes 3/4 of the sample that
// covers it and 1/4 of the next on its side, in each direction, and the rounding alternates over
// columns. Beyond the edge a sample is repeated. Rows of one or two samples are not filtered.

FUNCTION i32 jpeg_clamped(i32 value) {
    return value < 0 ? 0 : value > 255 ? 255 : value;
}

// The one beside number / 2 that is nearer to `number`, of `count`.
FUNCTION u32 neighbour(u32 number, u32 count) {
    const u32 own = number / 2;
    if (number % 2 == 0) {
        return own == 0 ? 0 : own - 1;
    }
    return own + 1 == count ? own : own + 1;
}

// What a component has at pixel x, y.
FUNCTION i32 upsampled(GLOBAL const u8* pool, GLOBAL const struct JpegSamples* component, u32 x,
                       u32 y) {
    const u64 row_step = component->row_step;
    const u32 row = component->down == 2 ? y / 2 : y;
    GLOBAL const u8* near = pool + component->in + row * row_step;
    if (component->across == 1) {
        return near[x];
    }
    const u32 own = x / 2;
    if (component->width <= 2) {
        return near[own];
    }
    const u32 other = neighbour(x, component->width);
    if (component->down == 1) {
        return (3 * near[own] + near[other] + 1 + (i32)(x % 2)) >> 2;
    }
    GLOBAL const u8* far = pool + component->in + neighbour(y, component->height) * row_step;
    const i32 own_sum = 3 * near[own] + far[own];
    const i32 other_sum = 3 * near[other] + far[other];
    return (3 * own_sum + other_sum + 8 - (i32)(x % 2)) >> 4;
}

FUNCTION u8 grey_of_rgb(i32 red, i32 green, i32 blue) {
    return (u8)((19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16);
}

// Pillow's rounded a * b / 255.
FUNCTION i32 multiply_255(i32 a, i32 b) {
    const i32 product = a * b + 128;
    return ((product >> 8) + product) >> 8;
}

// The grey of a pixel of a picture that has colours.
FUNCTION u8 jpeg_grey(GLOBAL const u8* pool, GLOBAL const struct JpegPicture* picture, u32 x,
                      u32 y) {
    const u32 colour = picture->colour;
    i32 first = upsampled(pool, picture->components, x, y);
    if (colour == JPEG_COLOUR_GREY) {
        return (u8)first;
    }
    i32 second = upsampled(pool, picture->components + 1, x, y);
    i32 third = upsampled(pool, picture->components + 2, x, y);
    if (colour == JPEG_COLOUR_YCC || colour == JPEG_COLOUR_YCCK) {
        const i32 blueness = second - 128;
        const i32 redness = third - 128;
        second = jpeg_clamped(first + ((0x8000 - 22554 * blueness - 46802 * redness) >> 16));
        third = jpeg_clamped(first + ((116130 * blueness + 0x8000) >> 16));
        first = jpeg_clamped(first + ((91881 * redness + 0x8000) >> 16));
    }
    if (colour == JPEG_COLOUR_YCC || colour == JPEG_COLOUR_RGB) {
        return grey_of_rgb(first, second, third);
    }
    // Inks are stored inverted. Of YCCK libjpeg gives the inversion of what is taken for R, G and
    // B: these are the inks as they are.
    const i32 is_inverted = colour == JPEG_COLOUR_CMYK ? 255 : 0;
    const i32 light = upsampled(pool, picture->components + 3, x, y);
    return grey_of_rgb(light - multiply_255(first ^ is_inverted, light),
                       light - multiply_255(second ^ is_inverted, light),
                       light - multiply_255(third ^ is_inverted, light));
}

// Converts a tile of JPEG_TILE x JPEG_TILE pixels by a group of JPEG_TILE_GROUP. Group i is of the
// picture whose number of earlier tiles, at first_tiles, is the last that is at most i.
KERNEL convert_jpeg_tiles(GLOBAL u8* pool, u64 pictures_at, u64 first_tiles_at, u32 count) {
    GLOBAL const u64* first_tiles = (GLOBAL const u64*)(pool + first_tiles_at);
    const u32 which = last_at_most(first_tiles, count, group_id());
    GLOBAL const struct JpegPicture* picture =
        (GLOBAL const struct JpegPicture*)(pool + pictures_at) + which;
    const u32 tile = (u32)(group_id() - first_tiles[which]);
    const u32 x = tile % picture->tiles_across * JPEG_TILE + local_id() % JPEG_TILE;
    const u32 first = tile / picture->tiles_across * JPEG_TILE;
    const u32 end = picture->height - first < JPEG_TILE ? picture->height : first + JPEG_TILE;
    if (x >= picture->width) {
        return;
    }
    for (u32 y = first + local_id() / JPEG_TILE; y < end; y += JPEG_TILE_GROUP / JPEG_TILE) {
        pool[picture->out + x * picture->x_step + y * picture->y_step] =
            jpeg_grey(pool, picture, x, y);
    }
}
