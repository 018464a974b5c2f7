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

#include "pg/image_hash.hpp"

typedef struct BulkHash BulkHash;

/* What became of an image; BulkStatusName() has the names that SQL shows. */
typedef enum BulkStatus
{
	BULK_OK,
	BULK_TRUNCATED, /* with hashes, if a picture could be made of what is there */
	BULK_CORRUPT,
	BULK_UNSUPPORTED,
	BULK_TOO_LARGE,
	BULK_NOT_FOUND,
	BULK_DENIED,	 /* the server may not read the file */
	BULK_UNREADABLE, /* not a regular file, a read error, or it changed while it was read */
	BULK_TIMEOUT,
	BULK_OUT_OF_MEMORY,
	BULK_CRASHED,  /* the engine process died of it */
	BULK_NO_IMAGE, /* NULL */
	BULK_STATUS_COUNT,
} BulkStatus;

typedef struct BulkHashOptions
{
	HashWanted wanted;
	bool fast; /* DecodeIsFast() */
	bool orient;
	bool files; /* sources are paths: the right to read server files is checked at once */
} BulkHashOptions;

/* What is known of one image; `message` is good until the next call. */
typedef struct BulkHashRow
{
	uint64 number; /* of the image, from 0 */
	Datum tag;	   /* as it was given to BulkHashPut() */
	BulkStatus status;
	bool hashed; /* `hashes` holds what was wanted; else only the status is known */
	vamhash::protocol::HashResult hashes;
	const char *message; /* what is wrong, NULL if nothing is */
} BulkHashRow;

/* Counts of a bulk, for progress and statistics. */
typedef struct BulkHashCounts
{
	uint64 images;			/* whose row has been returned */
	uint64 bad;				/* of these, whose status is not ok */
	uint64 bytes;			/* of encoded images that were given to the engine */
	uint64 restarts;		/* engines that died or were stopped on the way */
	double seconds_waiting; /* of this process, for the engine */
	/* The engine's own, known at the end; of several engines the last one's. Summed over threads. */
	uint32 threads;			/* that decoded */
	double seconds_reading; /* files */
	double seconds_decoding;
} BulkHashCounts;

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

/* Tell vamhash_stat of work that is complete: its counts, and the seconds that it took in all. */
extern void SetLastBulk(const char *kind, const BulkHashCounts *counts, double seconds);

/* The word that SQL shows in the column status. */
extern const char *BulkStatusName(BulkStatus status);

/* Columns of a row as all functions return them, after the key. */
typedef enum BulkColumn
{
	BULK_DHASH,
	BULK_AHASH,
	BULK_WHASH,
	BULK_PHASH,
	BULK_WHASH16,
	BULK_WIDTH,
	BULK_HEIGHT,
	BULK_FORMAT,
	BULK_STATUS,
	BULK_MESSAGE,
	BULK_COLUMN_COUNT,
} BulkColumn;

/* Fill the columns of a row, in the current memory context. */
extern void FillBulkColumns(const BulkHashRow *row, Datum *values, bool *nulls);
