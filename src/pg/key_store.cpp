/*
 * key_store.cpp
 *		The keys of a query's rows by row number, in memory up to work_mem and in a
 *		temporary file beyond it.
 *
 * The engine answers with pairs of row numbers in no order, so keys must be found
 * at random; a tuplestore cannot do that. A key passed by value takes 8 bytes at
 * row * 8. Any other is kept as the bytes of its datum, at an offset which the row's
 * 8 bytes give. Both arrays are KeyBytes: one growing array in memory, then a
 * BufFile.
 */
#include "pg/postgres.hpp"
#include "pg/key_store.hpp"

extern "C"
{
#include "commands/tablespace.h"
#include "miscadmin.h"
#include "storage/buffile.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
}

#define FIRST_CAPACITY 8192

/* Bytes that are appended in order and then read at random. */
typedef struct KeyBytes
{
	char *memory; /* all of them, while file is NULL */
	Size capacity;
	uint64 length;
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
	KeyBytes fixed;	 /* 8 bytes a row: the key, or where it begins in `varied` */
	KeyBytes varied; /* keys passed by reference */
	char *slot[2];	 /* keys read back from a file */
	Size slot_size[2];
};

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
	for (int i = 0; i < 2; i++)
	{
		if (store->slot[i] != NULL)
			pfree(store->slot[i]);
	}
	pfree(store);
}

/* Write an array that is in memory to a temporary file, and go on there. */
static void
SpillBytes(KeyStore *store, KeyBytes *bytes)
{
	ResourceOwner owner = CurrentResourceOwner;
	MemoryContext context = MemoryContextSwitchTo(store->context);

	/* The file must outlive the query that is being read, not the call. */
	CurrentResourceOwner = store->owner;
	PrepareTempTablespaces();
	bytes->file = BufFileCreateTemp(false);
	CurrentResourceOwner = owner;
	MemoryContextSwitchTo(context);

	if (bytes->length > 0)
	{
		BufFileWrite(bytes->file, bytes->memory, bytes->length);
		pfree(bytes->memory);
		bytes->memory = NULL;
	}
	bytes->capacity = 0;
}

/* Append to an array, in memory while both arrays together fit in work_mem. */
static void
AppendBytes(KeyStore *store, KeyBytes *bytes, const void *data, Size length)
{
	if (bytes->file == NULL && bytes->length + length > bytes->capacity)
	{
		Size capacity = Max(Max(bytes->capacity * 2, FIRST_CAPACITY), bytes->length + length);
		Size others = store->fixed.capacity + store->varied.capacity - bytes->capacity;

		if (capacity + others > (Size) work_mem * 1024)
			SpillBytes(store, bytes);
		else
		{
			bytes->memory =
				(char *) (bytes->memory == NULL ? MemoryContextAllocHuge(store->context, capacity)
												: repalloc_huge(bytes->memory, capacity));
			bytes->capacity = capacity;
		}
	}
	if (bytes->file != NULL)
		BufFileWrite(bytes->file, const_cast<void *>(data), length);
	else
		memcpy(bytes->memory + bytes->length, data, length);
	bytes->length += length;
}

/* Copy `length` bytes at `offset` out of an array. */
static void
ReadBytes(KeyBytes *bytes, uint64 offset, void *target, Size length)
{
	if (offset + length > bytes->length)
		elog(ERROR, "key store read past its end");
	if (bytes->file == NULL)
	{
		memcpy(target, bytes->memory + offset, length);
		return;
	}
	if (BufFileSeek(bytes->file, 0, (off_t) offset, SEEK_SET) != 0)
		ereport(ERROR, (errcode_for_file_access(),
						errmsg("could not seek in a temporary file of keys: %m")));
	BufFileReadExact(bytes->file, target, length);
}

void
AppendKey(KeyStore *store, Datum key)
{
	if (store->typbyval)
		AppendBytes(store, &store->fixed, &key, sizeof(Datum));
	else
	{
		uint64 offset = store->varied.length;
		Pointer detoasted = NULL;
		Size length;

		if (store->typlen == -1)
		{
			detoasted = (Pointer) PG_DETOAST_DATUM(key);
			length = VARSIZE(detoasted);
			AppendBytes(store, &store->varied, detoasted, length);
			if (detoasted != DatumGetPointer(key))
				pfree(detoasted);
		}
		else
		{
			length = datumGetSize(key, false, store->typlen);
			AppendBytes(store, &store->varied, DatumGetPointer(key), length);
		}
		AppendBytes(store, &store->fixed, &offset, sizeof(offset));
	}
	store->count++;
}

Datum
GetKey(KeyStore *store, uint64 row, int slot)
{
	uint64 begin;
	uint64 end;

	if (store->typbyval)
	{
		Datum key;

		ReadBytes(&store->fixed, row * sizeof(Datum), &key, sizeof(key));
		return key;
	}

	ReadBytes(&store->fixed, row * sizeof(uint64), &begin, sizeof(begin));
	if (row + 1 < store->count)
		ReadBytes(&store->fixed, (row + 1) * sizeof(uint64), &end, sizeof(end));
	else
		end = store->varied.length;
	/* Always copied: keys lie unaligned in the array. */
	if (store->slot_size[slot] < end - begin)
	{
		if (store->slot[slot] != NULL)
			pfree(store->slot[slot]);
		store->slot[slot] = (char *) MemoryContextAlloc(store->context, end - begin);
		store->slot_size[slot] = end - begin;
	}
	ReadBytes(&store->varied, begin, store->slot[slot], end - begin);
	return PointerGetDatum(store->slot[slot]);
}
