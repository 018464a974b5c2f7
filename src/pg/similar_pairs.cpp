/*
 * similar_pairs.cpp
 *		SQL functions similar_pairs() and similar_pairs_between(): all pairs of rows
 *		within a Hamming distance, of one query or of two, compared by the engine.
 *
 * The engine answers with pairs of row numbers, and each becomes a row of the result.
 * In one set the smaller key comes first, and pairs of one key with itself are left
 * out. Between two sets keys are not compared at all: the left one is a, the right
 * one is b.
 */
#include "pg/postgres.hpp"

extern "C"
{
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"
}

#include "pg/join_call.hpp"
#include "protocol/reply_check.h"

using namespace vamhash::protocol;

/* What pairs become rows with. */
typedef struct PairsOutput
{
	JoinCall *join;
	PairsRequest params;
	FmgrInfo *compare; /* btree comparison of the keys, in a join of one set */
	Oid collation;
	bool as_array; /* distances int[], not distance int */
	uint64 pairs;  /* put into the result */
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
	uint32 *rows;  /* a's, then, from `limit` on, b's */
	Datum *keys;   /* a's, then, from `count` on, b's */
} PairBatch;

/* Turn one pair into a row of the result. */
static void
PutPair(PairsOutput *output, Datum a, Datum b, const uint8 *distances)
{
	MemoryContext context;
	Datum values[3] = {a, b};
	bool nulls[3] = {};

	context = MemoryContextSwitchTo(output->row_context);
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
	MemoryContextSwitchTo(context);
	MemoryContextReset(output->row_context);
}

/* Put a pair of one set into the result: the smaller key first, but none of a key with itself. */
static void
PutPairInOrder(PairsOutput *output, Datum a, Datum b, const uint8 *distances)
{
	MemoryContext context = MemoryContextSwitchTo(output->row_context);
	int order = DatumGetInt32(FunctionCall2Coll(output->compare, output->collation, a, b));

	MemoryContextSwitchTo(context);
	if (order < 0)
		PutPair(output, a, b, distances);
	else if (order > 0)
		PutPair(output, b, a, distances);
	else
		MemoryContextReset(output->row_context);
}

/* Make an empty batch, of as many pairs as the key stores look up well at once. */
static PairBatch
MakeBatch(PairsOutput *output)
{
	JoinCall *join = output->join;
	PairBatch batch = {};
	Size bytes_each;

	batch.record_size = pair_record_size(output->params.columns);
	bytes_each = sizeof(uint32) + batch.record_size / 2;
	if (join->sets == 1)
		batch.limit = PrepareKeys(join->keys[0], bytes_each) / 2;
	else
	{
		int left = PrepareKeys(join->keys[0], bytes_each);
		int right = PrepareKeys(join->keys[1], bytes_each);

		batch.limit = Min(left, right);
	}
	batch.records = (char *) palloc(batch.limit * batch.record_size);
	batch.rows = (uint32 *) palloc(2 * batch.limit * sizeof(uint32));
	batch.keys = (Datum *) palloc(2 * batch.limit * sizeof(Datum));
	return batch;
}

/* Look up the keys of a batch's pairs. */
static void
GetBatchKeys(JoinCall *join, PairBatch *batch)
{
	uint32 *right_rows = batch->rows + batch->limit;

	if (join->sets == 1)
	{
		memmove(batch->rows + batch->count, right_rows, batch->count * sizeof(uint32));
		GetKeys(join->keys[0], batch->rows, 2 * batch->count, batch->keys);
	}
	else
	{
		GetKeys(join->keys[0], batch->rows, batch->count, batch->keys);
		GetKeys(join->keys[1], right_rows, batch->count, batch->keys + batch->count);
	}
}

/* Put a batch's pairs into the result; empties the batch. */
static void
PutBatch(PairsOutput *output, PairBatch *batch)
{
	const char *record = batch->records + sizeof(PairRecord);

	GetBatchKeys(output->join, batch);
	for (int i = 0; i < batch->count; i++, record += batch->record_size)
	{
		Datum a = batch->keys[i];
		Datum b = batch->keys[batch->count + i];

		CHECK_FOR_INTERRUPTS();
		if (output->join->sets == 1)
			PutPairInOrder(output, a, b, (const uint8 *) record);
		else
			PutPair(output, a, b, (const uint8 *) record);
	}
	batch->count = 0;
}

/* Check one pair of the engine's and put it into the batch. */
static void
TakePair(EngineRequest *request, PairsCheck *check, PairBatch *batch, const char *record)
{
	PairRecord pair;

	memcpy(&pair, record, sizeof(pair));
	EngineCheckReply(request, check_pair(*check, pair, (const uint8 *) record + sizeof(pair)));
	memcpy(batch->records + batch->count * batch->record_size, record, batch->record_size);
	batch->rows[batch->count] = pair.a;
	batch->rows[batch->limit + batch->count] = pair.b;
	batch->count++;
}

/* Read the engine's pairs, check them and put them into the result. */
static void
PutPairs(PairsOutput *output)
{
	JoinCall *join = output->join;
	PairBatch batch = MakeBatch(output);
	PairsCheck check = {};
	EngineReply reply;

	check.request = &output->params;
	check.left_rows = CountJoinRows(join, 0);
	check.right_rows = CountJoinRows(join, join->sets - 1);
	check.pairs_left = most_pairs(check);
	while (ReceiveJoinReply(join, &reply))
	{
		if (reply.operation != Operation::result)
			EngineRejectReply(join->request, "unexpected operation");
		if (reply.length % batch.record_size != 0)
			EngineRejectReply(join->request, "a part of a pair");
		for (Size offset = 0; offset < reply.length; offset += batch.record_size)
		{
			TakePair(join->request, &check, &batch, reply.payload + offset);
			if (batch.count == batch.limit)
				PutBatch(output, &batch);
		}
	}
	PutBatch(output, &batch);
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

/* Prepare a result that is put into a tuplestore; the key type is that of its first column. */
static void
PrepareOutput(FunctionCallInfo fcinfo, PairsOutput *output)
{
	ReturnSetInfo *info = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext context;

	InitMaterializedSRF(fcinfo, 0);
	output->store = info->setResult;
	output->desc = info->setDesc;
	context = MemoryContextSwitchTo(info->econtext->ecxt_per_query_memory);
	output->row_context =
		AllocSetContextCreate(CurrentMemoryContext, "vamhash pair", ALLOCSET_SMALL_SIZES);
	MemoryContextSwitchTo(context);
}

/*
 * Return the pairs of rows of the queries, one or two, that are the first
 * arguments of the call. The next one is max_distance, or max_distances.
 */
static void
ReturnPairs(FunctionCallInfo fcinfo, int sets, bool as_array)
{
	PairsOutput output = {};
	JoinCall join = {};
	Oid key_type;

	for (int i = 0; i <= sets; i++)
	{
		/* As of a strict function, but for key_type. */
		if (PG_ARGISNULL(i))
		{
			InitMaterializedSRF(fcinfo, 0);
			return;
		}
	}
	output.as_array = as_array;
	if (as_array)
		GetThresholds(PG_GETARG_ARRAYTYPE_P(sets), &output.params);
	else
	{
		output.params.columns = 1;
		output.params.thresholds[0] = CheckThreshold(PG_GETARG_INT32(sets));
	}
	output.params.sets = sets;
	PrepareOutput(fcinfo, &output);
	key_type = TupleDescAttr(output.desc, 0)->atttypid;
	if (sets == 1)
	{
		TypeCacheEntry *type = GetKeyOrder(key_type, "the smaller key of a pair comes first");

		output.compare = &type->cmp_proc_finfo;
		output.collation = type->typcollation;
	}

	output.join = &join;
	BeginJoin(&join, fcinfo, sets == 1 ? "similar_pairs" : "similar_pairs_between", key_type,
			  output.params.columns);
	output.params.settings = join.settings;
	join.request =
		EngineBegin(ENGINE_COMPUTE, Operation::begin_pairs, &output.params, sizeof(output.params));
	for (int i = 0; i < sets; i++)
		ReadJoinRows(&join, PG_GETARG_TEXT_PP(i));
	PutPairs(&output);
	EndJoin(&join, output.pairs);
	MemoryContextDelete(output.row_context);
}

/* similar_pairs(query text, max_distance int [, key_type anyelement]) */
VAMHASH_FUNCTION(vamhash_similar_pairs)
{
	ReturnPairs(fcinfo, 1, false);
	return (Datum) 0;
}

/* similar_pairs(query text, max_distances int[] [, key_type anyelement]) */
VAMHASH_FUNCTION(vamhash_similar_pairs_consensus)
{
	ReturnPairs(fcinfo, 1, true);
	return (Datum) 0;
}

/* similar_pairs_between(left_query, right_query text, max_distance int [, key_type anyelement]) */
VAMHASH_FUNCTION(vamhash_similar_pairs_between)
{
	ReturnPairs(fcinfo, 2, false);
	return (Datum) 0;
}

/* similar_pairs_between(left_query, right_query text, max_distances int[] [, key_type …]) */
VAMHASH_FUNCTION(vamhash_similar_pairs_between_consensus)
{
	ReturnPairs(fcinfo, 2, true);
	return (Datum) 0;
}
