/*
 * pg_compat.hpp
 *		Differences between PostgreSQL 14 and 18, each with the release that made it.
 *
 * Included by postgres.hpp only.
 */
#pragma once

#if PG_VERSION_NUM < 140000
#error "vamhash needs PostgreSQL 14 or later"
#endif

/* 16 gave PGDLLEXPORT a meaning outside Windows, when modules came to hide their symbols. */
#if PG_VERSION_NUM < 160000 && !defined(WIN32)
#undef PGDLLEXPORT
#define PGDLLEXPORT __attribute__((visibility("default")))
#endif

/* 16 moved VARDATA and its like out of postgres.h. */
#if PG_VERSION_NUM >= 160000
extern "C"
{
#include "varatt.h"
}
#endif

/*
 * 16 brought soft errors: an input function reports into fcinfo->context where its caller asked for
 * that (pg_input_is_valid, COPY ... ON_ERROR), and throws otherwise.  Before, it always throws.
 */
#if PG_VERSION_NUM >= 160000
extern "C"
{
#include "nodes/miscnodes.h"
}
#else
#define ereturn(context, dummy_value, ...)                                                         \
	do                                                                                             \
	{                                                                                              \
		(void) (context);                                                                          \
		ereport(ERROR, __VA_ARGS__);                                                               \
		return dummy_value;                                                                        \
	} while (0)
#endif

/* 18 lets a module state its name and version, shown by pg_get_loaded_modules(). */
#if PG_VERSION_NUM >= 180000
#define VAMHASH_MODULE_MAGIC PG_MODULE_MAGIC_EXT(.name = "vamhash", .version = VAMHASH_VERSION)
#else
#define VAMHASH_MODULE_MAGIC PG_MODULE_MAGIC
#endif

/* 15 made GUC prefixes reservable; before, unknown names could only be warned of. */
#if PG_VERSION_NUM < 150000
#define MarkGUCPrefixReserved(prefix) EmitWarningsOnPlaceholders(prefix)
#endif

/* 16 brought BufFileReadExact(), which raises an error for a short read. */
#if PG_VERSION_NUM < 160000
#define BufFileReadExact(file, target, size)                                                       \
	do                                                                                             \
	{                                                                                              \
		if (BufFileRead((file), (target), (size)) != (size))                                       \
			elog(ERROR, "could not read from a temporary file");                                   \
	} while (0)
#endif

/* 17 lets a resource owner, not a memory context, have a WaitEventSet. */
#if PG_VERSION_NUM >= 170000
#define CreateSessionWaitEventSet(events) CreateWaitEventSet(CurrentResourceOwner, (events))
#else
#define CreateSessionWaitEventSet(events) CreateWaitEventSet(CurrentMemoryContext, (events))
#endif

/* 15 made tuplesort's flag for random access a set of options. */
#if PG_VERSION_NUM < 150000
#define TUPLESORT_NONE false
#endif

/* 15 brought InitMaterializedSRF(), under the name SetSingleFuncCall() in its first betas. */
#if PG_VERSION_NUM < 150000
extern "C"
{
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/tuplestore.h"
}

/* Prepare a set-returning call that fills a tuplestore, as 15's function does with no flags. */
static inline void
InitMaterializedSRF(FunctionCallInfo fcinfo, bits32)
{
	ReturnSetInfo *info = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext context;
	TupleDesc desc;

	if (info == NULL || !IsA(info, ReturnSetInfo) || (info->allowedModes & SFRM_Materialize) == 0)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("set-valued function called in context that cannot accept a set")));
	context = MemoryContextSwitchTo(info->econtext->ecxt_per_query_memory);
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	info->returnMode = SFRM_Materialize;
	info->setResult =
		tuplestore_begin_heap((info->allowedModes & SFRM_Materialize_Random) != 0, false, work_mem);
	info->setDesc = desc;
	MemoryContextSwitchTo(context);
}
#endif
