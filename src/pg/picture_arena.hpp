/*
 * picture_arena.hpp
 *		The memory that two engines share where a device hashes images.
 *
 *		The backend makes it and passes it on; it looks at nothing in it.
 */
#pragma once

#include "protocol/frame.h"

typedef struct PictureArena PictureArena;

/* Make the place of an arena, in the current memory context, whose end also ends the arena. */
extern PictureArena *PictureArenaCreate(void);

/*
 * Make sure that there is an arena for so many decoders, on a machine, or in a container, of so much
 * memory; false if there can be none. One that is there is used again. With `anew` it is not: somebody
 * may still write into that one.
 */
extern bool PictureArenaPrepare(PictureArena *arena, int threads, uint64 memory, bool anew);

/* Its descriptor, which remains its own. */
extern int PictureArenaFile(const PictureArena *arena);

/* What the engines are told of it, but for `waits` and `kept`. */
extern vamhash::protocol::Arena PictureArenaFrame(const PictureArena *arena);
