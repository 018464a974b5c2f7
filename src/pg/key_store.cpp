/*
 * key_store.cpp
 *		The keys of a query's rows by row number, in memory up to work_mem and in
 *		temporary files beyond it.
 *
 * A row has a number: a key passed by value, or the offset at which any other's bytes
 * lie in `varied`. Numbers take 4 bytes in `narrow` up to the first that needs more;
 * from that row on they take 8 in `wide`. Ids of rows mostly stay narrow. The three
 * arrays are KeyBytes: one growing array in memory; once all together outgrow
 * work_mem, a BufFile each, whose memory is then only where bytes are collected before
 * they are written.
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

/* First size of an array in memory; also what is collected before it is written to a file. */
#define FIRST_CAPACITY 8192

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
	bool spilled; /* to files */
	uint64 count;
	uint64 narrow_count;		 /* rows before the first whose number is wide */
	KeyBytes narrow;			 /* 4 bytes a row */
	KeyBytes wide;				 /* 8 bytes a row */
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
	FreeBytes(&store->narrow);
	FreeBytes(&store->wide);
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

/* Make a temporary file that outlives the query which is being read. */
static BufFile *
MakeKeyFile(KeyStore *store)
{
	ResourceOwner owner = CurrentResourceOwner;
	MemoryContext context = MemoryContextSwitchTo(store->context);
	BufFile *file;

	CurrentResourceOwner = store->owner;
	PrepareTempTablespaces();
	file = BufFileCreateTemp(false);
	CurrentResourceOwner = owner;
	MemoryContextSwitchTo(context);
	return file;
}

/* Write what an array has in memory to its file. */
static void
WriteBytes(KeyStore *store, KeyBytes *bytes)
{
	if (bytes->used == 0)
		return;
	if (bytes->file == NULL)
		bytes->file = MakeKeyFile(store);
	BufFileWrite(bytes->file, bytes->memory, bytes->used);
	bytes->written += bytes->used;
	bytes->used = 0;
}

/* Leave memory for files. */
static void
SpillKeys(KeyStore *store)
{
	KeyBytes *arrays[] = {&store->narrow, &store->wide, &store->varied};

	store->spilled = true;
	for (KeyBytes *bytes : arrays)
	{
		WriteBytes(store, bytes);
		if (bytes->memory != NULL)
			pfree(bytes->memory);
		bytes->memory = NULL;
		bytes->capacity = 0;
	}
}

/* Make room for `length` more bytes in an array's memory. */
static void
MakeRoom(KeyStore *store, KeyBytes *bytes, Size length)
{
	if (!store->spilled)
	{
		Size needed = bytes->used + length;
		Size others = store->narrow.capacity + store->wide.capacity + store->varied.capacity -
					  bytes->capacity;
		Size limit = (Size) work_mem * 1024;
		Size capacity = Max(Max(bytes->capacity * 2, FIRST_CAPACITY), needed);

		if (needed + others <= limit)
		{
			ResizeBytes(store, bytes, Min(capacity, limit - others));
			return;
		}
		SpillKeys(store);
	}
	WriteBytes(store, bytes);
	if (length > bytes->capacity)
		ResizeBytes(store, bytes, Max(length, FIRST_CAPACITY));
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

/* Append a row's number. */
static void
AppendNumber(KeyStore *store, uint64 number)
{
	uint32 low = (uint32) number;

	if (low == number && store->narrow_count == store->count)
	{
		AppendBytes(store, &store->narrow, &low, sizeof(low));
		store->narrow_count++;
	}
	else
		AppendBytes(store, &store->wide, &number, sizeof(number));
	store->count++;
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
	AppendNumber(store, begin);
	if (value != DatumGetPointer(key))
		pfree(value);
}

void
AppendKey(KeyStore *store, Datum key)
{
	if (store->typbyval)
		AppendNumber(store, (uint64) key);
	else
		AppendVariedKey(store, key);
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

/* Read a row's number from its file. */
static uint64
ReadNumber(KeyStore *store, uint64 row)
{
	uint32 low;
	uint64 number;

	if (row < store->narrow_count)
	{
		ReadBytes(&store->narrow, row * sizeof(low), &low, sizeof(low));
		return low;
	}
	ReadBytes(&store->wide, (row - store->narrow_count) * sizeof(number), &number, sizeof(number));
	return number;
}

/* Read one key from the files; one passed by reference goes into the batch's context. */
static Datum
ReadKey(KeyStore *store, uint64 row)
{
	uint64 begin = ReadNumber(store, row);
	uint64 end;
	char *key;

	if (store->typbyval)
		return (Datum) begin;
	/* It ends where the next one begins. */
	end = row + 1 < store->count ? ReadNumber(store, row + 1) : store->varied.written;
	key = (char *) MemoryContextAlloc(store->batch_context, end - begin);
	ReadBytes(&store->varied, begin, key, end - begin);
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

		CHECK_FOR_INTERRUPTS(); /* a batch reads for some tens of milliseconds */
		keys[place] = i > 0 && row == (uint32) (store->order[i - 1] >> 32)
						  ? keys[(uint32) store->order[i - 1]]
						  : ReadKey(store, row);
	}
}

/* GetKeys() from memory. */
static void
FindKeys(KeyStore *store, const uint32 *rows, int count, Datum *keys)
{
	const uint32 *narrow = (const uint32 *) store->narrow.memory;
	const uint64 *wide = (const uint64 *) store->wide.memory;

	for (int i = 0; i < count; i++)
	{
		uint64 number =
			rows[i] < store->narrow_count ? narrow[rows[i]] : wide[rows[i] - store->narrow_count];

		keys[i] = store->typbyval ? (Datum) number : PointerGetDatum(store->varied.memory + number);
	}
}

int
PrepareKeys(KeyStore *store, Size bytes_each)
{
	Size each;
	int count;

	if (!store->spilled)
		return KEYS_PER_BATCH_IN_MEMORY;

	WriteBytes(store, &store->narrow);
	WriteBytes(store, &store->wide);
	WriteBytes(store, &store->varied);
	each = bytes_each + sizeof(Datum) + sizeof(*store->order);
	if (!store->typbyval)
		each += store->varied.written / store->count + 2 * sizeof(Datum); /* and palloc's header */
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
	if (!store->spilled)
		FindKeys(store, rows, count, keys);
	else
		ReadKeys(store, rows, count, keys);
}
