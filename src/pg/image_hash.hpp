/*
 * image_hash.hpp
 *		Hashing one image in the engine.
 */
#pragma once

#include "protocol/frame.h"

/* Bits of HashRequest.wanted; the numbers are HashKind's (src/hash/image_hasher.h). */
typedef enum HashWanted
{
	WANT_DHASH = 1,
	WANT_AHASH = 2,
	WANT_WHASH = 4,
	WANT_PHASH = 8,
	WANT_WHASH16 = 16,
	WANT_ALL = 31,
} HashWanted;

/* Where an image comes from: bytes (a bytea's content), or a server file. */
typedef struct ImageSource
{
	const char *bytes; /* NULL for a file */
	Size length;
	const char *path;
} ImageSource;

/* Parse the argument `decode`: true for 'fast', false for 'exact'. */
extern bool DecodeIsFast(const text *decode);

extern vamhash::protocol::HashResult HashImage(const ImageSource *source, HashWanted wanted,
											   const text *decode, bool orient);
