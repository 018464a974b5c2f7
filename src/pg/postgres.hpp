/*
 * postgres.hpp
 *		The one door to PostgreSQL's headers.
 *
 * Every file of src/pg includes this first, and nothing outside src/pg may: the headers of the
 * other rooms refuse to compile beside postgres.h.  The code here is C++ only in its syntax.  A
 * backend function may longjmp over any frame at any time, so frames hold plain data alone: no
 * destructors, no exceptions (-fno-exceptions), no containers, nothing that needs libstdc++.
 */
#pragma once

extern "C"
{
#include "postgres.h"

#include "fmgr.h"
}

#include "pg/pg_compat.hpp"

/*
 * Begins the definition of a function that SQL can call; its arguments are PG_GETARG_...() as ever.
 * Everything not defined this way is hidden from the dynamic linker (-fvisibility=hidden).
 */
#define VAMHASH_FUNCTION(name)                                                                     \
	extern "C"                                                                                     \
	{                                                                                              \
		extern PGDLLEXPORT Datum name(PG_FUNCTION_ARGS);                                           \
		extern PGDLLEXPORT const Pg_finfo_record *pg_finfo_##name(void);                           \
		PG_FUNCTION_INFO_V1(name);                                                                 \
	}                                                                                              \
	extern "C" Datum name(PG_FUNCTION_ARGS)
