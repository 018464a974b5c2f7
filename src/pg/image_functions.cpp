/*
 * image_functions.cpp
 *		SQL functions on one image: dhash() ... image_hashes(), and their _file forms.
 */
#include "pg/postgres.hpp"

extern "C"
{
#include "access/htup_details.h"
#include "funcapi.h"
#include "utils/builtins.h"
}

#include "pg/image_hash.hpp"

using vamhash::protocol::HashResult;

/* Hash the image of a call f(image or path, decode text, orient boolean). */
static HashResult
HashArgument(FunctionCallInfo fcinfo, bool is_file, HashWanted wanted)
{
	const text *decode = PG_GETARG_TEXT_PP(1);
	bool orient = PG_GETARG_BOOL(2);
	ImageSource source = {};
	HashResult result;

	if (is_file)
	{
		source.path = text_to_cstring(PG_GETARG_TEXT_PP(0));
		result = HashImage(&source, wanted, decode, orient);
	}
	else
	{
		bytea *image = PG_GETARG_BYTEA_PP(0);

		source.bytes = VARDATA_ANY(image);
		source.length = VARSIZE_ANY_EXHDR(image);
		result = HashImage(&source, wanted, decode, orient);
		PG_FREE_IF_COPY(image, 0);
	}
	return result;
}

/* The row of image_hashes(): five hashes, width, height, format. */
static Datum
HashesRow(FunctionCallInfo fcinfo, bool is_file)
{
	HashResult result;
	TupleDesc tupdesc;
	Datum values[8];
	bool nulls[8] = {};

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	result = HashArgument(fcinfo, is_file, WANT_ALL);
	values[0] = Int64GetDatum((int64) result.dhash);
	values[1] = Int64GetDatum((int64) result.ahash);
	values[2] = Int64GetDatum((int64) result.whash);
	values[3] = Int64GetDatum((int64) result.phash);
	values[4] = Int64GetDatum((int64) result.whash16);
	values[5] = Int32GetDatum((int32) result.width);
	values[6] = Int32GetDatum((int32) result.height);
	values[7] = CStringGetTextDatum(result.format);
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), values, nulls));
}

/* dhash(image bytea, decode text, orient boolean) returns phash64, and so on. */
VAMHASH_FUNCTION(vamhash_dhash)
{
	return Int64GetDatum((int64) HashArgument(fcinfo, false, WANT_DHASH).dhash);
}

VAMHASH_FUNCTION(vamhash_ahash)
{
	return Int64GetDatum((int64) HashArgument(fcinfo, false, WANT_AHASH).ahash);
}

VAMHASH_FUNCTION(vamhash_whash)
{
	return Int64GetDatum((int64) HashArgument(fcinfo, false, WANT_WHASH).whash);
}

VAMHASH_FUNCTION(vamhash_phash)
{
	return Int64GetDatum((int64) HashArgument(fcinfo, false, WANT_PHASH).phash);
}

VAMHASH_FUNCTION(vamhash_whash16)
{
	return Int64GetDatum((int64) HashArgument(fcinfo, false, WANT_WHASH16).whash16);
}

/* image_hashes(image bytea, decode text, orient boolean): all of them from one decode. */
VAMHASH_FUNCTION(vamhash_image_hashes)
{
	return HashesRow(fcinfo, false);
}

/* dhash_file(path text, decode text, orient boolean) returns phash64, and so on. */
VAMHASH_FUNCTION(vamhash_dhash_file)
{
	return Int64GetDatum((int64) HashArgument(fcinfo, true, WANT_DHASH).dhash);
}

VAMHASH_FUNCTION(vamhash_ahash_file)
{
	return Int64GetDatum((int64) HashArgument(fcinfo, true, WANT_AHASH).ahash);
}

VAMHASH_FUNCTION(vamhash_whash_file)
{
	return Int64GetDatum((int64) HashArgument(fcinfo, true, WANT_WHASH).whash);
}

VAMHASH_FUNCTION(vamhash_phash_file)
{
	return Int64GetDatum((int64) HashArgument(fcinfo, true, WANT_PHASH).phash);
}

VAMHASH_FUNCTION(vamhash_whash16_file)
{
	return Int64GetDatum((int64) HashArgument(fcinfo, true, WANT_WHASH16).whash16);
}

/* image_hashes_file(path text, decode text, orient boolean) */
VAMHASH_FUNCTION(vamhash_image_hashes_file)
{
	return HashesRow(fcinfo, true);
}
