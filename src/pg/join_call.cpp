/*
 * join_call.cpp
 *		What all joins share: rows of queries into a request and key stores, limits,
 *		progress, and what the engine reports at the end.
 *
 * The hashes of a query go to the engine as they are read; its keys stay here, in a
 * KeyStore. The engine answers with row numbers. While it works it sends PROGRESS,
 * which is shown in vamhash_progress, and at its end a report, which is shown in
 * vamhash_stat. Neither has any part in the result, but both are checked: an engine
 * that sends nonsense there is not to be believed elsewhere.
 */
#include "pg/postgres.hpp"
#include "pg/join_call.hpp"

extern "C"
{
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
}

#include "pg/device_use.hpp"
#include "pg/keyed_query.hpp"
#include "pg/settings.hpp"
#include "pg/statistics.hpp"
#include "protocol/reply_check.h"

using namespace vamhash::protocol;

/* Bytes of hashes collected before they are sent. */
#define SEND_BUFFER_SIZE (256 * 1024)

/* A set of rows being sent. */
typedef struct RowSender
{
	JoinCall *join;
	KeyStore *keys;
	uint64 rows_before; /* of the other set */
	uint64 *rows;		/* hashes not sent yet */
	int row_count;
	int row_limit;
} RowSender;

/* In the order of JoinPhase (join/report.h), which counts from 1. */
static const char *const phase_names[] = {
	"grouping rows",
	"planning",
	"comparing",
	"forming groups",
};
static_assert(lengthof(phase_names) == join_phases, "the phases that PROGRESS tells of");

uint8
CheckThreshold(int32 threshold)
{
	if (threshold < 0 || threshold > 64)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("max_distance must be between 0 and 64, not %d", threshold)));
	return (uint8) threshold;
}

/* The limits and means of a join, from the settings. */
static JoinSettings
GetJoinSettings(bool *devices_barred)
{
	JoinSettings settings = {};

	settings.memory_limit = (uint64) vamhash_memory_limit * 1024;
	settings.max_pairs = vamhash_max_pairs;
	settings.threads = vamhash_threads;
	settings.method = vamhash_join_method;
	settings.device = GetDeviceSettings(devices_barred);
	return settings;
}

TypeCacheEntry *
GetKeyOrder(Oid key_type, const char *what_for)
{
	TypeCacheEntry *type = lookup_type_cache(key_type, TYPECACHE_CMP_PROC_FINFO | TYPECACHE_LT_OPR);

	if (!OidIsValid(type->cmp_proc_finfo.fn_oid) || !OidIsValid(type->lt_opr))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("keys of type %s have no order", format_type_be(key_type)),
				 errdetail("A key's type needs a default btree operator class: %s.", what_for)));
	return type;
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

void
BeginJoin(JoinCall *join, FunctionCallInfo fcinfo, const char *kind, Oid key_type, int columns)
{
	INSTR_TIME_SET_CURRENT(join->begun);
	join->kind = kind;
	join->key_type = key_type;
	join->hash_type = GetHashType(fcinfo);
	join->columns = columns;
	join->settings = GetJoinSettings(&join->devices_barred);
	join->job = BeginJob(kind);
	SetJobPhase(join->job, "reading rows", -1);
	SetJobRows(join->job, 0);
}

/* Send the hashes collected so far; with `last`, there are no more. */
static void
SendRows(RowSender *sender, bool last)
{
	EngineSendData(sender->join->request, sender->rows,
				   (Size) sender->row_count * sender->join->columns * sizeof(uint64), last);
	sender->row_count = 0;
}

/* KeyedRowTaker: keep a row's key and collect its hashes; a row with a null hash is left out. */
static void
TakeHashRow(void *state, Datum key, const Datum *values, const bool *nulls)
{
	RowSender *sender = (RowSender *) state;
	int columns = sender->join->columns;
	uint64 *row = sender->rows + (Size) sender->row_count * columns;

	for (int i = 0; i < columns; i++)
	{
		if (nulls[i])
			return;
		row[i] = (uint64) DatumGetInt64(values[i]);
	}
	if (CountKeys(sender->keys) >= PG_UINT32_MAX)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("the query returns more than %u rows", PG_UINT32_MAX)));
	AppendKey(sender->keys, key);
	/* For every row, since a query may take seconds for each. */
	SetJobRows(sender->join->job, sender->rows_before + CountKeys(sender->keys));
	if (++sender->row_count == sender->row_limit)
		SendRows(sender, false);
}

void
ReadJoinRows(JoinCall *join, text *query)
{
	RowSender sender = {};
	int set = join->sets++;

	sender.join = join;
	sender.rows_before = set == 0 ? 0 : CountKeys(join->keys[0]);
	sender.keys = join->keys[set] = MakeKeyStore(join->key_type);
	sender.row_limit = SEND_BUFFER_SIZE / (sizeof(uint64) * join->columns);
	sender.rows = (uint64 *) palloc(SEND_BUFFER_SIZE);
	RunKeyedQuery(text_to_cstring(query), join->key_type, join->columns, join->hash_type,
				  TakeHashRow, &sender);
	SendRows(&sender, true);
	pfree(sender.rows);
	INSTR_TIME_SET_CURRENT(join->read);
}

uint64
CountJoinRows(const JoinCall *join, int set)
{
	return set < join->sets ? CountKeys(join->keys[set]) : 0;
}

/* Rows of all sets. */
static uint64
CountAllRows(const JoinCall *join)
{
	return CountJoinRows(join, 0) + CountJoinRows(join, 1);
}

/* A count of the engine's as one that SQL can show. */
static int64
ShownCount(uint64 count)
{
	return count > PG_INT64_MAX ? PG_INT64_MAX : (int64) count;
}

/* Show what the engine tells of its work. */
static void
ShowProgress(JoinCall *join, const EngineReply *reply)
{
	Progress progress;

	if (reply->length != sizeof(progress))
		EngineRejectReply(join->request, "PROGRESS has a wrong length");
	memcpy(&progress, reply->payload, sizeof(progress));
	EngineCheckReply(join->request, check_progress(progress));
	if (progress.phase != join->phase)
		SetJobPhase(join->job, phase_names[progress.phase - 1],
					progress.total > 0 ? ShownCount(progress.total) : -1);
	join->phase = progress.phase;
	SetJobDone(join->job, ShownCount(progress.done));
	SetJobJoin(join->job, CountAllRows(join), ShownCount(progress.candidates),
			   ShownCount(progress.pairs),
			   progress.estimated_pairs < 0 || progress.estimated_pairs > 9e18
				   ? -1
				   : (int64) progress.estimated_pairs);
	SetJobDevice(join->job, progress.device[0] == '\0' ? "cpu" : progress.device);
}

/* Take the engine's report of a join that is done. */
static void
TakeReport(JoinCall *join, const EngineReply *reply)
{
	JoinDone *report = &join->report;

	if (reply->length != sizeof(*report))
		EngineRejectReply(join->request, "DONE has a wrong length");
	memcpy(report, reply->payload, sizeof(*report));
	EngineCheckReply(join->request,
					 check_report(*report, CountJoinRows(join, 0), CountJoinRows(join, 1)));
	EngineNoteDevice(join->request, report->device[0] != '\0', report->holds_device != 0);
}

bool
ReceiveJoinReply(JoinCall *join, EngineReply *reply)
{
	if (!join->receiving)
		SetJobPhase(join->job, "joining", -1); /* until the engine says more */
	join->receiving = true;
	for (;;)
	{
		*reply = EngineReceive(join->request);
		if (reply->operation == Operation::progress)
			ShowProgress(join, reply);
		else if (reply->operation == Operation::ask_device)
		{
			AnswerDeviceQuestion(join->request, &join->settings.device, join->job, "joining");
			join->phase = 0;
		}
		else if (reply->operation == Operation::done)
		{
			TakeReport(join, reply);
			EngineFinish(join->request);
			return false;
		}
		else
			return true;
	}
}

/* Why a join was done by the CPU though a device was asked for; NULL if none was, or one did it. */
static const char *
FallbackReason(const JoinCall *join)
{
	if (join->report.fallback[0] != '\0')
		return join->report.fallback;
	if (join->devices_barred && CountAllRows(join) >= join->settings.device.min_rows)
		return DEVICES_BARRED_REASON;
	return NULL;
}

/* Tell vamhash_stat which device did the work. */
static void
TellDevice(const JoinCall *join)
{
	const JoinDone *report = &join->report;
	const char *fallback = FallbackReason(join);
	bool on_device = report->device[0] != '\0';

	SetLastText("last_device", on_device ? report->device : "cpu");
	if (on_device)
	{
		SetLastInt("last_device_tables", report->device_tables);
		SetLastInt("last_device_bytes", ShownCount(report->device_bytes));
		SetLastSeconds("last_device_seconds", report->device_seconds);
		AddToTotal(TOTAL_DEVICE_JOINS, 1);
	}
	if (fallback != NULL)
		SetLastText("last_fallback", fallback);
	AddToTotal(TOTAL_FALLBACKS, report->fallbacks);
}

/* Tell vamhash_stat of a join that is complete. */
static void
CountJoin(const JoinCall *join, uint64 pairs)
{
	const JoinDone *report = &join->report;
	instr_time read = join->read;
	instr_time done;

	INSTR_TIME_SET_CURRENT(done);
	INSTR_TIME_SUBTRACT(done, read);
	INSTR_TIME_SUBTRACT(read, join->begun);
	ResetLastWork(join->kind);
	SetLastInt("last_rows", CountAllRows(join));
	SetLastInt("last_pairs", pairs);
	SetLastSeconds("last_seconds_reading", INSTR_TIME_GET_DOUBLE(read));
	SetLastSeconds("last_seconds_joining", INSTR_TIME_GET_DOUBLE(done));
	SetLastInt("last_hashes", ShownCount(report->left_values + report->right_values));
	SetLastInt("last_candidates", ShownCount(report->candidates));
	SetLastInt("last_tables", ShownCount(report->tables));
	SetLastInt("last_passes", ShownCount(report->passes));
	SetLastInt("last_threads", report->threads);
	SetLastInt("last_memory_bytes", ShownCount(report->memory_bytes));
	SetLastText("last_instructions", report->isa);
	SetLastText("last_scheme", report->scheme);
	SetLastSeconds("last_seconds_grouping", report->grouping_seconds);
	SetLastSeconds("last_seconds_planning", report->planning_seconds);
	SetLastSeconds("last_seconds_comparing", report->comparing_seconds);
	SetLastSeconds("last_seconds_forming", report->forming_seconds);
	TellDevice(join);
	AddToTotal(TOTAL_JOINS, 1);
	AddToTotal(TOTAL_ROWS, CountAllRows(join));
	AddToTotal(TOTAL_PAIRS, pairs);
}

void
EndJoin(JoinCall *join, uint64 pairs)
{
	EndJob(join->job);
	CountJoin(join, pairs);
	for (int set = 0; set < join->sets; set++)
		FreeKeyStore(join->keys[set]);
}
