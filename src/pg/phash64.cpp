/*
 * phash64.cpp
 *		The type phash64: its text and binary forms, and its casts.
 *
 * The text form is 16 hexadecimal digits, as ImageHash writes them: the first digit holds the first
 * four bits of the hash.  Every other form is the same 64 bits in the same order: bit(64), bytea
 * and the wire have the first bit first, bigint has it as its sign.  All sort alike but bigint.
 */
#include "pg/phash64.hpp"

extern "C"
{
#include "lib/stringinfo.h"
#include "libpq/pqformat.h"
#include "port/pg_bswap.h"
#include "utils/varbit.h"
}

static const int HASH_BITS = 64;
static const int HASH_BYTES = 8;
static const int HASH_DIGITS = 16;

/* Returns the value of a hexadecimal digit, or -1 for any other character. */
static int
HexDigitValue(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	if (digit >= 'a' && digit <= 'f')
		return digit - 'a' + 10;
	if (digit >= 'A' && digit <= 'F')
		return digit - 'A' + 10;
	return -1;
}

/* Reads exactly 16 hexadecimal digits; like uuid, takes no space around them. */
static bool
ParseHash(const char *text, uint64 *hash)
{
	uint64 value = 0;

	for (int i = 0; i < HASH_DIGITS; i++)
	{
		int digit = HexDigitValue(text[i]);

		/* A short string stops here, at its terminating zero. */
		if (digit < 0)
			return false;
		value = (value << 4) | (uint64) digit;
	}
	if (text[HASH_DIGITS] != '\0')
		return false;
	*hash = value;
	return true;
}

/* Reads 64 bits, first bit first. */
static uint64
LoadBigEndian(const void *bytes)
{
	uint64 value;

	memcpy(&value, bytes, HASH_BYTES);
	return pg_ntoh64(value);
}

/* Writes 64 bits, first bit first. */
static void
StoreBigEndian(void *bytes, uint64 value)
{
	value = pg_hton64(value);
	memcpy(bytes, &value, HASH_BYTES);
}

/* Converts text to a hash. */
VAMHASH_FUNCTION(phash64_in)
{
	char *text = PG_GETARG_CSTRING(0);
	uint64 hash;

	if (!ParseHash(text, &hash))
		ereturn(fcinfo->context, (Datum) 0,
				(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				 errmsg("invalid input syntax for type %s: \"%s\"", "phash64", text),
				 errdetail("A phash64 is written as %d hexadecimal digits.", HASH_DIGITS)));
	PG_RETURN_PHASH64(hash);
}

/* Converts a hash to text. */
VAMHASH_FUNCTION(phash64_out)
{
	uint64 hash = PG_GETARG_PHASH64(0);
	char *text = (char *) palloc(HASH_DIGITS + 1);

	for (int i = HASH_DIGITS - 1; i >= 0; i--)
	{
		text[i] = "0123456789abcdef"[hash & 15];
		hash >>= 4;
	}
	text[HASH_DIGITS] = '\0';
	PG_RETURN_CSTRING(text);
}

/* Converts the binary form, 8 bytes in network order, to a hash. */
VAMHASH_FUNCTION(phash64_recv)
{
	StringInfo message = (StringInfo) PG_GETARG_POINTER(0);

	PG_RETURN_PHASH64((uint64) pq_getmsgint64(message));
}

/* Converts a hash to its binary form. */
VAMHASH_FUNCTION(phash64_send)
{
	StringInfoData message;

	pq_begintypsend(&message);
	pq_sendint64(&message, PG_GETARG_PHASH64(0));
	PG_RETURN_BYTEA_P(pq_endtypsend(&message));
}

/* Casts bit(64) to a hash; a bit string of any other length is an error. */
VAMHASH_FUNCTION(phash64_from_bit)
{
	VarBit *bits = PG_GETARG_VARBIT_P(0);

	if (VARBITLEN(bits) != HASH_BITS)
		ereport(ERROR,
				(errcode(ERRCODE_STRING_DATA_LENGTH_MISMATCH),
				 errmsg("cannot cast bit string of length %d to %s", VARBITLEN(bits), "phash64"),
				 errdetail("A phash64 has %d bits.", HASH_BITS)));
	PG_RETURN_PHASH64(LoadBigEndian(VARBITS(bits)));
}

/*
 * Casts a hash to bit(64).  Takes the length asked for as its second argument, because a cast
 * without one would let bit(n) cut the hash, and "bit" alone means bit(1).
 */
VAMHASH_FUNCTION(phash64_to_bit)
{
	uint64 hash = PG_GETARG_PHASH64(0);
	int32 length = PG_GETARG_INT32(1);
	int size = VARBITTOTALLEN(HASH_BITS);
	VarBit *bits;

	if (length >= 0 && length != HASH_BITS)
		ereport(ERROR, (errcode(ERRCODE_STRING_DATA_LENGTH_MISMATCH),
						errmsg("cannot cast type %s to bit(%d)", "phash64", length),
						errhint("Cast to bit(%d).", HASH_BITS)));

	bits = (VarBit *) palloc0(size);
	SET_VARSIZE(bits, size);
	VARBITLEN(bits) = HASH_BITS;
	StoreBigEndian(VARBITS(bits), hash);
	PG_RETURN_VARBIT_P(bits);
}

/* Casts 8 bytes to a hash; any other number of bytes is an error. */
VAMHASH_FUNCTION(phash64_from_bytea)
{
	bytea *bytes = PG_GETARG_BYTEA_PP(0);

	if (VARSIZE_ANY_EXHDR(bytes) != HASH_BYTES)
		ereport(ERROR, (errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
						errmsg("cannot cast bytea of length %d to %s",
							   (int) VARSIZE_ANY_EXHDR(bytes), "phash64"),
						errdetail("A phash64 has %d bytes.", HASH_BYTES)));
	PG_RETURN_PHASH64(LoadBigEndian(VARDATA_ANY(bytes)));
}

/* Casts a hash to its 8 bytes. */
VAMHASH_FUNCTION(phash64_to_bytea)
{
	bytea *bytes = (bytea *) palloc(VARHDRSZ + HASH_BYTES);

	SET_VARSIZE(bytes, VARHDRSZ + HASH_BYTES);
	StoreBigEndian(VARDATA(bytes), PG_GETARG_PHASH64(0));
	PG_RETURN_BYTEA_P(bytes);
}
