/*
 * key_store.cpp
 *		The keys of a query's rows by row number, in memory up to work_mem and in
 *		temporary files beyond it.
 *
 * A key passed by value takes 8 bytes at row * 8. Any other is kept as the bytes of
 * its datum, at an offset which the row's 8 bytes give. Both arrays are KeyBytes: one
 * growing array in memory; once both together outgrow work_mem, a BufFile each, whose
 * memory is then only where bytes are collected before they are written.
 *
 * The engine answers with pairs of row numbers in no order. Looking up one key in a
 * file at random reads a block of 8 kB. So keys are asked for by the batch, as many as
 * fit in the work_mem that the arrays have left, and read in the order of their rows:
 * each block is read once a batch, and the kernel reads ahead.
 */
#include "pg/postgres.hpp"
#include "pg/key_store.hpp"

extern "C"
{
#include "access/tupmacs.h"
#include "commands/tablespace.h"
#include "miscadmin.h"
#include "storage/buffile.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
}

#define FIRST_CAPACITY 8192

/* Bytes collected before they are written to a file. */
#define WRITE_BUFFER_SIZE (64 * 1024)

/* Keys asked for at once while they are in memory: more gain nothing. */
#define KEYS_PER_BATCH_IN_MEMORY 4096

/* Keys read from files at once, however small work_mem is: fewer gain nothing. */
#define MIN_KEYS_PER_BATCH 1024

/* Bytes that are appended in order and then read. */
typedef struct KeyBytes
{
	char *memory; /* all of them, while file is NULL; otherwise those not written yet */
	Size used;
	Size capacity;
	uint64 written; /* to file */
	BufFile *file;
} KeyBytes;

struct KeyStore
{
	MemoryContext context;
	ResourceOwner owner;
	int16 typlen;
	bool typbyval;
	char typalign;
	uint64 count;
	KeyBytes fixed;				 /* 8 bytes a row: the key, or where it begins in `varied` */
	KeyBytes varied;			 /* keys passed by reference, each aligned as its type is */
	uint64 *order;				 /* a batch's rows in their order; see ReadKeys() */
	MemoryContext batch_context; /* keys by reference of the last batch read from files */
};

/* qsort of row numbers, each with the place of its key below it. */
#define ST_SORT SortRows
#define ST_ELEMENT_TYPE uint64
#define ST_COMPARE(a, b) (*(a) < *(b) ? -1 : *(a) > *(b))
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

KeyStore *
MakeKeyStore(Oid key_type)
{
	KeyStore *store = (KeyStore *) palloc0(sizeof(KeyStore));

	store->context = CurrentMemoryContext;
	store->owner = CurrentResourceOwner;
	get_typlenbyvalalign(key_type, &store->typlen, &store->typbyval, &store->typalign);
	return store;
}

uint64
CountKeys(const KeyStore *store)
{
	return store->count;
}

/* Give back what an array holds. */
static void
FreeBytes(KeyBytes *bytes)
{
	if (bytes->file != NULL)
		BufFileClose(bytes->file);
	if (bytes->memory != NULL)
		pfree(bytes->memory);
}

void
FreeKeyStore(KeyStore *store)
{
	FreeBytes(&store->fixed);
	FreeBytes(&store->varied);
	if (store->order != NULL)
		pfree(store->order);
	if (store->batch_context != NULL)
		MemoryContextDelete(store->batch_context);
	pfree(store);
}

/* Give an array memory of another size, which holds what it has. */
static void
ResizeBytes(KeyStore *store, KeyBytes *bytes, Size capacity)
{
	bytes->memory =
		(char *) (bytes->memory == NULL ? MemoryContextAllocHuge(store->context, capacity)
										: repalloc_huge(bytes->memory, capacity));
	bytes->capacity = capacity;
}

/* Write what an array has in memory to its file. */
static void
WriteBytes(KeyBytes *bytes)
{
	if (bytes->used > 0)
		BufFileWrite(bytes->file, bytes->memory, bytes->used);
	bytes->written += bytes->used;
	bytes->used = 0;
}

/* Write an array to a temporary file, and go on there. */
static void
SpillBytes(KeyStore *store, KeyBytes *bytes)
{
	bytes->file = BufFileCreateTemp(false);
	WriteBytes(bytes);
	if (bytes->memory != NULL)
		pfree(bytes->memory);
	bytes->memory = NULL;
	ResizeBytes(store, bytes, WRITE_BUFFER_SIZE);
}

/* Leave memory for temporary files. */
static void
SpillKeys(KeyStore *store)
{
	ResourceOwner owner = CurrentResourceOwner;
	MemoryContext context = MemoryContextSwitchTo(store->context);

	/* The files must outlive the query that is being read, not the call. */
	CurrentResourceOwner = store->owner;
	PrepareTempTablespaces();
	SpillBytes(store, &store->fixed);
	if (!store->typbyval)
		SpillBytes(store, &store->varied);
	CurrentResourceOwner = owner;
	MemoryContextSwitchTo(context);
}

/* Make room for `length` more bytes in an array's memory. */
static void
MakeRoom(KeyStore *store, KeyBytes *bytes, Size length)
{
	if (bytes->file == NULL)
	{
		Size needed = bytes->used + length;
		Size others = store->fixed.capacity + store->varied.capacity - bytes->capacity;
		Size limit = (Size) work_mem * 1024;
		Size capacity = Max(Max(bytes->capacity * 2, FIRST_CAPACITY), needed);

		if (needed + others <= limit)
		{
			ResizeBytes(store, bytes, Min(capacity, limit - others));
			return;
		}
		SpillKeys(store);
	}
	WriteBytes(bytes);
	if (length > bytes->capacity)
		ResizeBytes(store, bytes, length);
}

/* Append bytes to an array, or zeros. */
static void
AppendBytes(KeyStore *store, KeyBytes *bytes, const void *data, Size length)
{
	if (bytes->used + length > bytes->capacity)
		MakeRoom(store, bytes, length);
	if (data != NULL)
		memcpy(bytes->memory + bytes->used, data, length);
	else
		memset(bytes->memory + bytes->used, 0, length);
	bytes->used += length;
}

/* Append a key passed by reference, with a short header if it has one. */
static void
AppendVariedKey(KeyStore *store, Datum key)
{
	Pointer value =
		store->typlen == -1 ? (Pointer) PG_DETOAST_DATUM_PACKED(key) : DatumGetPointer(key);
	Size length = datumGetSize(PointerGetDatum(value), false, store->typlen);
	uint64 end = store->varied.written + store->varied.used;
	uint64 begin = att_align_datum(end, store->typalign, store->typlen, PointerGetDatum(value));

	if (begin > end)
		AppendBytes(store, &store->varied, NULL, begin - end);
	AppendBytes(store, &store->varied, value, length);
	AppendBytes(store, &store->fixed, &begin, sizeof(begin));
	if (value != DatumGetPointer(key))
		pfree(value);
}

void
AppendKey(KeyStore *store, Datum key)
{
	if (store->typbyval)
		AppendBytes(store, &store->fixed, &key, sizeof(Datum));
	else
		AppendVariedKey(store, key);
	store->count++;
}

/* Copy `length` bytes at `offset` out of an array. */
static void
ReadBytes(KeyBytes *bytes, uint64 offset, void *target, Size length)
{
	if (offset + length > bytes->written)
		elog(ERROR, "key store read past its end");
	if (BufFileSeek(bytes->file, 0, (off_t) offset, SEEK_SET) != 0)
		ereport(ERROR, (errcode_for_file_access(),
						errmsg("could not seek in a temporary file of keys: %m")));
	BufFileReadExact(bytes->file, target, length);
}

/* Read one key from the files; one passed by reference goes into the batch's context. */
static Datum
ReadKey(KeyStore *store, uint64 row)
{
	uint64 place[2];
	char *key;

	if (store->typbyval)
	{
		Datum value;

		ReadBytes(&store->fixed, row * sizeof(Datum), &value, sizeof(value));
		return value;
	}
	/* It ends where the next one begins. */
	place[1] = store->varied.written;
	ReadBytes(&store->fixed, row * sizeof(uint64), place,
			  row + 1 < store->count ? sizeof(place) : sizeof(place[0]));
	key = (char *) MemoryContextAlloc(store->batch_context, place[1] - place[0]);
	ReadBytes(&store->varied, place[0], key, place[1] - place[0]);
	return PointerGetDatum(key);
}

/* GetKeys() from the files: in the order of the rows, each row once. */
static void
ReadKeys(KeyStore *store, const uint32 *rows, int count, Datum *keys)
{
	MemoryContextReset(store->batch_context);
	for (int i = 0; i < count; i++)
		store->order[i] = (uint64) rows[i] << 32 | (uint32) i;
	SortRows(store->order, count);
	for (int i = 0; i < count; i++)
	{
		uint32 row = (uint32) (store->order[i] >> 32);
		uint32 place = (uint32) store->order[i];

		keys[place] = i > 0 && row == (uint32) (store->order[i - 1] >> 32)
						  ? keys[(uint32) store->order[i - 1]]
						  : ReadKey(store, row);
	}
}

/* GetKeys() from memory. */
static void
FindKeys(KeyStore *store, const uint32 *rows, int count, Datum *keys)
{
	const uint64 *fixed = (const uint64 *) store->fixed.memory;

	for (int i = 0; i < count; i++)
		keys[i] = store->typbyval ? (Datum) fixed[rows[i]]
								  : PointerGetDatum(store->varied.memory + fixed[rows[i]]);
}

int
PrepareKeys(KeyStore *store, Size bytes_each)
{
	Size each;
	int count;

	if (store->fixed.file == NULL)
		return KEYS_PER_BATCH_IN_MEMORY;

	WriteBytes(&store->fixed);
	each = bytes_each + sizeof(Datum) + sizeof(*store->order);
	if (!store->typbyval)
	{
		WriteBytes(&store->varied);
		/* Their mean length, and palloc's header. */
		each += store->varied.written / Max(store->count, 1) + 2 * sizeof(Datum);
	}
	count = (int) Min((Size) work_mem * 1024 / each, MaxAllocSize / sizeof(*store->order));
	count = Max(count, MIN_KEYS_PER_BATCH);
	store->order = (uint64 *) MemoryContextAlloc(store->context, count * sizeof(*store->order));
	store->batch_context =
		AllocSetContextCreate(store->context, "vamhash keys", ALLOCSET_DEFAULT_SIZES);
	return count;
}

void
GetKeys(KeyStore *store, const uint32 *rows, int count, Datum *keys)
{
	if (store->fixed.file == NULL)
		FindKeys(store, rows, count, keys);
	else
		ReadKeys(store, rows, count, keys);
}
