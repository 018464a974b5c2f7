/*
 * similar_pairs.cpp
 *		SQL function similar_pairs(): all pairs of a query's rows within a Hamming
 *		distance, compared by the engine.
 *
 * The query's hashes go to the engine as they are read; its keys stay here, in a
 * KeyStore. The engine answers with pairs of row numbers, and each becomes a row of
 * the result: the smaller key first, pairs of one key with itself left out.
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
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/tuplestore.h"
#include "utils/typcache.h"
}

#include "pg/engine_client.hpp"
#include "pg/key_store.hpp"
#include "pg/keyed_query.hpp"
#include "pg/progress.hpp"
#include "pg/settings.hpp"
#include "pg/statistics.hpp"

using namespace vamhash::protocol;

/* Bytes of hashes collected before they are sent. */
#define SEND_BUFFER_SIZE (256 * 1024)

/* A join being fed by the query's rows. */
typedef struct PairsInput
{
	EngineRequest *request;
	KeyStore *keys;
	Job *job;
	int columns;
	uint64 *rows; /* hashes not sent yet */
	int row_count;
	int row_limit;
} PairsInput;

/* What pairs become rows with. */
typedef struct PairsOutput
{
	KeyStore *keys;
	FmgrInfo *compare; /* btree comparison of the key type */
	Oid collation;
	PairsRequest params;
	bool as_array; /* distances int[], not distance int */
	Job *job;
	uint64 pairs; /* put into the result */
	Tuplestorestate *store;
	TupleDesc desc;
	MemoryContext row_context;
} PairsOutput;

/* Pairs that wait for their keys. */
typedef struct PairBatch
{
	int count;
	int limit;
	Size record_size;
	char *records; /* as the engine sent them */
	uint32 *rows;  /* two for each pair */
	Datum *keys;
} PairBatch;

/* Send the hashes collected so far; with `last`, there are no more. */
static void
SendRows(PairsInput *input, bool last)
{
	EngineSendData(input->request, input->rows,
				   (Size) input->row_count * input->columns * sizeof(uint64), last);
	input->row_count = 0;
}

/* KeyedRowTaker: keep a row's key and collect its hashes; a row with a null hash is left out. */
static void
TakeHashRow(void *state, Datum key, const Datum *values, const bool *nulls)
{
	PairsInput *input = (PairsInput *) state;
	uint64 *row = input->rows + (Size) input->row_count * input->columns;

	for (int i = 0; i < input->columns; i++)
	{
		if (nulls[i])
			return;
		row[i] = (uint64) DatumGetInt64(values[i]);
	}
	if (CountKeys(input->keys) >= PG_UINT32_MAX)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("the query returns more than %u rows", PG_UINT32_MAX)));
	AppendKey(input->keys, key);
	/* For every row, since a query may take seconds for each. */
	SetJobRows(input->job, CountKeys(input->keys));
	if (++input->row_count == input->row_limit)
		SendRows(input, false);
}

/* Turn one pair, of these two keys, into a row of the result. */
static void
PutPair(PairsOutput *output, const Datum *keys, const uint8 *distances)
{
	MemoryContext context = MemoryContextSwitchTo(output->row_context);
	Datum values[3];
	bool nulls[3] = {};
	int order =
		DatumGetInt32(FunctionCall2Coll(output->compare, output->collation, keys[0], keys[1]));

	if (order != 0)
	{
		values[0] = order < 0 ? keys[0] : keys[1];
		values[1] = order < 0 ? keys[1] : keys[0];
		if (output->as_array)
		{
			Datum elements[max_columns];

			for (uint32 i = 0; i < output->params.columns; i++)
				elements[i] = Int32GetDatum(distances[i]);
			values[2] = PointerGetDatum(construct_array(elements, output->params.columns, INT4OID,
														sizeof(int32), true, TYPALIGN_INT));
		}
		else
			values[2] = Int32GetDatum(distances[0]);
		tuplestore_putvalues(output->store, output->desc, values, nulls);
		output->pairs++;
	}
	MemoryContextSwitchTo(context);
	MemoryContextReset(output->row_context);
}

/* Make an empty batch, of as many pairs as the key store looks up well at once. */
static PairBatch
MakeBatch(PairsOutput *output)
{
	PairBatch batch = {};

	batch.record_size = pair_record_size(output->params.columns);
	batch.limit = PrepareKeys(output->keys, sizeof(uint32) + batch.record_size / 2) / 2;
	batch.records = (char *) palloc(batch.limit * batch.record_size);
	batch.rows = (uint32 *) palloc(2 * batch.limit * sizeof(uint32));
	batch.keys = (Datum *) palloc(2 * batch.limit * sizeof(Datum));
	return batch;
}

/* Look up the keys of a batch's pairs and put them into the result; empties the batch. */
static void
PutBatch(PairsOutput *output, PairBatch *batch)
{
	GetKeys(output->keys, batch->rows, 2 * batch->count, batch->keys);
	for (int i = 0; i < batch->count; i++)
		PutPair(output, batch->keys + 2 * i,
				(const uint8 *) batch->records + i * batch->record_size + sizeof(PairRecord));
	batch->count = 0;
}

/* Read the engine's pairs, check them and put them into the result. */
static void
PutPairs(EngineRequest *request, PairsOutput *output)
{
	PairBatch batch = MakeBatch(output);
	uint64 rows = CountKeys(output->keys);
	uint64 pairs = 0;
	const char *payload;
	Size length;

	SetJobPhase(output->job, "joining", -1);
	SetJobJoin(output->job, rows, -1, 0, -1);
	while (EngineReceiveResult(request, &payload, &length))
	{
		if (length % batch.record_size != 0)
			EngineRejectResult(request, "a part of a pair");
		for (const char *record = payload; record < payload + length; record += batch.record_size)
		{
			const uint8 *distances = (const uint8 *) record + sizeof(PairRecord);
			PairRecord pair;

			memcpy(&pair, record, sizeof(pair));
			if (pair.a >= pair.b || pair.b >= rows)
				EngineRejectResult(request, "a pair of rows that are not there");
			for (uint32 i = 0; i < output->params.columns; i++)
			{
				if (distances[i] > output->params.thresholds[i])
					EngineRejectResult(request, "a pair beyond the distance asked for");
			}
			if (++pairs > rows * (rows - 1) / 2)
				EngineRejectResult(request, "more pairs than there are");
			memcpy(batch.records + batch.count * batch.record_size, record, batch.record_size);
			batch.rows[2 * batch.count] = pair.a;
			batch.rows[2 * batch.count + 1] = pair.b;
			if (++batch.count == batch.limit)
				PutBatch(output, &batch);
		}
		SetJobDone(output->job, output->pairs);
		SetJobJoin(output->job, rows, -1, output->pairs, -1);
	}
	PutBatch(output, &batch);
}

/* Raise an error unless a threshold is a distance that 64-bit hashes can have. */
static uint8
CheckThreshold(int32 threshold)
{
	if (threshold < 0 || threshold > 64)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("max_distance must be between 0 and 64, not %d", threshold)));
	return (uint8) threshold;
}

/* Take the thresholds from the argument max_distances int[]. */
static void
GetThresholds(ArrayType *array, PairsRequest *params)
{
	Datum *elements;
	bool *nulls;
	int count;

	deconstruct_array(array, INT4OID, sizeof(int32), true, TYPALIGN_INT, &elements, &nulls, &count);
	if (ARR_NDIM(array) != 1 || count > (int) max_columns)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("max_distances must be a one-dimensional array of 1 to %u distances",
							   max_columns)));
	for (int i = 0; i < count; i++)
	{
		if (nulls[i])
			ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
							errmsg("max_distances must not contain nulls")));
		params->thresholds[i] = CheckThreshold(DatumGetInt32(elements[i]));
	}
	params->columns = count;
}

/* OID of type phash64: it is in the schema of the function that was called. */
static Oid
GetHashType(FunctionCallInfo fcinfo)
{
	Oid type = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum("phash64"),
							   ObjectIdGetDatum(get_func_namespace(fcinfo->flinfo->fn_oid)));

	if (!OidIsValid(type))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("type phash64 is not in the schema of the vamhash extension")));
	return type;
}

/* Prepare a result that is put into a tuplestore; the key type is that of its first column. */
static void
PrepareOutput(FunctionCallInfo fcinfo, PairsOutput *output)
{
	ReturnSetInfo *info = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext context;
	TypeCacheEntry *type;

	InitMaterializedSRF(fcinfo, 0);
	output->store = info->setResult;
	output->desc = info->setDesc;
	type = lookup_type_cache(TupleDescAttr(output->desc, 0)->atttypid, TYPECACHE_CMP_PROC_FINFO);
	if (!OidIsValid(type->cmp_proc_finfo.fn_oid))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_FUNCTION),
						errmsg("keys of type %s have no order", format_type_be(type->type_id)),
						errdetail("A key's type needs a default btree operator class: the smaller "
								  "key of a pair comes first.")));
	output->compare = &type->cmp_proc_finfo;
	output->collation = type->typcollation;
	context = MemoryContextSwitchTo(info->econtext->ecxt_per_query_memory);
	output->row_context =
		AllocSetContextCreate(CurrentMemoryContext, "vamhash pair", ALLOCSET_SMALL_SIZES);
	MemoryContextSwitchTo(context);
}

/* Tell vamhash_stat of a join that is complete, and when it began, had read, and was done. */
static void
CountJoin(uint64 rows, uint64 pairs, instr_time begun, instr_time read, instr_time done)
{
	INSTR_TIME_SUBTRACT(done, read);
	INSTR_TIME_SUBTRACT(read, begun);
	ResetLastWork("similar_pairs");
	SetLastInt("last_rows", rows);
	SetLastInt("last_pairs", pairs);
	SetLastSeconds("last_seconds_reading", INSTR_TIME_GET_DOUBLE(read));
	SetLastSeconds("last_seconds_joining", INSTR_TIME_GET_DOUBLE(done));
	AddToTotal(TOTAL_JOINS, 1);
	AddToTotal(TOTAL_ROWS, rows);
	AddToTotal(TOTAL_PAIRS, pairs);
}

/* Run the join of similar_pairs() with its thresholds in output->params. */
static void
JoinQuery(FunctionCallInfo fcinfo, PairsOutput *output)
{
	const char *query = text_to_cstring(PG_GETARG_TEXT_PP(0));
	PairsInput input = {};
	instr_time begun;
	instr_time read;
	instr_time done;

	INSTR_TIME_SET_CURRENT(begun);
	PrepareOutput(fcinfo, output);
	output->job = input.job = BeginJob("similar_pairs");
	SetJobPhase(input.job, "reading rows", -1);
	SetJobRows(input.job, 0);
	output->params.threads = vamhash_threads;
	output->keys = MakeKeyStore(TupleDescAttr(output->desc, 0)->atttypid);
	input.keys = output->keys;
	input.columns = output->params.columns;
	input.row_limit = SEND_BUFFER_SIZE / (sizeof(uint64) * input.columns);
	input.rows = (uint64 *) palloc(SEND_BUFFER_SIZE);
	input.request = EngineBegin(ENGINE_COMPUTE, Operation::begin_pairs, &output->params,
								sizeof(output->params));
	RunKeyedQuery(query, TupleDescAttr(output->desc, 0)->atttypid, input.columns,
				  GetHashType(fcinfo), TakeHashRow, &input);
	SendRows(&input, true);
	INSTR_TIME_SET_CURRENT(read);
	PutPairs(input.request, output);
	EndJob(output->job);
	INSTR_TIME_SET_CURRENT(done);
	CountJoin(CountKeys(output->keys), output->pairs, begun, read, done);
	FreeKeyStore(output->keys);
	pfree(input.rows);
	MemoryContextDelete(output->row_context);
}

/* Are the arguments that matter null? Then the result is empty, as of a strict function. */
static bool
ReturnEmptyIfNull(FunctionCallInfo fcinfo)
{
	if (!PG_ARGISNULL(0) && !PG_ARGISNULL(1))
		return false;
	InitMaterializedSRF(fcinfo, 0);
	return true;
}

/* similar_pairs(query text, max_distance int [, key_type anyelement]) */
VAMHASH_FUNCTION(vamhash_similar_pairs)
{
	PairsOutput output = {};

	if (!ReturnEmptyIfNull(fcinfo))
	{
		output.params.columns = 1;
		output.params.thresholds[0] = CheckThreshold(PG_GETARG_INT32(1));
		JoinQuery(fcinfo, &output);
	}
	return (Datum) 0;
}

/* similar_pairs(query text, max_distances int[] [, key_type anyelement]) */
VAMHASH_FUNCTION(vamhash_similar_pairs_consensus)
{
	PairsOutput output = {};

	if (!ReturnEmptyIfNull(fcinfo))
	{
		GetThresholds(PG_GETARG_ARRAYTYPE_P(1), &output.params);
		output.as_array = true;
		JoinQuery(fcinfo, &output);
	}
	return (Datum) 0;
}
