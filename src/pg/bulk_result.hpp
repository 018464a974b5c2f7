/*
 * bulk_result.hpp
 *		What is known of images that were hashed in bulk, and how SQL shows it.
 */
#pragma once

#include "pg/bulk_device.hpp"

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
	/* Of the device, known at the end. */
	BulkDeviceCounts device;
} BulkHashCounts;

/* Add the counts of a bulk to those of others before. */
extern void AddBulkCounts(BulkHashCounts *sum, const BulkHashCounts *counts);

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
