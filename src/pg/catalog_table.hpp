/*
 * catalog_table.hpp
 *		The table that hash_catalog() fills: its arguments checked, and the statements
 *		that find, lock and update rows.
 */
#pragma once

#include "pg/bulk_result.hpp"

extern "C"
{
#include "lib/stringinfo.h"
#include "utils/jsonb.h"
}

/* A column to be filled, and what goes into it. */
typedef struct TargetColumn
{
	const char *name;
	BulkColumn content;
} TargetColumn;

typedef struct CatalogTable
{
	Oid table;
	const char *key_column;
	Oid key_type;
	Oid key_array_type;
	Oid key_collation;
	const char *key_greater; /* "OPERATOR(schema.>)" of its btree order */
	const char *key_equal;
	const char *source_column;
	bool files; /* the sources are paths, not images */
	TargetColumn *targets;
	int target_count;
	int report_count;	   /* of them, those for status and message, which come first */
	const char *condition; /* or NULL */
	bool recompute;
	const char *hash_type; /* phash64, qualified */
} CatalogTable;

/*
 * Check a table and the columns named; raises an error that says what is wrong with them. Nothing
 * else is looked at until CheckCatalogStatements().
 */
extern CatalogTable *DescribeCatalog(Oid table, const char *key_column, const char *source_column,
									 const Jsonb *columns);

/* Type of what a column of BulkColumn is updated from: bigint for hashes. */
extern Oid CatalogContentType(BulkColumn content);

/* The rows to be hashed, and those of them whose key is null. */
extern char *CatalogCountStatement(const CatalogTable *catalog);

/*
 * The keys of the next `limit` rows to be hashed, in their order; with `has_last`, of those whose key is
 * greater than $1.
 */
extern char *CatalogKeysStatement(const CatalogTable *catalog, int limit, bool has_last);

/* Locks the rows to be hashed whose keys are in $1 and that nobody else has locked: tableoid, ctid, source. */
extern char *CatalogLockStatement(const CatalogTable *catalog);

/*
 * Updates the first `targets` columns of the rows whose tableoids are in the array $1 and whose ctids
 * in $2, from one array each, $3 and so on.
 */
extern char *CatalogUpdateStatement(const CatalogTable *catalog, int targets);
