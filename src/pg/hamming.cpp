/*
 * hamming.cpp
 *		Hamming distance in SQL: hamming_distance and its operator <~>, hamming_within, bit_count.
 *
 * hamming_within(a, b, 8) and a <~> b <= 8 say the same, but only the first tells the planner how
 * many rows to expect (hamming_selectivity.cpp): an operator that returns a number cannot.
 */
#include "pg/hamming.hpp"

/* Returns the number of bits in which two hashes differ. */
VAMHASH_FUNCTION(phash64_hamming_distance)
{
	PG_RETURN_INT32(HammingDistance(PG_GETARG_PHASH64(0), PG_GETARG_PHASH64(1)));
}

/* Tells whether two hashes differ in at most max_distance bits. */
VAMHASH_FUNCTION(phash64_hamming_within)
{
	int32 max_distance = PG_GETARG_INT32(2);

	if (max_distance < 0 || max_distance > MAX_HAMMING_DISTANCE)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("max_distance must be between 0 and %d, not %d",
							   MAX_HAMMING_DISTANCE, max_distance)));
	PG_RETURN_BOOL(HammingDistance(PG_GETARG_PHASH64(0), PG_GETARG_PHASH64(1)) <= max_distance);
}

/* Returns the number of bits set; a bigint, as PostgreSQL's own bit_count functions do. */
VAMHASH_FUNCTION(phash64_bit_count)
{
	PG_RETURN_INT64(pg_popcount64(PG_GETARG_PHASH64(0)));
}
