/*
 * phash64.hpp
 *		phash64 as C++ sees it: an unsigned integer whose most significant bit is the first.
 *
 * As a Datum it is what int8 is (LIKE = int8), so that the cast to bigint costs nothing.
 */
#pragma once

#include "pg/postgres.hpp"

/* Reads a Datum of type phash64. */
static inline uint64
DatumGetPhash64(Datum datum)
{
	return (uint64) DatumGetInt64(datum);
}

/* Makes a Datum of type phash64. */
static inline Datum
Phash64GetDatum(uint64 hash)
{
	return Int64GetDatum((int64) hash);
}

#define PG_GETARG_PHASH64(n) DatumGetPhash64(PG_GETARG_DATUM(n))
#define PG_RETURN_PHASH64(hash) return Phash64GetDatum(hash)
