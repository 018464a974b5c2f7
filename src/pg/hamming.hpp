/*
 * hamming.hpp
 *		The Hamming distance of two hashes: the number of bits in which they differ, 0 to 64.
 */
#pragma once

#include "pg/phash64.hpp"

extern "C"
{
#include "port/pg_bitutils.h"
}

static const int MAX_HAMMING_DISTANCE = 64;

/* Returns the Hamming distance, with the popcount instruction where the processor has one. */
static inline int
HammingDistance(uint64 a, uint64 b)
{
	return pg_popcount64(a ^ b);
}
