// Pictures of JPEG coefficients, as the kernels see them. The host includes this, too.
//
// They are in the pool (image_pass.h), at whose beginning is a flag of 32 bits for each picture.
// Blocks and tables are at multiples of 16.
#ifndef VAMHASH_KERNELS_JPEG_PICTURE_H
#define VAMHASH_KERNELS_JPEG_PICTURE_H

#include "numbers.h"

// The work-items of a group that decodes blocks, and the blocks.
#define JPEG_BLOCK_GROUP 128
#define JPEG_GROUP_BLOCKS 16

// The work-items of a group that converts a tile, and the tile's sides in pixels.
#define JPEG_TILE_GROUP 128
#define JPEG_TILE 32

// Colours, as JpegColour has them.
#define JPEG_COLOUR_GREY 0
#define JPEG_COLOUR_YCC 1
#define JPEG_COLOUR_RGB 2
#define JPEG_COLOUR_CMYK 3
#define JPEG_COLOUR_YCCK 4

// A component's blocks. Those that are decoded are numbered row by row; as stored, a row may have
// more of them.
struct JpegBlocks {
    u64 in;  // the quantisation table, with the blocks behind it
    u64 out; // samples, in rows of whole blocks
    u32 across;
    u32 stored_across;
    u32 count;
    u32 picture; // whose flag it is
};

// A component's samples. `across` and `down`: pixels for each, 1 or 2.
struct JpegSamples {
    u64 in;
    u32 row_step;
    u32 width;
    u32 height;
    u32 across;
    u32 down;
    u32 unused;
};

// A picture whose samples are there. The grey of pixel x, y is at out + x * x_step + y * y_step,
// where a step back is one of 2^64 less it.
struct JpegPicture {
    struct JpegSamples components[4];
    u64 out;
    u64 x_step;
    u64 y_step;
    u32 width;
    u32 height;
    u32 colour;
    u32 tiles_across;
};

#endif
