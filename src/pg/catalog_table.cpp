/*
 * catalog_table.cpp
 *		The table that hash_catalog() fills: its arguments checked, and the statements
 *		that find, lock and update rows.
 *
 * Statements are made of names that are looked up by OID and quoted, and of operators that
 * are qualified: what the caller's search_path says is of no account. The condition alone is
 * the caller's own text, and runs, as all of it does, with the caller's rights.
 *
 * Rows are updated by where they lie (tableoid and ctid), which cannot change while we have
 * them locked. So a key need not be unique; it only gives the order in which rows are come by.
 */
#include "pg/postgres.hpp"
#include "pg/catalog_table.hpp"

extern "C"
{
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"
}

/* In the order of BulkColumn: what the argument `columns` calls them. */
static const char *const content_names[] = {
	"dhash", "ahash", "whash", "phash", "whash16", "width", "height", "format", "status", "message",
};
static_assert(lengthof(content_names) == BULK_COLUMN_COUNT, "a column without a name");

static inline bool
IsHash(BulkColumn content)
{
	return content <= BULK_WHASH16;
}

/* Is it for what became of an image, which a bad one has, too? */
static inline bool
IsReport(BulkColumn content)
{
	return content == BULK_STATUS || content == BULK_MESSAGE;
}

Oid
CatalogContentType(BulkColumn content)
{
	if (IsHash(content))
		return INT8OID;
	return content == BULK_WIDTH || content == BULK_HEIGHT ? INT4OID : TEXTOID;
}

/* The table's name as SQL has it; an error if it is gone. */
static char *
TableName(Oid table)
{
	char *name = get_rel_name(table);

	if (name == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("relation with OID %u does not exist", table)));
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(table)), name);
}

/* Raise an error unless it is a table: rows are updated by their ctid, which views do not have. */
static void
CheckIsTable(Oid table)
{
	char *name = TableName(table);
	char kind = get_rel_relkind(table);

	if (kind == RELKIND_RELATION || kind == RELKIND_PARTITIONED_TABLE)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_WRONG_OBJECT_TYPE), errmsg("%s is not a table", name),
			 kind == RELKIND_VIEW
				 ? errhint("Name the table under the view, and give what the view selects by as "
						   "\"condition\".")
				 : 0));
}

/* The number of a column of the table; an error if there is no such column. */
static AttrNumber
ColumnNumber(Oid table, const char *column)
{
	AttrNumber number = get_attnum(table, column);

	if (number <= 0)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
						errmsg("column \"%s\" of relation \"%s\" does not exist", column,
							   get_rel_name(table))));
	return number;
}

/* "OPERATOR(schema.name)" */
static char *
OperatorName(Oid number)
{
	HeapTuple tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(number));
	Form_pg_operator entry;
	char *name;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for operator %u", number);
	entry = (Form_pg_operator) GETSTRUCT(tuple);
	name = psprintf("OPERATOR(%s.%s)", quote_identifier(get_namespace_name(entry->oprnamespace)),
					NameStr(entry->oprname));
	ReleaseSysCache(tuple);
	return name;
}

/* Look at the key column: its type needs an order, and arrays of it are made. */
static void
DescribeKey(CatalogTable *catalog)
{
	int32 modifier;
	TypeCacheEntry *type;
	Oid operand;

	get_atttypetypmodcoll(catalog->table, ColumnNumber(catalog->table, catalog->key_column),
						  &catalog->key_type, &modifier, &catalog->key_collation);
	catalog->key_type = getBaseType(catalog->key_type);
	catalog->key_array_type = get_array_type(catalog->key_type);
	type = lookup_type_cache(catalog->key_type, TYPECACHE_BTREE_OPFAMILY);
	operand = type->btree_opintype;
	if (!OidIsValid(type->btree_opf) || !OidIsValid(catalog->key_array_type))
		ereport(
			ERROR,
			(errcode(ERRCODE_UNDEFINED_FUNCTION),
			 errmsg("keys of type %s cannot be gone through", format_type_be(catalog->key_type)),
			 errdetail("A key's type needs a default btree operator class, and must not be an "
					   "array.")));
	catalog->key_greater = OperatorName(
		get_opfamily_member(type->btree_opf, operand, operand, BTGreaterStrategyNumber));
	catalog->key_equal =
		OperatorName(get_opfamily_member(type->btree_opf, operand, operand, BTEqualStrategyNumber));
}

/* Look at the source column: images or paths. */
static void
CheckSource(CatalogTable *catalog)
{
	Oid type = get_atttype(catalog->table, ColumnNumber(catalog->table, catalog->source_column));
	char category;
	bool is_preferred;

	get_type_category_preferred(getBaseType(type), &category, &is_preferred);
	catalog->files = category == TYPCATEGORY_STRING;
	if (!catalog->files && getBaseType(type) != BYTEAOID)
		ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
						errmsg("source column \"%s\" is of type %s", catalog->source_column,
							   format_type_be(type)),
						errdetail("It must hold images (bytea) or paths of server files (text).")));
}

/* What a word of the argument `columns` stands for. */
static BulkColumn
ParseContent(const char *column, const char *word)
{
	for (int i = 0; i < BULK_COLUMN_COUNT; i++)
	{
		if (strcmp(word, content_names[i]) == 0)
			return (BulkColumn) i;
	}
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("unrecognized content \"%s\" for column \"%s\"", word, column),
					errhint("It is one of dhash, ahash, whash, phash, whash16, width, height, "
							"format, status, message.")));
}

/* Check a column that is to be filled, and append it; those for status and message go to the front. */
static void
AddTarget(CatalogTable *catalog, const char *column, const char *word)
{
	TargetColumn target = {column, ParseContent(column, word)};

	(void) ColumnNumber(catalog->table, column);
	if (strcmp(column, catalog->key_column) == 0 || strcmp(column, catalog->source_column) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("column \"%s\" cannot be filled", column),
				 strcmp(column, catalog->key_column) == 0 ? errdetail("It is the key column.")
														  : errdetail("It is the source column.")));
	catalog->targets[catalog->target_count] = target;
	if (IsReport(target.content))
	{
		catalog->targets[catalog->target_count] = catalog->targets[catalog->report_count];
		catalog->targets[catalog->report_count++] = target;
	}
	catalog->target_count++;
}

/* A string of a JSON document, as a C string. */
static char *
JsonString(const JsonbValue *value)
{
	return pnstrdup(value->val.string.val, value->val.string.len);
}

/* Read the argument `columns`: an object of column names and what goes into them. */
static void
ParseColumns(CatalogTable *catalog, const Jsonb *columns)
{
	JsonbIterator *iterator;
	JsonbValue key;
	JsonbValue value;

	if (!JB_ROOT_IS_OBJECT(columns) || JB_ROOT_COUNT(columns) == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("\"columns\" must be a JSON object that is not empty"),
						errhint("It says what goes into which column, for example "
								"'{\"dhash\": \"dhash\", \"note\": \"message\"}'.")));
	catalog->targets = (TargetColumn *) palloc(JB_ROOT_COUNT(columns) * sizeof(TargetColumn));
	iterator = JsonbIteratorInit(const_cast<JsonbContainer *>(&columns->root));
	(void) JsonbIteratorNext(&iterator, &key, false); /* the object's begin */
	while (JsonbIteratorNext(&iterator, &key, true) == WJB_KEY)
	{
		char *column = JsonString(&key);

		(void) JsonbIteratorNext(&iterator, &value, true);
		if (value.type != jbvString)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("the content for column \"%s\" is not a string", column)));
		AddTarget(catalog, column, JsonString(&value));
	}
}

CatalogTable *
DescribeCatalog(Oid table, const char *key_column, const char *source_column, const Jsonb *columns)
{
	CatalogTable *catalog = (CatalogTable *) palloc0(sizeof(CatalogTable));

	CheckIsTable(table);
	catalog->table = table;
	catalog->key_column = key_column;
	catalog->source_column = source_column;
	DescribeKey(catalog);
	CheckSource(catalog);
	ParseColumns(catalog, columns);
	return catalog;
}

/*
 * Is a column looked at to tell whether a row is to be hashed? The hashes, if there are any; else all
 * but the message, which good images have none of; else that.
 */
static bool
TellsWhatToDo(const CatalogTable *catalog, BulkColumn content)
{
	bool any_hash = false;
	bool any_but_message = false;

	for (int i = 0; i < catalog->target_count; i++)
	{
		any_hash |= IsHash(catalog->targets[i].content);
		any_but_message |= catalog->targets[i].content != BULK_MESSAGE;
	}
	if (any_hash)
		return IsHash(content);
	return any_but_message ? content != BULK_MESSAGE : true;
}

/* Append "FROM table WHERE ..." for the rows to be hashed. */
static void
AppendRowsToDo(StringInfo sql, const CatalogTable *catalog)
{
	const char *separator = "";

	appendStringInfo(sql, " FROM %s WHERE (", TableName(catalog->table));
	for (int i = 0; i < catalog->target_count && !catalog->recompute; i++)
	{
		if (!TellsWhatToDo(catalog, catalog->targets[i].content))
			continue;
		appendStringInfo(sql, "%s%s IS NULL", separator,
						 quote_identifier(catalog->targets[i].name));
		separator = " OR ";
	}
	appendStringInfoString(sql, catalog->recompute ? "true)" : ")");
	/* On lines of its own, lest a comment in it hide the parenthesis. */
	if (catalog->condition != NULL)
		appendStringInfo(sql, " AND (\n%s\n)", catalog->condition);
}

char *
CatalogCountStatement(const CatalogTable *catalog)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql,
					 "SELECT pg_catalog.count(*), pg_catalog.count(*) FILTER (WHERE %s IS NULL)",
					 quote_identifier(catalog->key_column));
	AppendRowsToDo(&sql, catalog);
	return sql.data;
}

char *
CatalogKeysStatement(const CatalogTable *catalog, int limit, bool has_last)
{
	const char *key = quote_identifier(catalog->key_column);
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT %s", key);
	AppendRowsToDo(&sql, catalog);
	if (has_last)
		appendStringInfo(&sql, " AND %s %s $1", key, catalog->key_greater);
	else
		appendStringInfo(&sql, " AND %s IS NOT NULL", key);
	appendStringInfo(&sql, " ORDER BY %s LIMIT %d", key, limit);
	return sql.data;
}

char *
CatalogLockStatement(const CatalogTable *catalog)
{
	const char *key = quote_identifier(catalog->key_column);
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT tableoid, ctid, %s%s", quote_identifier(catalog->source_column),
					 catalog->files ? "::pg_catalog.text" : "::pg_catalog.bytea");
	AppendRowsToDo(&sql, catalog);
	appendStringInfo(&sql, " AND %s %s ANY ($1) ORDER BY %s FOR NO KEY UPDATE SKIP LOCKED", key,
					 catalog->key_equal, key);
	return sql.data;
}

char *
CatalogUpdateStatement(const CatalogTable *catalog, int targets)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "UPDATE %s AS t SET ", TableName(catalog->table));
	for (int i = 0; i < targets; i++)
		appendStringInfo(&sql, "%s%s = u.c%d%s%s", i == 0 ? "" : ", ",
						 quote_identifier(catalog->targets[i].name), i + 3,
						 IsHash(catalog->targets[i].content) ? "::" : "",
						 IsHash(catalog->targets[i].content) ? catalog->hash_type : "");
	/* unnest() with several arguments is the parser's, and must not be qualified. */
	appendStringInfoString(&sql, " FROM unnest($1, $2");
	for (int i = 0; i < targets; i++)
		appendStringInfo(&sql, ", $%d", i + 3);
	appendStringInfoString(&sql, ") AS u (c1, c2");
	for (int i = 0; i < targets; i++)
		appendStringInfo(&sql, ", c%d", i + 3);
	appendStringInfoString(&sql, ") WHERE t.tableoid OPERATOR(pg_catalog.=) u.c1"
								 " AND t.ctid OPERATOR(pg_catalog.=) u.c2");
	return sql.data;
}
