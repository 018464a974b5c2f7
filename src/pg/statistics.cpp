/*
 * statistics.cpp
 *		View vamhash_stat: this session's last work, its totals, its engines' sandboxes.
 *
 * The last work is a list of names and values, as whoever did it fills it; the totals
 * are counted where things happen. Both are of this process: what a parallel worker does
 * is not seen by its leader.
 */
#include "pg/postgres.hpp"
#include "pg/statistics.hpp"

extern "C"
{
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"
}

#include "pg/engine_client.hpp"

/* More than any work tells of itself. */
#define MAX_LAST_ENTRIES 64

#define MAX_VALUE_LENGTH 256

typedef struct LastEntry
{
	char name[NAMEDATALEN];
	char value[MAX_VALUE_LENGTH];
} LastEntry;

static LastEntry last_entries[MAX_LAST_ENTRIES];
static int last_entry_count = 0;

/* In the order of enum Total. */
static const char *const total_names[] = {
	"total_joins",		   "total_rows",		 "total_pairs",			  "total_device_joins",
	"total_fallbacks",	   "total_images",		 "total_device_images",	  "total_image_errors",
	"total_engine_starts", "total_engine_kills", "total_engine_failures",
};
static_assert(lengthof(total_names) == TOTAL_COUNT, "a total without a name");

static uint64 totals[TOTAL_COUNT];

void
AddToTotal(Total total, uint64 amount)
{
	totals[total] += amount;
}

void
ResetLastWork(const char *kind)
{
	last_entry_count = 0;
	SetLastText("last_kind", kind);
}

void
SetLastText(const char *name, const char *value)
{
	LastEntry *entry = last_entries;
	int length = pg_mbcliplen(value, strlen(value), MAX_VALUE_LENGTH - 1);

	while (entry < last_entries + last_entry_count && strcmp(entry->name, name) != 0)
		entry++;
	if (entry == last_entries + last_entry_count)
	{
		if (last_entry_count == MAX_LAST_ENTRIES)
			elog(ERROR, "too many entries of the last work");
		last_entry_count++;
		strlcpy(entry->name, name, sizeof(entry->name));
	}
	memcpy(entry->value, value, length);
	entry->value[length] = '\0';
}

void
SetLastInt(const char *name, int64 value)
{
	char text[32];

	snprintf(text, sizeof(text), INT64_FORMAT, value);
	SetLastText(name, text);
}

void
SetLastSeconds(const char *name, double seconds)
{
	char text[32];

	snprintf(text, sizeof(text), "%.6f", seconds);
	SetLastText(name, text);
}

/* Put one row into the result of vamhash_counters(). */
static void
PutCounter(ReturnSetInfo *info, const char *name, const char *value)
{
	Datum values[2] = {CStringGetTextDatum(name), CStringGetTextDatum(value)};
	bool nulls[2] = {};

	tuplestore_putvalues(info->setResult, info->setDesc, values, nulls);
}

/* Put what the session's last engine of a role has put around itself, if there was one. */
static void
PutSandbox(ReturnSetInfo *info, const char *name, EngineRole role)
{
	const char *sandbox = EngineSandbox(role);

	if (sandbox != NULL)
		PutCounter(info, name, sandbox);
}

/* vamhash_counters(): the last work's entries as they were filled, the totals, the sandboxes. */
VAMHASH_FUNCTION(vamhash_counters)
{
	ReturnSetInfo *info = (ReturnSetInfo *) fcinfo->resultinfo;
	char text[32];

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < last_entry_count; i++)
		PutCounter(info, last_entries[i].name, last_entries[i].value);
	for (int i = 0; i < TOTAL_COUNT; i++)
	{
		snprintf(text, sizeof(text), UINT64_FORMAT, totals[i]);
		PutCounter(info, total_names[i], text);
	}
	PutSandbox(info, "decode_sandbox", ENGINE_DECODE);
	PutSandbox(info, "compute_sandbox", ENGINE_COMPUTE);
	return (Datum) 0;
}
