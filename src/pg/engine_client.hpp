/*
 * engine_client.hpp
 *		Requests to a vamhash-engine process: the backend's end of the socketpair.
 *
 *		EngineRequest *request = EngineBegin(ENGINE_DECODE, Operation::begin_hash, &params, size);
 *		EngineSendData(request, bytes, length, last);	(any number of times, once with last)
 *		for (reply = EngineReceive(request); reply.operation != Operation::done; ...)
 *			...
 *		EngineFinish(request);
 *
 *		A request that is left by an error, at any point, needs no clean-up by its
 *		caller: the end of the (sub)transaction kills its engine.
 */
#pragma once

#include "protocol/frame.h"

typedef enum EngineRole
{
	ENGINE_DECODE,
	ENGINE_COMPUTE,
} EngineRole;

typedef struct Engine EngineRequest;

/* One frame of the answer; its payload is good until the next one is received. */
typedef struct EngineReply
{
	vamhash::protocol::Operation operation; /* result, progress, ask or done */
	const char *payload;
	Size length;
} EngineReply;

extern EngineRequest *EngineBegin(EngineRole role, vamhash::protocol::Operation operation,
								  const void *params, Size length);
extern void EngineSendData(EngineRequest *request, const void *bytes, Size length, bool last);
extern EngineReply EngineReceive(EngineRequest *request);
extern void EngineFinish(EngineRequest *request);
[[noreturn]] extern void EngineRejectReply(EngineRequest *request, const char *what);

/* What the session's last engine of a role has put around itself; NULL before there was one. */
extern const char *EngineSandbox(EngineRole role);
