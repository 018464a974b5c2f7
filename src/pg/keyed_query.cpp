/*
 * keyed_query.cpp
 *		Running a user's query whose first column is a key and the others values.
 *
 * The query runs with the caller's rights, read-only, in the caller's snapshot, and
 * its rows come by a DestReceiver of our own: that is faster than a cursor and lets
 * the planner use parallel workers. Its columns are checked before it runs.
 */
#include "pg/postgres.hpp"
#include "pg/keyed_query.hpp"

extern "C"
{
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "nodes/parsenodes.h"
#include "parser/parse_coerce.h"
#include "tcop/dest.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
}

/* How the query's key column is brought to the key type: as by assignment to a column. */
typedef struct KeyCoercion
{
	Oid key_type;
	CoercionPathType path;
	FmgrInfo function;	   /* of COERCION_PATH_FUNC; the input function of COERCEVIAIO */
	FmgrInfo output;	   /* of COERCION_PATH_COERCEVIAIO */
	Oid io_parameter;	   /* of the input function */
	bool is_domain;		   /* key_type has constraints of its own */
	void *domain_state;	   /* domain_check()'s */
	MemoryContext context; /* that these things live in */
} KeyCoercion;

typedef struct KeyedRowReceiver
{
	DestReceiver pub;
	KeyCoercion coercion;
	KeyedRowTaker take;
	void *state;
	MemoryContext row_context; /* reset after each row */
} KeyedRowReceiver;

/* Find how to bring a column of type `source` to the key type, or raise an error. */
static void
InitKeyCoercion(KeyCoercion *coercion, Oid source, Oid key_type)
{
	Oid function;

	coercion->key_type = key_type;
	coercion->context = CurrentMemoryContext;
	coercion->is_domain = get_typtype(key_type) == TYPTYPE_DOMAIN && source != key_type;
	coercion->path = source == key_type
						 ? COERCION_PATH_RELABELTYPE
						 : find_coercion_pathway(key_type, source, COERCION_ASSIGNMENT, &function);
	switch (coercion->path)
	{
	case COERCION_PATH_RELABELTYPE:
		break;
	case COERCION_PATH_FUNC:
		fmgr_info(function, &coercion->function);
		break;
	case COERCION_PATH_COERCEVIAIO:
	{
		Oid output;
		bool is_varlena;

		getTypeOutputInfo(source, &output, &is_varlena);
		fmgr_info(output, &coercion->output);
		getTypeInputInfo(getBaseType(key_type), &function, &coercion->io_parameter);
		fmgr_info(function, &coercion->function);
		break;
	}
	default:
		ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
						errmsg("the query's key column is of type %s, not %s",
							   format_type_be(source), format_type_be(key_type)),
						errhint("Cast the column in the query, or give the key's type as the last "
								"argument, for example NULL::%s.",
								format_type_be(source))));
	}
}

/* Bring one key to the key type. */
static Datum
CoerceKey(KeyCoercion *coercion, Datum key)
{
	switch (coercion->path)
	{
	case COERCION_PATH_FUNC:
		/* Length coercion functions also take a typmod and a flag: none, and not explicit. */
		key = coercion->function.fn_nargs == 1
				  ? FunctionCall1(&coercion->function, key)
				  : FunctionCall3(&coercion->function, key, Int32GetDatum(-1), BoolGetDatum(false));
		break;
	case COERCION_PATH_COERCEVIAIO:
		key = InputFunctionCall(&coercion->function, OutputFunctionCall(&coercion->output, key),
								coercion->io_parameter, -1);
		break;
	default:
		break;
	}
	if (coercion->is_domain)
		domain_check(key, false, coercion->key_type, &coercion->domain_state, coercion->context);
	return key;
}

/* DestReceiver: nothing to do, the columns were checked before. */
static void
StartKeyedRows(DestReceiver *, int, TupleDesc)
{
}

/* DestReceiver: pass one row on. */
static bool
ReceiveKeyedRow(TupleTableSlot *slot, DestReceiver *self)
{
	KeyedRowReceiver *receiver = (KeyedRowReceiver *) self;
	MemoryContext context = MemoryContextSwitchTo(receiver->row_context);

	slot_getallattrs(slot);
	if (slot->tts_isnull[0])
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("the query returned a row whose key is null")));
	receiver->take(receiver->state, CoerceKey(&receiver->coercion, slot->tts_values[0]),
				   slot->tts_values + 1, slot->tts_isnull + 1);
	MemoryContextSwitchTo(context);
	MemoryContextReset(receiver->row_context);
	return true;
}

/* DestReceiver: nothing to end, nothing to free. */
static void
EndKeyedRows(DestReceiver *)
{
}

/* Check that a prepared query is one that returns rows; returns their type. */
static TupleDesc
CheckReturnsRows(SPIPlanPtr plan, const char *select)
{
	List *sources = SPI_plan_get_plan_sources(plan);
	TupleDesc desc;

	if (list_length(sources) != 1)
		ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR),
						errmsg("expected one query, not %d", list_length(sources))));
	desc = ((CachedPlanSource *) linitial(sources))->resultDesc;
	if (desc == NULL || !SPI_is_cursor_plan(plan))
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("the query does not return rows"), errhint("Give %s.", select)));
	return desc;
}

/* A query's values that are so many columns of one type, and who takes them. */
typedef struct ValueColumns
{
	int count;
	Oid type;
	KeyedRowTaker take;
	void *state;
} ValueColumns;

/* KeyedColumnsChecker for ValueColumns. */
static void
CheckValueColumns(void *state, TupleDesc desc)
{
	const ValueColumns *values = (const ValueColumns *) state;

	if (desc->natts != values->count + 1)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("the query returns %d column(s), not %d", desc->natts, values->count + 1),
				 errdetail("It must return a key and %d column(s) of type %s.", values->count,
						   format_type_be(values->type))));
	for (int i = 1; i <= values->count; i++)
	{
		Oid type = TupleDescAttr(desc, i)->atttypid;

		if (getBaseType(type) != values->type)
			ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
							errmsg("column %d of the query is of type %s, not %s", i + 1,
								   format_type_be(type), format_type_be(values->type)),
							errhint("Cast it in the query: %s::%s.",
									quote_identifier(NameStr(TupleDescAttr(desc, i)->attname)),
									format_type_be(values->type))));
	}
}

/* KeyedRowTaker for ValueColumns. */
static void
TakeValueColumns(void *state, Datum key, const Datum *values, const bool *nulls)
{
	const ValueColumns *columns = (const ValueColumns *) state;

	columns->take(columns->state, key, values, nulls);
}

void
RunKeyedQuery(const char *query, Oid key_type, int value_count, Oid value_type, KeyedRowTaker take,
			  void *state)
{
	ValueColumns values = {value_count, value_type, take, state};

	RunCheckedQuery(query, key_type, CheckValueColumns,
					psprintf("a SELECT of a key and %d hash column(s)", value_count),
					TakeValueColumns, &values);
}

void
RunCheckedQuery(const char *query, Oid key_type, KeyedColumnsChecker check, const char *select,
				KeyedRowTaker take, void *state)
{
	KeyedRowReceiver receiver = {};
	SPIPrepareOptions prepare = {};
	SPIExecuteOptions execute = {};
	SPIPlanPtr plan;
	TupleDesc desc;
	int code;

	if ((code = SPI_connect()) < 0)
		elog(ERROR, "SPI_connect failed: %s", SPI_result_code_string(code));
	prepare.cursorOptions = CURSOR_OPT_PARALLEL_OK;
	plan = SPI_prepare_extended(query, &prepare);
	if (plan == NULL)
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("the query cannot be run: %s", SPI_result_code_string(SPI_result))));
	desc = CheckReturnsRows(plan, select);
	check(state, desc);

	receiver.pub.receiveSlot = ReceiveKeyedRow;
	receiver.pub.rStartup = StartKeyedRows;
	receiver.pub.rShutdown = EndKeyedRows;
	receiver.pub.rDestroy = EndKeyedRows;
	receiver.pub.mydest = DestTuplestore; /* any that SPI takes for rows wanted */
	InitKeyCoercion(&receiver.coercion, TupleDescAttr(desc, 0)->atttypid, key_type);
	receiver.take = take;
	receiver.state = state;
	receiver.row_context =
		AllocSetContextCreate(CurrentMemoryContext, "vamhash query row", ALLOCSET_DEFAULT_SIZES);

	execute.read_only = true;
	execute.dest = &receiver.pub;
	code = SPI_execute_plan_extended(plan, &execute);
	if (code != SPI_OK_SELECT)
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE), errmsg("the query is not a SELECT")));
	SPI_finish();
}
