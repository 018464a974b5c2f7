/*
 * bulk_hash.hpp
 *		Hashing many images in one request: they are read, decoded and returned at the
 *		same time, on all threads that vamhash.threads allows.
 *
 *		BulkHash *bulk = BulkHashBegin(&options);
 *		for each image:
 *			BulkHashPut(bulk, &source, tag);
 *			while (BulkHashNext(bulk, false, &row))		(takes what is there)
 *				...
 *		while (BulkHashNext(bulk, true, &row))			(waits for the rest)
 *			...
 *		BulkHashFinish(bulk);
 *
 *		Rows come in the order of the images. A bad image is a row with a status, never an
 *		error. Memory is bounded: 32 MB of images and 8 MB for each thread are under way, or
 *		one image that is larger.
 *		Calls inside one another are fine: each bulk has an engine process of its own.
 *
 *		All calls for a bulk belong to one (sub)transaction, whose end also ends it: it
 *		needs no clean-up after an error, and does not survive a COMMIT.
 */
#pragma once

#include "pg/bulk_device.hpp"
#include "pg/bulk_result.hpp"
#include "pg/image_hash.hpp"

typedef struct BulkHash BulkHash;

typedef struct BulkHashOptions
{
	HashWanted wanted;
	bool fast; /* DecodeIsFast() */
	bool orient;
	bool files; /* sources are paths: the right to read server files is checked at once */
	Job *job;	/* is told the device that hashes, if one does; may be NULL */
	/* Of a run of several bulks, which then share it, and wait for a device at their first; or NULL. */
	PictureArena *arena;
} BulkHashOptions;

extern BulkHash *BulkHashBegin(const BulkHashOptions *options);

/*
 * Give the next image: bytes or a path, or neither for NULL. Copies what it must keep. Waits while
 * too much is under way.
 */
extern void BulkHashPut(BulkHash *bulk, const ImageSource *source, Datum tag);

/*
 * Get the row of the next image in order; false if it is not known yet and `wait` is false, or if
 * the rows of all images that were put have been returned.
 */
extern bool BulkHashNext(BulkHash *bulk, bool wait, BulkHashRow *row);

extern const BulkHashCounts *BulkHashGetCounts(const BulkHash *bulk);

/* End a bulk; what was not returned is dropped. Returns all counts. */
extern BulkHashCounts BulkHashFinish(BulkHash *bulk);
