// Passes of a resize, and the hashes of what comes of them, as the kernels see them. The host
// includes this, too.
//
// What they read and write is in one array of bytes, the pool, and places are offsets in it, of
// which those of structs and numbers are multiples of 16.
#ifndef VAMHASH_KERNELS_IMAGE_PASS_H
#define VAMHASH_KERNELS_IMAGE_PASS_H

#include "numbers.h"

// The work-items of a group.
#define IMAGE_GROUP 128
// Up to so many outputs a line, several work-items share the taps of one.
#define IMAGE_NARROW 32

// The input samples that an output sample reads, and where its coefficients begin.
struct ImageWindow {
    u32 first;
    u32 taps;
    u64 coefficients;
};

// One pass of one picture, which makes lines of `outputs` samples. Tap k of output x of line y is
// the byte at in + y * line_step + x * output_step + (first + k) * tap_step. The window is that of
// the output in a pass over rows, and that of the line in one over columns.
struct ImagePass {
    u64 in;
    u64 out;
    u64 line_step;
    u32 output_step;
    u32 tap_step;
    u32 outputs;
    u32 windows; // the first of the pass
    u32 by_line; // 1: windows are the lines'
    u32 unused;
};

// The hashes of a picture: the numbers of their bits in HashKind, and their places in ImageHashes.
#define IMAGE_DHASH 0
#define IMAGE_AHASH 1
#define IMAGE_WHASH 2
#define IMAGE_PHASH 3
#define IMAGE_WHASH16 4
#define IMAGE_HASHES 5
// The work-items of a group that makes them, one a bit.
#define IMAGE_BITS_GROUP 64

// A square picture that is cut into 8 x 8 blocks.
struct ImageSquare {
    u64 in;
    u32 side;
    u32 unused;
};

#endif
