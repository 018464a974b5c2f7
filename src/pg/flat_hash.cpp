/*
 * flat_hash.cpp
 *		SQL function flat_hash(): does a hash say nothing of its picture?
 *
 * A bit of a hash tells of a change in the picture. Where there is no change - solid colour, a
 * frame that stayed black, a ramp from one side to the other - all bits are equal, but for phash's
 * first, which is the mean brightness, and for the few that noise turns. All such pictures have
 * nearly one hash, so every two of them are a pair, whatever they show.
 *
 * So a hash is flat if all of its bits but MAX_FLAT_CHANGES at most are equal. Two flat hashes whose
 * bits are mostly 0, or mostly 1, are then never more than twice that apart, 4 bits: inside 5, the
 * threshold that is recommended, such pairs say nothing. With one bit more they could be 6 apart,
 * and a pair would begin to mean that both pictures change in the same place.
 *
 * Of random hashes 1 in 4.4 * 10^15 is flat: 2 * (1 + 64 + 2016) of 2^64.
 */
#include "pg/hamming.hpp"

static const int MAX_FLAT_CHANGES = 2;

/* Tells whether a hash is all zeros, all ones, or within MAX_FLAT_CHANGES bits of either. */
VAMHASH_FUNCTION(phash64_flat_hash)
{
	int ones = pg_popcount64(PG_GETARG_PHASH64(0));

	PG_RETURN_BOOL(ones <= MAX_FLAT_CHANGES || ones >= MAX_HAMMING_DISTANCE - MAX_FLAT_CHANGES);
}
