/*
 * similar_groups.cpp
 *		SQL function similar_groups(): a query's rows in groups of near-duplicates,
 *		formed by the engine.
 *
 * Groups are to be the same whatever the rows' order, so where rows are alike in all
 * else, their keys decide. The engine has no keys. So it first tells which rows are
 * similar to another one; these rows' keys are sorted here, and it is told the rank of
 * each; then it answers with the groups' members, group by group, in the order of
 * their keys.
 *
 * Rows of one key have one rank. If their hashes are equal they count once; if not,
 * the key's place in the groups is not defined, and that is an error.
 */
#include "pg/postgres.hpp"

extern "C"
{
#include "access/tupdesc.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/tuplesort.h"
#include "utils/tuplestore.h"
}

#include "pg/join_call.hpp"
#include "protocol/reply_check.h"

using namespace vamhash::protocol;

/* Columns of the tuples that are sorted. */
#define SORT_KEY 1
#define SORT_ROW 2
#define SORT_VALUE 3
#define SORT_COLUMNS 3

/* A call of similar_groups(). */
typedef struct GroupsCall
{
	JoinCall *join;
	GroupsRequest params;
	TypeCacheEntry *key_type;
	uint32 *ranks; /* by row, from 1; 0: similar to none, or already a member of a group */
	uint64 ranked; /* rows that have a rank */
	int batch_limit;
	uint32 *batch_rows;
	Datum *batch_keys;
	Tuplestorestate *store;
	TupleDesc desc;
	uint64 members; /* put into the result */
} GroupsCall;

/* Parse the argument `method`. */
static GroupMethod
ParseMethod(text *method)
{
	const char *word = text_to_cstring(method);

	if (strcmp(word, "star") == 0)
		return GroupMethod::star;
	if (strcmp(word, "complete") == 0)
		return GroupMethod::complete;
	if (strcmp(word, "connected") == 0)
		return GroupMethod::connected;
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("unrecognized grouping method \"%s\"", word),
					errhint("It is 'star', 'complete' or 'connected'.")));
}

/* Begin a sort of keys, each with its row and its hash's value. */
static Tuplesortstate *
BeginKeySort(const GroupsCall *call, TupleDesc desc)
{
	AttrNumber column = SORT_KEY;
	bool nulls_first = false;

	return tuplesort_begin_heap(desc, 1, &column, &call->key_type->lt_opr,
								&call->key_type->typcollation, &nulls_first, work_mem, NULL,
								TUPLESORT_NONE);
}

/* Columns of the sort. */
static TupleDesc
MakeSortDesc(Oid key_type)
{
	TupleDesc desc = CreateTemplateTupleDesc(SORT_COLUMNS);

	TupleDescInitEntry(desc, SORT_KEY, "key", key_type, -1, 0);
	TupleDescInitEntry(desc, SORT_ROW, "row", INT8OID, -1, 0);
	TupleDescInitEntry(desc, SORT_VALUE, "value", INT8OID, -1, 0);
	return desc;
}

/* Put a batch of rows with their keys into the sort. */
static void
SortBatch(GroupsCall *call, Tuplesortstate *sort, TupleTableSlot *slot, const GroupedRow *rows,
		  int count)
{
	for (int i = 0; i < count; i++)
		call->batch_rows[i] = rows[i].row;
	GetKeys(call->join->keys[0], call->batch_rows, count, call->batch_keys);
	for (int i = 0; i < count; i++)
	{
		ExecClearTuple(slot);
		slot->tts_values[SORT_KEY - 1] = call->batch_keys[i];
		slot->tts_values[SORT_ROW - 1] = Int64GetDatum(rows[i].row);
		slot->tts_values[SORT_VALUE - 1] = Int64GetDatum(rows[i].value);
		memset(slot->tts_isnull, 0, SORT_COLUMNS * sizeof(bool));
		ExecStoreVirtualTuple(slot);
		tuplesort_puttupleslot(sort, slot);
	}
}

/* Receive the rows that are similar to others into the sort; false if there are none. */
static bool
ReceiveGroupedRows(GroupsCall *call, Tuplesortstate *sort, TupleDesc desc)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
	uint64 next = 0;
	EngineReply reply;
	bool asked;

	while ((asked = ReceiveJoinReply(call->join, &reply)) && reply.operation == Operation::result)
	{
		const GroupedRow *rows = (const GroupedRow *) reply.payload;
		Size count = reply.length / sizeof(GroupedRow);

		if (reply.length % sizeof(GroupedRow) != 0)
			EngineRejectReply(call->join->request, "a part of a row");
		for (Size i = 0; i < count; i++)
			EngineCheckReply(call->join->request,
							 check_grouped_row(rows[i], CountJoinRows(call->join, 0), &next));
		call->ranked += count;
		for (Size done = 0; done < count; done += call->batch_limit)
			SortBatch(call, sort, slot, rows + done,
					  (int) Min(count - done, (Size) call->batch_limit));
	}
	/* One row alone is similar to none. */
	if (asked ? call->ranked < 2 : call->ranked > 0)
		EngineRejectReply(call->join->request, asked ? "ASK about no rows" : "DONE without ASK");
	ExecDropSingleTupleTableSlot(slot);
	return asked;
}

/* Raise the error for a key that has several hashes. */
[[noreturn]] static void
ReportAmbiguousKey(const GroupsCall *call, Datum key)
{
	Oid output;
	bool is_varlena;

	getTypeOutputInfo(call->join->key_type, &output, &is_varlena);
	ereport(ERROR, (errcode(ERRCODE_CARDINALITY_VIOLATION),
					errmsg("key %s is in more than one row, with different hashes",
						   OidOutputFunctionCall(output, key)),
					errhint("Make keys unique in the query, or the key and the hash together.")));
}

/* Compare two keys; what the comparison allocates is freed. */
static int
CompareKeys(const GroupsCall *call, MemoryContext context, Datum a, Datum b)
{
	MemoryContext caller = MemoryContextSwitchTo(context);
	int order = DatumGetInt32(
		FunctionCall2Coll(&call->key_type->cmp_proc_finfo, call->key_type->typcollation, a, b));

	MemoryContextSwitchTo(caller);
	MemoryContextReset(context);
	return order;
}

/* Read the sorted keys and give each row its key's rank. */
static void
RankRows(GroupsCall *call, Tuplesortstate *sort, TupleDesc desc)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	TypeCacheEntry *type = call->key_type;
	MemoryContext compare_context =
		AllocSetContextCreate(CurrentMemoryContext, "vamhash key", ALLOCSET_SMALL_SIZES);
	Datum last_key = 0;
	int64 last_value = 0;
	uint32 rank = 0;

	call->ranks = (uint32 *) MemoryContextAllocExtended(
		CurrentMemoryContext, CountJoinRows(call->join, 0) * sizeof(uint32),
		MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	while (tuplesort_gettupleslot(sort, true, false, slot, NULL))
	{
		bool is_null;
		Datum key = slot_getattr(slot, SORT_KEY, &is_null);
		int64 row = DatumGetInt64(slot_getattr(slot, SORT_ROW, &is_null));
		int64 value = DatumGetInt64(slot_getattr(slot, SORT_VALUE, &is_null));

		CHECK_FOR_INTERRUPTS();
		if (rank == 0 || CompareKeys(call, compare_context, last_key, key) != 0)
		{
			if (rank > 0 && !type->typbyval)
				pfree(DatumGetPointer(last_key));
			last_key = datumCopy(key, type->typbyval, type->typlen);
			last_value = value;
			rank++;
		}
		else if (value != last_value)
			ReportAmbiguousKey(call, key);
		call->ranks[row] = rank;
	}
	MemoryContextDelete(compare_context);
	ExecDropSingleTupleTableSlot(slot);
}

/* Answer ASK: the ranks of the rows that have one, in the order of the rows. */
static void
SendRanks(const GroupsCall *call)
{
	uint64 rows = CountJoinRows(call->join, 0);
	Size limit = max_payload / sizeof(uint32);
	uint32 *ranks = (uint32 *) palloc(limit * sizeof(uint32));
	Size count = 0;

	for (uint64 row = 0; row < rows; row++)
	{
		if (call->ranks[row] == 0)
			continue;
		if (count == limit)
		{
			EngineSendData(call->join->request, ranks, count * sizeof(uint32), false);
			count = 0;
		}
		ranks[count++] = call->ranks[row];
	}
	EngineSendData(call->join->request, ranks, count * sizeof(uint32), true);
	pfree(ranks);
}

/* Receive the rows that are similar to others and tell the engine their ranks; false if none. */
static bool
RankGroupedRows(GroupsCall *call)
{
	TupleDesc desc = MakeSortDesc(call->join->key_type);
	Tuplesortstate *sort = BeginKeySort(call, desc);
	bool asked = ReceiveGroupedRows(call, sort, desc);

	if (asked)
	{
		SetJobPhase(call->join->job, "sorting keys", call->ranked);
		call->join->phase = 0;
		tuplesort_performsort(sort);
		RankRows(call, sort, desc);
		SendRanks(call);
	}
	tuplesort_end(sort);
	FreeTupleDesc(desc);
	return asked;
}

/* Look up the keys of a batch of members and put them into the result. */
static void
PutMembers(GroupsCall *call, const GroupMember *members, int count)
{
	for (int i = 0; i < count; i++)
		call->batch_rows[i] = members[i].row;
	GetKeys(call->join->keys[0], call->batch_rows, count, call->batch_keys);
	for (int i = 0; i < count; i++)
	{
		Datum values[6] = {
			Int64GetDatum(members[i].group),		call->batch_keys[i],
			BoolGetDatum(members[i].is_center),		Int32GetDatum(members[i].distance),
			Int64GetDatum((int64) members[i].size), Int32GetDatum(members[i].diameter),
		};
		bool nulls[6] = {};

		tuplestore_putvalues(call->store, call->desc, values, nulls);
	}
	call->members += count;
}

/* Receive the groups, check them and put them into the result. */
static void
ReceiveGroups(GroupsCall *call)
{
	GroupsCheck check = {};
	EngineReply reply;

	check.request = &call->params;
	check.rows = CountJoinRows(call->join, 0);
	check.ranks = call->ranks;
	check.ranked = call->ranked;
	while (ReceiveJoinReply(call->join, &reply))
	{
		const GroupMember *members = (const GroupMember *) reply.payload;
		Size count = reply.length / sizeof(GroupMember);

		if (reply.operation != Operation::result)
			EngineRejectReply(call->join->request, "unexpected operation");
		if (reply.length % sizeof(GroupMember) != 0)
			EngineRejectReply(call->join->request, "a part of a member");
		for (Size i = 0; i < count; i++)
			EngineCheckReply(call->join->request, check_member(check, members[i]));
		for (Size done = 0; done < count; done += call->batch_limit)
			PutMembers(call, members + done, (int) Min(count - done, (Size) call->batch_limit));
	}
	EngineCheckReply(call->join->request, check_group_end(check));
}

/* Make room for batches of rows whose keys are looked up together. */
static void
PrepareBatches(GroupsCall *call)
{
	call->batch_limit = PrepareKeys(call->join->keys[0], sizeof(uint32) + sizeof(Datum));
	call->batch_rows = (uint32 *) palloc(call->batch_limit * sizeof(uint32));
	call->batch_keys = (Datum *) palloc(call->batch_limit * sizeof(Datum));
}

/* Prepare a result that is put into a tuplestore; returns the type of its column `key`. */
static Oid
PrepareOutput(FunctionCallInfo fcinfo, GroupsCall *call)
{
	ReturnSetInfo *info = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	call->store = info->setResult;
	call->desc = info->setDesc;
	return TupleDescAttr(call->desc, 1)->atttypid;
}

/* similar_groups(query text, max_distance int, method text [, key_type anyelement]) */
VAMHASH_FUNCTION(vamhash_similar_groups)
{
	GroupsCall call = {};
	JoinCall join = {};
	Oid key_type = PrepareOutput(fcinfo, &call);

	/* As of a strict function, but for key_type. */
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2))
		return (Datum) 0;
	call.join = &join;
	call.params.threshold = CheckThreshold(PG_GETARG_INT32(1));
	call.params.method = (uint32) ParseMethod(PG_GETARG_TEXT_PP(2));
	call.key_type = GetKeyOrder(key_type, "groups are in the order of their smallest keys");

	BeginJoin(&join, fcinfo, "similar_groups", key_type, 1);
	call.params.settings = join.settings;
	join.request =
		EngineBegin(ENGINE_COMPUTE, Operation::begin_groups, &call.params, sizeof(call.params));
	ReadJoinRows(&join, PG_GETARG_TEXT_PP(0));
	PrepareBatches(&call);
	if (RankGroupedRows(&call))
		ReceiveGroups(&call);
	EndJoin(&join, join.report.pairs);
	return (Datum) 0;
}
