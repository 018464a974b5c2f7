/*
 * hash_catalog.cpp
 *		CALL hash_catalog(): fills columns of a table with the hashes of its images.
 *
 * The table is gone through in the order of its keys, batch by batch, and each batch is a
 * transaction of its own: what is committed is not lost, whatever comes, and because a row
 * that has its hashes is not hashed again, the next CALL goes on where this one stopped.
 * A batch has four steps:
 *
 *	1. take the next keys. They were read with those of many batches more, since finding what is
 *	   left to do may mean to scan the table. All rows of one key are in one batch;
 *	2. lock their rows (FOR NO KEY UPDATE, which does not hinder rows that refer to them), but
 *	   for those that another session has locked: so several sessions hash one catalog, and
 *	   none waits for another. Whether a row is still to be hashed is looked at under the lock;
 *	3. give the images to the engine, and write what comes back while it works on the rest;
 *	4. commit.
 *
 * The transactions are READ COMMITTED whatever the default is: looking again under the lock
 * is what that level does, where a higher one would raise an error.
 */
#include "pg/postgres.hpp"

extern "C"
{
#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "portability/instr_time.h"
#include "tcop/pquery.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/typcache.h"
}

#include "pg/bulk_hash.hpp"
#include "pg/catalog_table.hpp"
#include "pg/progress.hpp"
#include "pg/server_file.hpp"
#include "pg/statistics.hpp"

/* Rows written by one UPDATE. A batch has several, so that the engine is busy during all but the last. */
#define ROWS_PER_UPDATE 256

/* Keys that are read at once. */
#define KEYS_AT_ONCE 65536

/* More than an UPDATE has parameters: the rows' places, and a column of a table each. */
#define MAX_PARAMETERS (MaxHeapAttributeNumber + 2)

/* Rows that are to be written together. */
typedef struct PendingRows
{
	int targets; /* columns that are written, from the first */
	int count;
	Datum tables[ROWS_PER_UPDATE];
	Datum places[ROWS_PER_UPDATE];
	Datum values[BULK_COLUMN_COUNT][ROWS_PER_UPDATE];
	bool nulls[BULK_COLUMN_COUNT][ROWS_PER_UPDATE];
} PendingRows;

/* A call of hash_catalog(). */
typedef struct CatalogRun
{
	CatalogTable *catalog;
	BulkHashOptions options;
	const char *root;
	int batch;
	Datum *keys; /* that were read, in their order */
	int key_count;
	int next_key;
	MemoryContext key_context; /* of the keys; reset when others are read */
	FmgrInfo compare_keys;
	Job *job;
	int64 skipped;					   /* rows that somebody has locked, changed or deleted */
	BulkHashCounts counts;			   /* of the batches before */
	int64 statuses[BULK_STATUS_COUNT]; /* rows by what became of them */
	PendingRows *hashed;
	PendingRows *failed;		 /* bad images: they change no hash, only status and message */
	MemoryContext batch_context; /* reset after each batch */
	MemoryContext value_context; /* of the pending rows' values; reset when they are written */
	instr_time writing;
} CatalogRun;

/* Raise an error unless this call may commit. */
static void
CheckMayCommit(FunctionCallInfo fcinfo)
{
	bool is_atomic = fcinfo->context == NULL || !IsA(fcinfo->context, CallContext) ||
					 ((CallContext *) fcinfo->context)->atomic;

	if (is_atomic || IsSubTransaction())
		ereport(ERROR, (errcode(ERRCODE_INVALID_TRANSACTION_TERMINATION),
						errmsg("hash_catalog cannot run inside a transaction"),
						errdetail("It commits each batch of rows."),
						errhint("CALL it alone: not between BEGIN and COMMIT, not in one string "
								"with other statements, not from a function or a block with "
								"EXCEPTION.")));
}

/* Raise an error if an argument without a meaning for null is null. */
static void
CheckArguments(FunctionCallInfo fcinfo)
{
	static const char *const names[] = {
		"catalog",	 "key_column",	  "source_column",
		"columns",	 NULL /* root */, NULL /* condition */,
		"recompute", "batch",		  "decode",
		"orient",
	};

	for (int i = 0; i < (int) lengthof(names); i++)
	{
		if (names[i] != NULL && PG_ARGISNULL(i))
			ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
							errmsg("\"%s\" must not be null", names[i])));
	}
	if (PG_GETARG_INT32(7) < 1)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("\"batch\" must be at least 1, not %d", PG_GETARG_INT32(7))));
}

/* An optional text argument; NULL if it is null. */
static char *
OptionalText(FunctionCallInfo fcinfo, int number)
{
	return PG_ARGISNULL(number) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(number));
}

/* The hashes that are wanted: those that go into a column. */
static HashWanted
WantedHashes(const CatalogTable *catalog)
{
	static const HashWanted bits[] = {WANT_DHASH, WANT_AHASH, WANT_WHASH, WANT_PHASH, WANT_WHASH16};
	int wanted = 0;

	for (int i = 0; i < catalog->target_count; i++)
	{
		if (catalog->targets[i].content <= BULK_WHASH16)
			wanted |= bits[catalog->targets[i].content];
	}
	/* Whether an image is good is only known when it has been decoded for some hash. */
	return (HashWanted) (wanted == 0 ? WANT_DHASH : wanted);
}

/* Read the arguments, all of which are copied: they would not outlive a COMMIT. */
static CatalogRun *
BeginRun(FunctionCallInfo fcinfo)
{
	CatalogRun *run = (CatalogRun *) palloc0(sizeof(CatalogRun));
	Oid schema = get_func_namespace(fcinfo->flinfo->fn_oid);

	run->catalog = DescribeCatalog(PG_GETARG_OID(0), pstrdup(NameStr(*PG_GETARG_NAME(1))),
								   pstrdup(NameStr(*PG_GETARG_NAME(2))), PG_GETARG_JSONB_P(3));
	run->catalog->hash_type = quote_qualified_identifier(get_namespace_name(schema), "phash64");
	run->catalog->condition = OptionalText(fcinfo, 5);
	run->catalog->recompute = PG_GETARG_BOOL(6);
	run->root = OptionalText(fcinfo, 4);
	run->batch = PG_GETARG_INT32(7);
	run->options.wanted = WantedHashes(run->catalog);
	run->options.fast = DecodeIsFast(PG_GETARG_TEXT_PP(8));
	run->options.orient = PG_GETARG_BOOL(9);
	run->options.files = run->catalog->files;
	if (run->root != NULL && !is_absolute_path(run->root))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("\"root\" must be an absolute path, not \"%s\"", run->root)));
	run->hashed = (PendingRows *) palloc0(sizeof(PendingRows));
	run->hashed->targets = run->catalog->target_count;
	run->failed = (PendingRows *) palloc0(sizeof(PendingRows));
	run->failed->targets = run->catalog->report_count;
	fmgr_info_copy(
		&run->compare_keys,
		&lookup_type_cache(run->catalog->key_type, TYPECACHE_CMP_PROC_FINFO)->cmp_proc_finfo,
		CurrentMemoryContext);
	run->key_context =
		AllocSetContextCreate(CurrentMemoryContext, "vamhash catalog keys", ALLOCSET_DEFAULT_SIZES);
	run->batch_context = AllocSetContextCreate(CurrentMemoryContext, "vamhash catalog batch",
											   ALLOCSET_DEFAULT_SIZES);
	run->value_context =
		AllocSetContextCreate(CurrentMemoryContext, "vamhash catalog rows", ALLOCSET_DEFAULT_SIZES);
	return run;
}

/* Run a statement by SPI; returns the number of rows it returned or changed. */
static uint64
Execute(const char *sql, int parameters, Oid *types, Datum *values, const char *nulls, int expected)
{
	int code = SPI_execute_with_args(sql, parameters, types, values, nulls, false, 0);

	if (code != expected)
		elog(ERROR, "SPI_execute_with_args returned %s", SPI_result_code_string(code));
	return SPI_processed;
}

/* A value of the first row returned. */
static Datum
FirstRowValue(int column, bool *is_null)
{
	return SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column, is_null);
}

/* Fill the types of an UPDATE's parameters; returns their number. */
static int
UpdateParameters(const CatalogTable *catalog, int targets, Oid *types)
{
	types[0] = get_array_type(OIDOID);
	types[1] = get_array_type(TIDOID);
	for (int i = 0; i < targets; i++)
		types[i + 2] = get_array_type(CatalogContentType(catalog->targets[i].content));
	return targets + 2;
}

/* Have PostgreSQL look at a statement as it would to run it: names, types and privileges. */
static void
CheckStatement(const char *sql, int parameters, Oid *types)
{
	Datum *values = (Datum *) palloc0(parameters * sizeof(Datum));
	char *nulls = (char *) palloc0(parameters + 1);

	memset(nulls, 'n', parameters);
	Execute(psprintf("EXPLAIN %s", sql), parameters, types, values, nulls, SPI_OK_UTILITY);
	SPI_freetuptable(SPI_tuptable);
}

/* Check all that will be run, before anything is done. */
static void
CheckStatements(const CatalogTable *catalog)
{
	Oid types[MAX_PARAMETERS] = {catalog->key_array_type};
	int parameters;

	CheckStatement(CatalogLockStatement(catalog), 1, types);
	parameters = UpdateParameters(catalog, catalog->target_count, types);
	CheckStatement(CatalogUpdateStatement(catalog, catalog->target_count), parameters, types);
}

/* The number of rows to be hashed. One scan, which is nothing beside the reading of as many images. */
static int64
CountRows(const CatalogTable *catalog)
{
	bool is_null;
	int64 rows;
	int64 without_key;

	Execute(CatalogCountStatement(catalog), 0, NULL, NULL, NULL, SPI_OK_SELECT);
	rows = DatumGetInt64(FirstRowValue(1, &is_null));
	without_key = DatumGetInt64(FirstRowValue(2, &is_null));
	SPI_freetuptable(SPI_tuptable);
	if (without_key > 0)
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("the key column \"%s\" is null in %lld of the rows to be hashed",
							   catalog->key_column, (long long) without_key),
						errhint("Leave these out with \"condition\", or give them a key.")));
	return rows;
}

/* An array of values, for a parameter; `values` may come back changed, from packed ones to others. */
static Datum
MakeArray(Datum *values, bool *nulls, int count, Oid type)
{
	int lower = 1;
	int16 length;
	bool is_by_value;
	char alignment;

	get_typlenbyvalalign(type, &length, &is_by_value, &alignment);
	return PointerGetDatum(
		construct_md_array(values, nulls, 1, &count, &lower, type, length, is_by_value, alignment));
}

/* Read the next keys of rows to be hashed, those after the last one; false if there are none. */
static bool
ReadKeys(CatalogRun *run)
{
	const CatalogTable *catalog = run->catalog;
	bool has_last = run->key_count > 0;
	Oid types[] = {catalog->key_type};
	Datum last_key = has_last ? run->keys[run->key_count - 1] : (Datum) 0;
	int16 length;
	bool is_by_value;
	bool is_null;
	MemoryContext context;

	get_typlenbyval(catalog->key_type, &length, &is_by_value);
	Execute(CatalogKeysStatement(catalog, Max(run->batch, KEYS_AT_ONCE), has_last),
			has_last ? 1 : 0, types, &last_key, NULL, SPI_OK_SELECT);
	MemoryContextReset(run->key_context);
	context = MemoryContextSwitchTo(run->key_context);
	run->next_key = 0;
	run->key_count = (int) SPI_processed;
	run->keys = (Datum *) palloc(Max(run->key_count, 1) * sizeof(Datum));
	for (int i = 0; i < run->key_count; i++)
		run->keys[i] =
			datumCopy(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &is_null),
					  is_by_value, length);
	MemoryContextSwitchTo(context);
	SPI_freetuptable(SPI_tuptable);
	return run->key_count > 0;
}

/* Are two keys the same? */
static bool
KeysAreEqual(CatalogRun *run, Datum a, Datum b)
{
	return DatumGetInt32(
			   FunctionCall2Coll(&run->compare_keys, run->catalog->key_collation, a, b)) == 0;
}

/* Take the next batch of keys, as an array; returns their number. Equal keys stay together. */
static int
TakeKeys(CatalogRun *run, Datum *array)
{
	Datum *keys = run->keys + run->next_key;
	int left = run->key_count - run->next_key;
	int count = Min(run->batch, left);
	Datum *values;

	while (count < left && KeysAreEqual(run, keys[count - 1], keys[count]))
		count++;
	run->next_key += count;
	values = (Datum *) palloc(count * sizeof(Datum));
	memcpy(values, keys, count * sizeof(Datum));
	*array = MakeArray(values, NULL, count, run->catalog->key_type);
	return count;
}

/* Lock the rows with some keys; returns those that could be, as tableoid, ctid and source. */
static SPITupleTable *
LockBatch(CatalogRun *run, Datum keys)
{
	Oid types[] = {run->catalog->key_array_type};

	Execute(CatalogLockStatement(run->catalog), 1, types, &keys, NULL, SPI_OK_SELECT);
	return SPI_tuptable;
}

/* Write pending rows. They are locked, so that all are there. */
static void
WriteRows(CatalogRun *run, PendingRows *rows)
{
	const CatalogTable *catalog = run->catalog;
	MemoryContext context = MemoryContextSwitchTo(run->value_context);
	Oid types[MAX_PARAMETERS];
	Datum values[MAX_PARAMETERS];
	int parameters = UpdateParameters(catalog, rows->targets, types);

	values[0] = MakeArray(rows->tables, NULL, rows->count, OIDOID);
	values[1] = MakeArray(rows->places, NULL, rows->count, TIDOID);
	for (int i = 0; i < rows->targets; i++)
	{
		BulkColumn content = catalog->targets[i].content;

		values[i + 2] = MakeArray(rows->values[content], rows->nulls[content], rows->count,
								  CatalogContentType(content));
	}
	Execute(CatalogUpdateStatement(catalog, rows->targets), parameters, types, values, NULL,
			SPI_OK_UPDATE);
	rows->count = 0;
	MemoryContextSwitchTo(context);
}

/* Write all pending rows. */
static void
WritePendingRows(CatalogRun *run)
{
	instr_time begun;
	instr_time done;

	INSTR_TIME_SET_CURRENT(begun);
	if (run->hashed->count > 0)
		WriteRows(run, run->hashed);
	if (run->failed->count > 0)
		WriteRows(run, run->failed);
	MemoryContextReset(run->value_context);
	INSTR_TIME_SET_CURRENT(done);
	INSTR_TIME_ACCUM_DIFF(run->writing, done, begun);
}

/* Take what became of one image; `rows` has its place in the table. */
static void
TakeImage(CatalogRun *run, BulkHash *bulk, SPITupleTable *rows, const BulkHashRow *image)
{
	const BulkHashCounts *counts = BulkHashGetCounts(bulk);
	PendingRows *pending = image->hashed ? run->hashed : run->failed;
	HeapTuple row = rows->vals[image->number];
	bool is_null;

	run->statuses[image->status]++;
	SetJobImages(run->job, run->counts.images + counts->images, run->counts.bad + counts->bad,
				 run->counts.bytes + counts->bytes);
	if (pending->targets > 0)
	{
		MemoryContext context = MemoryContextSwitchTo(run->value_context);
		Datum values[BULK_COLUMN_COUNT];
		bool nulls[BULK_COLUMN_COUNT];

		FillBulkColumns(image, values, nulls);
		for (int i = 0; i < BULK_COLUMN_COUNT; i++)
		{
			pending->values[i][pending->count] = values[i];
			pending->nulls[i][pending->count] = nulls[i];
		}
		pending->tables[pending->count] = SPI_getbinval(row, rows->tupdesc, 1, &is_null);
		pending->places[pending->count] = SPI_getbinval(row, rows->tupdesc, 2, &is_null);
		MemoryContextSwitchTo(context);
		if (++pending->count == ROWS_PER_UPDATE)
			WritePendingRows(run);
	}
}

/* Give a row's image to the engine. */
static void
PutImage(const CatalogRun *run, BulkHash *bulk, SPITupleTable *rows, uint64 number)
{
	ImageSource source = {};
	bool is_null;
	Datum value = SPI_getbinval(rows->vals[number], rows->tupdesc, 3, &is_null);
	struct varlena *bytes = NULL;
	char *path = NULL;

	if (!is_null && run->catalog->files)
	{
		path = text_to_cstring(DatumGetTextPP(value));
		if (run->root != NULL && !is_absolute_path(path))
		{
			char *relative = path;

			path = psprintf("%s/%s", run->root, relative);
			pfree(relative);
		}
		source.path = path;
	}
	else if (!is_null)
	{
		bytes = PG_DETOAST_DATUM_PACKED(value);
		source.bytes = VARDATA_ANY(bytes);
		source.length = VARSIZE_ANY_EXHDR(bytes);
	}
	BulkHashPut(bulk, &source, (Datum) 0);
	if (path != NULL)
		pfree(path);
	/* One image at a time, or a batch of them would fill the memory. */
	if (bytes != NULL && (Pointer) bytes != DatumGetPointer(value))
		pfree(bytes);
}

/* Hash the locked rows of a batch and write them. */
static void
HashRows(CatalogRun *run, SPITupleTable *rows)
{
	BulkHash *bulk = BulkHashBegin(&run->options);
	BulkHashCounts counts;
	BulkHashRow image;

	for (uint64 i = 0; i < rows->numvals; i++)
	{
		PutImage(run, bulk, rows, i);
		while (BulkHashNext(bulk, false, &image))
			TakeImage(run, bulk, rows, &image);
	}
	while (BulkHashNext(bulk, true, &image))
		TakeImage(run, bulk, rows, &image);
	WritePendingRows(run);
	counts = BulkHashFinish(bulk);
	AddBulkCounts(&run->counts, &counts);
}

/* Commit, and begin the next transaction. */
static void
CommitBatch(void)
{
	SPI_commit();
	/* From 15 on, and in later releases of 14, SPI_commit() has done so. */
	SPI_start_transaction();
	XactIsoLevel = XACT_READ_COMMITTED;
}

/* Hash the next batch in a transaction of its own; false if there is none. */
static bool
HashBatch(CatalogRun *run)
{
	MemoryContext context = MemoryContextSwitchTo(run->batch_context);
	bool found;

	/* What is toasted is read under some snapshot; SPI_commit() knows to forget this one. */
	EnsurePortalSnapshotExists();
	found = run->next_key < run->key_count || ReadKeys(run);
	if (found)
	{
		Datum keys;
		int count = TakeKeys(run, &keys);
		SPITupleTable *rows = LockBatch(run, keys);

		run->skipped += Max(count - (int64) rows->numvals, 0);
		if (rows->numvals > 0)
			HashRows(run, rows);
		SPI_freetuptable(rows);
		CommitBatch();
	}
	MemoryContextSwitchTo(context);
	MemoryContextReset(run->batch_context);
	return found;
}

/* Say what was done, in one line. */
static void
ReportRun(const CatalogRun *run)
{
	StringInfoData said;
	const char *separator = ": ";

	initStringInfo(&said);
	appendStringInfo(&said, "hash_catalog: %llu row%s", (unsigned long long) run->counts.images,
					 run->counts.images == 1 ? "" : "s");
	for (int i = 0; i < BULK_STATUS_COUNT; i++)
	{
		if (run->statuses[i] == 0)
			continue;
		appendStringInfo(&said, "%s%lld %s", separator, (long long) run->statuses[i],
						 BulkStatusName((BulkStatus) i));
		separator = ", ";
	}
	if (run->skipped > 0)
		appendStringInfo(&said, "; %lld skipped: locked by others, or changed meanwhile",
						 (long long) run->skipped);
	ereport(NOTICE, (errmsg_internal("%s", said.data)));
}

/* Tell vamhash_stat of a run that is complete. */
static void
CountRun(const CatalogRun *run, instr_time begun)
{
	instr_time done;

	INSTR_TIME_SET_CURRENT(done);
	INSTR_TIME_SUBTRACT(done, begun);
	SetLastBulk("hash_catalog", &run->counts, INSTR_TIME_GET_DOUBLE(done));
	SetLastSeconds("last_seconds_writing", INSTR_TIME_GET_DOUBLE(run->writing));
}

/*
 * hash_catalog(catalog regclass, key_column name, source_column name, columns jsonb, root text,
 * condition text, recompute boolean, batch int, decode text, orient boolean)
 */
VAMHASH_FUNCTION(vamhash_hash_catalog)
{
	instr_time begun;
	CatalogRun *run;

	INSTR_TIME_SET_CURRENT(begun);
	CheckArguments(fcinfo);
	CheckMayCommit(fcinfo);
	if (SPI_connect_ext(SPI_OPT_NONATOMIC) != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect_ext failed");
	run = BeginRun(fcinfo);
	if (run->catalog->files)
		CheckMayReadFiles();
	run->job = BeginProcedureJob("hash_catalog");
	run->options.job = run->job;
	run->options.arena = PictureArenaCreate();
	SetJobPhase(run->job, "counting rows", -1);
	CheckStatements(run->catalog);
	SetJobPhase(run->job, "hashing", CountRows(run->catalog));
	SetJobImages(run->job, 0, 0, 0);
	CommitBatch();
	while (HashBatch(run))
		;
	EndJob(run->job);
	ReportRun(run);
	CountRun(run, begun);
	SPI_finish();
	return (Datum) 0;
}
