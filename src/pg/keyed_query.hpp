/*
 * keyed_query.hpp
 *		Running a user's query whose first column is a key and the others values.
 */
#pragma once

extern "C"
{
#include "access/tupdesc.h"
}

/* Takes one row: its key, already of the key type, and its values. All are gone after the call. */
typedef void (*KeyedRowTaker)(void *state, Datum key, const Datum *values, const bool *nulls);

/* Checks the columns of a query before it runs, or raises an error; the first one is the key's. */
typedef void (*KeyedColumnsChecker)(void *state, TupleDesc desc);

/*
 * Run a query that returns a key, coercible by assignment to `key_type`, and columns that pass
 * `check`; call `take` for each row. `select` tells in a hint what query is wanted.
 */
extern void RunCheckedQuery(const char *query, Oid key_type, KeyedColumnsChecker check,
							const char *select, KeyedRowTaker take, void *state);

/* Run a query whose values are `value_count` columns of `value_type`. */
extern void RunKeyedQuery(const char *query, Oid key_type, int value_count, Oid value_type,
						  KeyedRowTaker take, void *state);
