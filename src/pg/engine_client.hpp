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
	ENGINE_OPEN,
} EngineRole;

#define ENGINE_ROLES (ENGINE_OPEN + 1)

typedef struct Engine EngineRequest;

/* One frame of the answer; its payload is good until the next one is received. */
typedef struct EngineReply
{
	vamhash::protocol::Operation operation; /* result, progress, ask, ask_device, done */
	const char *payload;
	Size length;
} EngineReply;

extern EngineRequest *EngineBegin(EngineRole role, vamhash::protocol::Operation operation,
								  const void *params, Size length);
extern void EngineSendData(EngineRequest *request, const void *bytes, Size length, bool last);
extern EngineReply EngineReceive(EngineRequest *request);
extern void EngineFinish(EngineRequest *request);
[[noreturn]] extern void EngineRejectReply(EngineRequest *request, const char *what);

/* Reject a reply if a check of protocol/reply_check.h has found something wrong with it. */
static inline void
EngineCheckReply(EngineRequest *request, const char *violation)
{
	if (violation != NULL)
		EngineRejectReply(request, violation);
}

/*
 * Answer ASK_DEVICE: grant the engine a device, and pass it the slot (device_slots.hpp) for it, or with
 * -1 do not. The caller's descriptor remains the caller's.
 */
extern void EngineAnswerDevice(EngineRequest *request, int slot);

/* Let an engine that has asked wait for its answer for so many milliseconds. */
extern void EngineLetWait(EngineRequest *request, long timeout);

/* Check and note what DONE says: whether a device has worked, and whether the engine still holds one. */
extern void EngineNoteDevice(EngineRequest *request, bool has_worked, bool is_held);

/* Is the request made inside another one of this session, whose engine may hold a device? */
extern bool EngineIsInsideHolder(const EngineRequest *request);

/* Has this session an idle engine that holds a device? */
extern bool EngineHasIdleHolder(void);

/* End this session's idle engines that may hold a device; was there any? */
extern bool EngineEndIdleHolders(void);

/*
 * For requests in which both ends speak at once: no call but EngineWait() waits, and an engine that
 * ends is no error yet.
 */
struct iovec;

typedef enum EngineNews
{
	ENGINE_REPLIED, /* there is a reply: RESULT, BATCH, ASK_DEVICE or DONE; its payload is good until the next call */
	ENGINE_SILENT,
	ENGINE_GONE, /* it has ended, and there is nothing more of it: EngineBury() */
} EngineNews;

/* The id that every frame of the request carries. */
extern uint32 EngineRequestId(const EngineRequest *request);

/* Send what there is room for, with an open file (-1: none) by its first byte; returns the bytes. */
extern Size EngineTrySend(EngineRequest *request, struct iovec *pieces, int count, int file);

extern EngineNews EngineTryReceive(EngineRequest *request, EngineReply *reply);

/*
 * Take the next of the open files that came with the reply, of an ENGINE_OPEN: the caller's to close;
 * -1: there is no other. Those that are not taken are closed with the engine.
 */
extern int EngineTakeFile(EngineRequest *request);

/* What is waited for: that something has come or, with `to_send`, that there is room to send. */
typedef struct EngineWish
{
	EngineRequest *request;
	bool to_send;
} EngineWish;

#define MAX_WISHES 3

/*
 * Wait until one of so many wishes comes true, at most so many milliseconds (-1: for ever); returns the
 * microseconds that it took.
 */
extern uint64 EngineWait(const EngineWish *wishes, int count, long timeout);

/*
 * Send END after the last answer and hear DONE, within so many milliseconds (-1: for ever). Then *done
 * is it, and the caller is to check what it says and call EngineFinish(). If false, the engine has
 * ended, or was made to: it had answered everything, so nothing is lost.
 */
extern bool EngineEnd(EngineRequest *request, long timeout, EngineReply *done);

/* End a request whose engine has gone; returns how that ended, in words. */
extern char *EngineBury(EngineRequest *request);

/* End a request in its middle: its engine is killed. */
extern void EngineAbandon(EngineRequest *request);

/* What the session's last engine of a role has put around itself; NULL before there was one. */
extern const char *EngineSandbox(EngineRole role);
