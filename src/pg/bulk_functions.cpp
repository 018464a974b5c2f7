/*
 * bulk_functions.cpp
 *		SQL functions on many images: hash_images(), hash_image_files(), hash_query().
 *
 * Each image is a row of the result, in order, as soon as it is known: the result is a
 * tuplestore, which is in memory up to work_mem and in a temporary file beyond it.
 */
#include "pg/postgres.hpp"

extern "C"
{
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"
}

#include "pg/bulk_hash.hpp"
#include "pg/keyed_query.hpp"
#include "pg/progress.hpp"

/* One call of a function on many images. */
typedef struct BulkCall
{
	const char *kind; /* name of the SQL function */
	BulkHashOptions options;
	BulkHash *bulk;
	Job *job;
	Tuplestorestate *store;
	TupleDesc desc;
	bool copied_keys; /* keys are copies of ours, not by value */
	int16 key_length;
	MemoryContext context;	   /* the call's */
	MemoryContext row_context; /* reset after each row */
	instr_time begun;
} BulkCall;

/* Is an argument NULL? Then there are no rows, as of a strict function. */
static bool
HasNullArgument(FunctionCallInfo fcinfo, int decode_argument)
{
	return PG_ARGISNULL(0) || (decode_argument < PG_NARGS() && (PG_ARGISNULL(decode_argument) ||
																PG_ARGISNULL(decode_argument + 1)));
}

/* Begin a call whose arguments decode and orient are at `decode_argument`, if there are any. */
static void
BeginCall(BulkCall *call, FunctionCallInfo fcinfo, const char *kind, int decode_argument)
{
	ReturnSetInfo *info;

	INSTR_TIME_SET_CURRENT(call->begun);
	call->kind = kind;
	call->options.wanted = WANT_ALL;
	if (decode_argument < PG_NARGS())
	{
		call->options.fast = DecodeIsFast(PG_GETARG_TEXT_PP(decode_argument));
		call->options.orient = PG_GETARG_BOOL(decode_argument + 1);
	}
	InitMaterializedSRF(fcinfo, 0);
	info = (ReturnSetInfo *) fcinfo->resultinfo;
	call->store = info->setResult;
	call->desc = info->setDesc;
	call->context = CurrentMemoryContext;
	call->row_context =
		AllocSetContextCreate(CurrentMemoryContext, "vamhash image row", ALLOCSET_SMALL_SIZES);
}

/* Begin the bulk itself, of so many images, or -1 if that is not known. */
static void
BeginBulk(BulkCall *call, int64 total)
{
	MemoryContext context = MemoryContextSwitchTo(call->context);

	call->job = BeginJob(call->kind);
	call->options.job = call->job;
	call->bulk = BulkHashBegin(&call->options);
	SetJobPhase(call->job, "hashing", total);
	SetJobImages(call->job, 0, 0, 0);
	MemoryContextSwitchTo(context);
}

/* Put the rows that are known into the result; with `all`, wait for those that are not. */
static void
PutRows(BulkCall *call, bool all)
{
	BulkHashRow row;

	while (BulkHashNext(call->bulk, all, &row))
	{
		const BulkHashCounts *counts = BulkHashGetCounts(call->bulk);
		MemoryContext context = MemoryContextSwitchTo(call->row_context);
		Datum values[1 + BULK_COLUMN_COUNT] = {row.tag};
		bool nulls[1 + BULK_COLUMN_COUNT] = {};

		FillBulkColumns(&row, values + 1, nulls + 1);
		tuplestore_putvalues(call->store, call->desc, values, nulls);
		MemoryContextSwitchTo(context);
		MemoryContextReset(call->row_context);
		if (call->copied_keys)
			pfree(DatumGetPointer(row.tag));
		SetJobImages(call->job, counts->images, counts->bad, counts->bytes);
	}
}

/* End a call that is complete. */
static void
EndCall(BulkCall *call)
{
	BulkHashCounts counts;
	instr_time took;

	PutRows(call, true);
	counts = BulkHashFinish(call->bulk);
	EndJob(call->job);
	INSTR_TIME_SET_CURRENT(took);
	INSTR_TIME_SUBTRACT(took, call->begun);
	SetLastBulk(call->kind, &counts, INSTR_TIME_GET_DOUBLE(took));
	MemoryContextDelete(call->row_context);
}

/* Put an image, given as a bytea or as a path, into the bulk. */
static void
PutImage(BulkCall *call, Datum value, bool isnull, Datum key)
{
	ImageSource source = {};

	if (isnull)
		BulkHashPut(call->bulk, &source, key);
	else if (call->options.files)
	{
		char *path = TextDatumGetCString(value);

		source.path = path;
		BulkHashPut(call->bulk, &source, key);
		pfree(path);
	}
	else
	{
		bytea *image = DatumGetByteaPP(value);

		source.bytes = VARDATA_ANY(image);
		source.length = VARSIZE_ANY_EXHDR(image);
		BulkHashPut(call->bulk, &source, key);
		if ((Pointer) image != DatumGetPointer(value))
			pfree(image);
	}
	PutRows(call, false);
}

/* Return a row for each element of the array that is the first argument. */
static void
ReturnArrayRows(FunctionCallInfo fcinfo, const char *kind, bool files)
{
	ArrayType *array = PG_GETARG_ARRAYTYPE_P(0);
	BulkCall call = {};
	ArrayIterator iterator;
	int64 key = 0;
	Datum value;
	bool isnull;

	call.options.files = files;
	BeginCall(&call, fcinfo, kind, 1);
	BeginBulk(&call, ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array)));
	iterator = array_create_iterator(array, 0, NULL);
	while (array_iterate(iterator, &value, &isnull))
		PutImage(&call, value, isnull, Int64GetDatum(++key));
	array_free_iterator(iterator);
	EndCall(&call);
}

/* hash_images(images bytea[], decode text, orient boolean) */
VAMHASH_FUNCTION(vamhash_hash_images)
{
	ReturnArrayRows(fcinfo, "hash_images", false);
	return (Datum) 0;
}

/* hash_image_files(paths text[], decode text, orient boolean) */
VAMHASH_FUNCTION(vamhash_hash_image_files)
{
	ReturnArrayRows(fcinfo, "hash_image_files", true);
	return (Datum) 0;
}

/* KeyedColumnsChecker: a key, and an image or its path; notes which one, for the call. */
static void
CheckImageColumn(void *state, TupleDesc desc)
{
	BulkCall *call = (BulkCall *) state;
	Oid type;

	if (desc->natts != 2)
		ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
						errmsg("the query returns %d column(s), not 2", desc->natts),
						errdetail("It must return a key and an image (bytea) or the path of one "
								  "(text).")));
	type = getBaseType(TupleDescAttr(desc, 1)->atttypid);
	if (type != BYTEAOID && type != TEXTOID && type != VARCHAROID)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column 2 of the query is of type %s, not bytea or text",
						format_type_be(TupleDescAttr(desc, 1)->atttypid)),
				 errhint("Images are of type bytea, paths of files on the server of type text.")));
	call->options.files = type != BYTEAOID;
	BeginBulk(call, -1);
}

/* KeyedRowTaker: hash a row's image. The key must outlive the row, and the query. */
static void
TakeImageRow(void *state, Datum key, const Datum *values, const bool *nulls)
{
	BulkCall *call = (BulkCall *) state;

	if (call->copied_keys)
	{
		MemoryContext context = MemoryContextSwitchTo(call->context);

		key = call->key_length == -1 ? PointerGetDatum(PG_DETOAST_DATUM_COPY(key))
									 : datumCopy(key, false, call->key_length);
		MemoryContextSwitchTo(context);
	}
	PutImage(call, values[0], nulls[0], key);
}

/* hash_query(query text [, key_type anyelement, decode text, orient boolean]) */
VAMHASH_FUNCTION(vamhash_hash_query)
{
	BulkCall call = {};
	Oid key_type;
	bool key_by_value;

	if (HasNullArgument(fcinfo, 2))
	{
		InitMaterializedSRF(fcinfo, 0);
		return (Datum) 0;
	}
	BeginCall(&call, fcinfo, "hash_query", 2);
	key_type = TupleDescAttr(call.desc, 0)->atttypid;
	get_typlenbyval(key_type, &call.key_length, &key_by_value);
	call.copied_keys = !key_by_value;
	RunCheckedQuery(text_to_cstring(PG_GETARG_TEXT_PP(0)), key_type, CheckImageColumn,
					"a SELECT of a key and an image or a path", TakeImageRow, &call);
	EndCall(&call);
	return (Datum) 0;
}
