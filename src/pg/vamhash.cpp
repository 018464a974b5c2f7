/*
 * vamhash.cpp
 *		The module itself: what PostgreSQL looks for when it loads vamhash.so.
 */
#include "pg/postgres.hpp"

extern "C"
{
#include "utils/builtins.h"
}

#include "pg/progress.hpp"
#include "pg/settings.hpp"

extern "C"
{
	extern PGDLLEXPORT const Pg_magic_struct *PG_MAGIC_FUNCTION_NAME(void);
	extern PGDLLEXPORT void _PG_init(void);

	VAMHASH_MODULE_MAGIC;
}

/* Runs once in every process that loads the module. */
void
_PG_init(void)
{
	DefineVamhashSettings();
	RequestProgressMemory();
}

/* Returns the version of the loaded library, which after an upgrade can be ahead of the SQL's. */
VAMHASH_FUNCTION(vamhash_version)
{
	(void) fcinfo;
	PG_RETURN_TEXT_P(cstring_to_text(VAMHASH_VERSION));
}
