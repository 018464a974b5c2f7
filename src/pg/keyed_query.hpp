/*
 * keyed_query.hpp
 *		Running a user's query whose first column is a key and the others values.
 */
#pragma once

/* Takes one row: its key, already of the key type, and its values. All are gone after the call. */
typedef void (*KeyedRowTaker)(void *state, Datum key, const Datum *values, const bool *nulls);

extern void RunKeyedQuery(const char *query, Oid key_type, int value_count, Oid value_type,
						  KeyedRowTaker take, void *state);
