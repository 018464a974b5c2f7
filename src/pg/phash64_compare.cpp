/*
 * phash64_compare.cpp
 *		The order of phash64 and the support functions of its btree and hash operator classes.
 *
 * Hashes are ordered as unsigned integers, which is the order of their hexadecimal text.  Where a
 * Datum has 64 bits that is the order of the Datums themselves, and sorting can then use the
 * comparator that tuplesort has a specialised, inlined path for.
 */
#include "pg/phash64.hpp"

extern "C"
{
#include "common/hashfn.h"
#include "utils/sortsupport.h"
}

/* Returns -1, 0 or 1 as a sorts before, with or after b. */
static inline int
CompareHashes(uint64 a, uint64 b)
{
	return (a > b) - (a < b);
}

/* Tells whether a = b. */
VAMHASH_FUNCTION(phash64_eq)
{
	PG_RETURN_BOOL(PG_GETARG_PHASH64(0) == PG_GETARG_PHASH64(1));
}

/* Tells whether a <> b. */
VAMHASH_FUNCTION(phash64_ne)
{
	PG_RETURN_BOOL(PG_GETARG_PHASH64(0) != PG_GETARG_PHASH64(1));
}

/* Tells whether a < b. */
VAMHASH_FUNCTION(phash64_lt)
{
	PG_RETURN_BOOL(PG_GETARG_PHASH64(0) < PG_GETARG_PHASH64(1));
}

/* Tells whether a <= b. */
VAMHASH_FUNCTION(phash64_le)
{
	PG_RETURN_BOOL(PG_GETARG_PHASH64(0) <= PG_GETARG_PHASH64(1));
}

/* Tells whether a > b. */
VAMHASH_FUNCTION(phash64_gt)
{
	PG_RETURN_BOOL(PG_GETARG_PHASH64(0) > PG_GETARG_PHASH64(1));
}

/* Tells whether a >= b. */
VAMHASH_FUNCTION(phash64_ge)
{
	PG_RETURN_BOOL(PG_GETARG_PHASH64(0) >= PG_GETARG_PHASH64(1));
}

/* Returns the smaller of two hashes: the step of min(). */
VAMHASH_FUNCTION(phash64_smaller)
{
	PG_RETURN_PHASH64(Min(PG_GETARG_PHASH64(0), PG_GETARG_PHASH64(1)));
}

/* Returns the larger of two hashes: the step of max(). */
VAMHASH_FUNCTION(phash64_larger)
{
	PG_RETURN_PHASH64(Max(PG_GETARG_PHASH64(0), PG_GETARG_PHASH64(1)));
}

/* Compares two hashes for btree. */
VAMHASH_FUNCTION(phash64_cmp)
{
	PG_RETURN_INT32(CompareHashes(PG_GETARG_PHASH64(0), PG_GETARG_PHASH64(1)));
}

#if PG_VERSION_NUM < 150000 || SIZEOF_DATUM < 8
/* Compares two hashes for sorting, where PostgreSQL has no comparator of its own that fits. */
static int
CompareHashDatums(Datum a, Datum b, SortSupport)
{
	return CompareHashes(DatumGetPhash64(a), DatumGetPhash64(b));
}
#endif

/* Gives sorts a comparator that needs no function manager. */
VAMHASH_FUNCTION(phash64_sortsupport)
{
	SortSupport sort = (SortSupport) PG_GETARG_POINTER(0);

	/* ssup_datum_unsigned_cmp and its specialised sort came with PostgreSQL 15. */
#if PG_VERSION_NUM >= 150000 && SIZEOF_DATUM >= 8
	sort->comparator = ssup_datum_unsigned_cmp;
#else
	sort->comparator = CompareHashDatums;
#endif
	PG_RETURN_VOID();
}

/* Hashes a hash for hash joins, aggregates and indexes. */
VAMHASH_FUNCTION(phash64_hash)
{
	uint64 hash = PG_GETARG_PHASH64(0);

	return hash_any((const unsigned char *) &hash, sizeof(hash));
}

/* Hashes a hash to 64 bits with a seed, for partitioning; seed 0 extends phash64_hash. */
VAMHASH_FUNCTION(phash64_hash_extended)
{
	uint64 hash = PG_GETARG_PHASH64(0);

	return hash_any_extended((const unsigned char *) &hash, sizeof(hash),
							 (uint64) PG_GETARG_INT64(1));
}
