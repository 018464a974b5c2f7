/*
 * join_call.hpp
 *		What all joins share: rows of queries into a request and key stores, limits,
 *		progress, and what the engine reports at the end.
 *
 *		JoinCall join = {};
 *		BeginJoin(&join, fcinfo, "similar_pairs", key_type, columns);
 *		params.settings = join.settings;
 *		join.request = EngineBegin(ENGINE_COMPUTE, ..., &params, sizeof(params));
 *		ReadJoinRows(&join, query);						(for each set of rows)
 *		while (ReceiveJoinReply(&join, &reply))			(RESULTs and ASKs)
 *			...
 *		EndJoin(&join, pairs);
 */
#pragma once

#include "pg/engine_client.hpp"
#include "pg/key_store.hpp"
#include "pg/progress.hpp"

extern "C"
{
#include "portability/instr_time.h"
#include "utils/typcache.h"
}

typedef struct JoinCall
{
	const char *kind; /* name of the SQL function */
	Oid key_type;
	Oid hash_type;
	int columns; /* hashes of a row */
	vamhash::protocol::JoinSettings settings;
	bool devices_barred; /* by vamhash.max_gpu_engines, where a device would be used */
	EngineRequest *request;
	KeyStore *keys[2]; /* of each set */
	int sets;		   /* read so far */
	Job *job;
	bool receiving;
	uint32 phase; /* of the engine's, last told of */
	vamhash::protocol::JoinDone report;
	instr_time begun;
	instr_time read;
} JoinCall;

/* Raise an error unless a threshold is a distance that 64-bit hashes can have. */
extern uint8 CheckThreshold(int32 threshold);

/* The btree order of a type of keys, or an error that says what for one is needed. */
extern TypeCacheEntry *GetKeyOrder(Oid key_type, const char *what_for);

/* Begin a call: its limits and means, from the settings, its job, and its clock. */
extern void BeginJoin(JoinCall *join, FunctionCallInfo fcinfo, const char *kind, Oid key_type,
					  int columns);

/* Run a query and send its hashes as the next set of the request; its keys stay in a store. */
extern void ReadJoinRows(JoinCall *join, text *query);

/* Number of rows of a set, 0 if there is none. */
extern uint64 CountJoinRows(const JoinCall *join, int set);

/*
 * Receive the next RESULT or ASK; false once the engine is done, and free again. An engine that asks
 * for a device is answered here.
 */
extern bool ReceiveJoinReply(JoinCall *join, EngineReply *reply);

/* End a call that is complete: count it for vamhash_stat and free what it holds. */
extern void EndJoin(JoinCall *join, uint64 pairs);
