/*
 * engine_client.cpp
 *		Requests to a vamhash-engine process: the backend's end of the socketpair.
 *
 * A session keeps one idle engine a role. A request takes it, or starts another
 * if it is taken already (the query given to similar_pairs may itself call
 * similar_pairs), and gives it back when its DONE or its ERROR has been read.
 *
 * While a request runs, its engine is busy. Whatever error ends the request -
 * cancel, timeout, a fault of the query that feeds it - the end of the
 * (sub)transaction that began it finds the engine busy and kills it: half a
 * request must never be taken for the next one. Killing costs the next call a
 * start of a few milliseconds.
 *
 * Every reply is treated as hostile: an engine reads untrusted images. Magic,
 * id, operation, lengths and UTF-8 are checked before anything is used
 * (protocol/reply_check.h), and a mismatch kills the engine and is an ERROR.
 */
#include "pg/postgres.hpp"
#include "pg/engine_client.hpp"

#include <errno.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

extern "C"
{
#include "access/parallel.h"
#include "access/xact.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "portability/instr_time.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"
}

#include "pg/engine_process.hpp"
#include "pg/settings.hpp"
#include "pg/statistics.hpp"
#include "protocol/reply_check.h"

using namespace vamhash::protocol;

/* Room for whole small replies, so that they cost one recv(). */
#define INPUT_BUFFER_SIZE 8192

/*
 * An engine this near to its idle timeout is not used again: it may be ending. At most half of the
 * timeout, so that the shortest does not mean a new engine for every call.
 */
#define IDLE_MARGIN_MS(idle_seconds) Min(1000, (idle_seconds) *500)

#define MAX_BEGIN_LENGTH 128

/* Starts of an engine that are tried while it is killed before its first word. */
#define MAX_STARTS 3

/* A message brings no more files; those of a frame that is not whole may be there still. */
#define MAX_RECEIVED_FILES (2 * (int) max_opened)

/* Whether an engine holds a device, as far as its backend knows. */
typedef enum DeviceHold
{
	HOLDS_NONE,
	MAY_HOLD, /* one was granted, and no DONE has told what became of it */
	HOLDS_ONE,
} DeviceHold;

struct Engine
{
	struct Engine *next;
	EngineRole role;
	pid_t pid;
	int socket;
	bool busy;
	bool deaf;				/* it takes nothing more; what it has said can still be received */
	SubTransactionId subid; /* that the running request belongs to */
	DeviceHold hold;
	bool asked_device; /* in this request */
	uint32 request_id;
	uint64 results;	  /* bytes of RESULT payload read, this request */
	uint64 waited_us; /* for it, since the request began or gave its last RESULT */
	int idle_seconds; /* its idle timeout, 0 for none */
	int memory_mb;	  /* its memory limit, 0 for none */
	TimestampTz idle_since;
	char *payload;				  /* last reply's, of max_payload bytes, made when first needed */
	Size begin_length;			  /* of `begin` still to be sent */
	char begin[MAX_BEGIN_LENGTH]; /* BEGIN frame, which goes with the first DATA or END */
	int file_count;				  /* received and not taken, of which the first is the next */
	int files[MAX_RECEIVED_FILES];
	Size input_begin;
	Size input_end;
	char input[INPUT_BUFFER_SIZE];
};

/* All engines of this session, in TopMemoryContext. */
static Engine *engines = NULL;

/* What the session's last engine of each role said of its sandbox (bits of Hello), if there was one. */
static uint32 sandboxes[ENGINE_ROLES];
static bool sandbox_known[ENGINE_ROLES];

static const char *
RoleName(EngineRole role)
{
	static const char *const names[ENGINE_ROLES] = {"decode", "compute", "open"};

	return names[role];
}

/* Unlink an engine and free what it holds, but its process. */
static void
ForgetEngine(Engine *engine)
{
	Engine **link = &engines;

	while (*link != engine)
		link = &(*link)->next;
	*link = engine->next;
	close(engine->socket);
	ReleaseExternalFD();
	for (int i = 0; i < engine->file_count; i++)
		close(engine->files[i]);
	if (engine->payload != NULL)
		pfree(engine->payload);
	pfree(engine);
}

/* Forget an engine that is about to be killed. */
static void
GiveUpEngine(Engine *engine)
{
	if (engine->busy)
		AddToTotal(TOTAL_ENGINE_KILLS, 1);
	ForgetEngine(engine);
}

/* Kill an engine at once, whatever it is doing. */
static void
KillEngine(Engine *engine)
{
	pid_t pid = engine->pid;

	GiveUpEngine(engine);
	KillEngineProcesses(&pid, 1);
}

/* Kill an engine that broke the protocol and report it. */
[[noreturn]] static void
ReportProtocolViolation(Engine *engine, const char *what)
{
	EngineRole role = engine->role;

	KillEngine(engine);
	ereport(ERROR, (errcode(ERRCODE_PROTOCOL_VIOLATION),
					errmsg("the vamhash engine (%s) sent an invalid reply", RoleName(role)),
					errdetail_internal("%s", what),
					errhint("The engine was stopped; the next call starts a new one.")));
}

/* Reap an engine that closed its socket; returns what waitpid() gave, or -1 if that is not known. */
static int
ReapEngine(Engine *engine)
{
	pid_t pid = engine->pid;
	int status;

	AddToTotal(TOTAL_ENGINE_FAILURES, 1);
	ForgetEngine(engine);
	status = AwaitEngineProcess(pid);
	/* What ends a backend is sent to its process group: then that is the reason, not this. */
	CHECK_FOR_INTERRUPTS();
	return status;
}

/* How an engine ended, in words. */
static char *
DescribeEngineEnd(int status)
{
	return status == -1 ? pstrdup(_("Its exit status is not known.")) : wait_result_to_str(status);
}

/* Report how an engine ended that has been reaped. */
[[noreturn]] static void
ReportReapedEngine(EngineRole role, int status)
{
	ereport(ERROR, (errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
					errmsg("the vamhash engine (%s) ended unexpectedly", RoleName(role)),
					errdetail_internal("%s", DescribeEngineEnd(status)),
					errhint("The next call starts a new one.")));
}

/* Reap an engine that closed its socket and report how it ended. */
[[noreturn]] static void
ReportEngineEnd(Engine *engine)
{
	EngineRole role = engine->role;

	ReportReapedEngine(role, ReapEngine(engine));
}

/* SQLSTATE of a fault that the engine reports. Those with a V are vamhash's own (docs). */
static int
FaultSqlState(uint16 fault)
{
	switch ((Fault) fault)
	{
	case Fault::image_truncated:
		return MAKE_SQLSTATE('2', '2', 'V', '0', '1');
	case Fault::image_corrupt:
		return MAKE_SQLSTATE('2', '2', 'V', '0', '2');
	case Fault::image_unsupported:
		return ERRCODE_FEATURE_NOT_SUPPORTED;
	case Fault::image_too_large:
		return ERRCODE_PROGRAM_LIMIT_EXCEEDED;
	case Fault::image_timeout:
		return MAKE_SQLSTATE('5', '4', 'V', '0', '1');
	case Fault::out_of_memory:
	case Fault::memory_limit:
		return ERRCODE_OUT_OF_MEMORY;
	case Fault::too_many_pairs:
		return ERRCODE_CONFIGURATION_LIMIT_EXCEEDED;
	case Fault::method_missing:
		return ERRCODE_FEATURE_NOT_SUPPORTED;
	case Fault::no_device:
		return ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;
	case Fault::device_failed:
		return ERRCODE_SYSTEM_ERROR;
	default:
		return ERRCODE_EXTERNAL_ROUTINE_EXCEPTION;
	}
}

/*
 * Kill an engine that has worked on one image for too long and report it. A SQLSTATE of our own in
 * the class of program_limit_exceeded: query_canceled would look like the client's doing.
 */
[[noreturn]] static void
ReportImageTimeout(Engine *engine)
{
	KillEngine(engine);
	ereport(ERROR, (errcode(FaultSqlState((uint16) Fault::image_timeout)),
					errmsg("hashing the image took too long"),
					errdetail("\"vamhash.image_timeout\" is %d ms.", vamhash_image_timeout)));
}

/*
 * How many milliseconds to wait for an engine; -1 for ever. Reports an image that has had its time.
 * Only waiting counts: a file that is slow to read is not the image's fault.
 */
static long
MayWaitMs(Engine *engine)
{
	uint64 limit_us = (uint64) vamhash_image_timeout * 1000;

	/* Request 0 is HELLO. */
	if (engine->role != ENGINE_DECODE || engine->request_id == 0 || limit_us == 0)
		return -1;
	if (engine->waited_us >= limit_us)
		ReportImageTimeout(engine);
	return (long) ((limit_us - engine->waited_us + 999) / 1000);
}

/* Wait, at most `timeout` ms (-1: for ever), for the engine's socket or a cancel; counts the time. */
static void
WaitForSocket(Engine *engine, int socket_events, long timeout)
{
	instr_time begun;
	instr_time ended;
	int events;

	INSTR_TIME_SET_CURRENT(begun);
	events = WaitLatchOrSocket(MyLatch,
							   WL_LATCH_SET | WL_EXIT_ON_PM_DEATH | socket_events |
								   (timeout >= 0 ? WL_TIMEOUT : 0),
							   engine->socket, timeout, PG_WAIT_EXTENSION);
	INSTR_TIME_SET_CURRENT(ended);
	INSTR_TIME_SUBTRACT(ended, begun);
	engine->waited_us += INSTR_TIME_GET_MICROSEC(ended);
	if (events & WL_LATCH_SET)
	{
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

/* Wait until the engine's socket can be read or written, obeying cancel and timeouts. */
static void
WaitForEngine(Engine *engine, int socket_event)
{
	WaitForSocket(engine, socket_event, MayWaitMs(engine));
}

/* Room for the control message that passes a descriptor. */
typedef union PassedFile
{
	struct cmsghdr header;
	char bytes[CMSG_SPACE(sizeof(int))];
} PassedFile;

/* Have a message pass an open file by its first byte; -1: none. `passed` must live as long as it. */
static void
PassFile(struct msghdr *message, PassedFile *passed, int file)
{
	if (file < 0)
		return;
	memset(passed, 0, sizeof(*passed));
	message->msg_control = passed;
	message->msg_controllen = sizeof(passed->bytes);
	passed->header.cmsg_level = SOL_SOCKET;
	passed->header.cmsg_type = SCM_RIGHTS;
	passed->header.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&passed->header), &file, sizeof(int));
}

/* Send all of a message made of several pieces, with an open file or -1; `pieces` is used up. */
static void
SendPieces(Engine *engine, struct iovec *pieces, int count, int file)
{
	while (count > 0)
	{
		struct msghdr message = {};
		PassedFile passed;
		ssize_t sent;

		message.msg_iov = pieces;
		message.msg_iovlen = count;
		PassFile(&message, &passed, file);
		sent = sendmsg(engine->socket, &message, MSG_NOSIGNAL);
		if (sent < 0)
		{
			if (errno == EINTR)
				continue;
			if (errno == ETOOMANYREFS)
				WaitForSocket(engine, 0, 1); /* too many files are under way in all: others end */
			else if (errno != EAGAIN && errno != EWOULDBLOCK)
				ReportEngineEnd(engine);
			else
				WaitForEngine(engine, WL_SOCKET_WRITEABLE);
			continue;
		}
		file = -1;
		while (count > 0 && (Size) sent >= pieces->iov_len)
		{
			sent -= pieces->iov_len;
			pieces++;
			count--;
		}
		if (count > 0)
		{
			pieces->iov_base = (char *) pieces->iov_base + sent;
			pieces->iov_len -= sent;
		}
	}
}

/* The header of a frame of the running request. */
static FrameHeader
MakeHeader(Engine *engine, Operation operation, Size length)
{
	FrameHeader header = {};

	header.magic = magic;
	header.length = (uint32) length;
	header.operation = (uint16) operation;
	header.id = engine->request_id;
	return header;
}

/* Receive what there is, at least a byte, waiting for it. */
static Size
ReceiveSome(Engine *engine, char *buffer, Size size)
{
	for (;;)
	{
		ssize_t got = recv(engine->socket, buffer, size, 0);

		if (got > 0)
			return got;
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		{
			WaitForEngine(engine, WL_SOCKET_READABLE);
			continue;
		}
		ReportEngineEnd(engine);
	}
}

/* Receive exactly `length` bytes, first those already buffered. */
static void
ReceiveExactly(Engine *engine, char *target, Size length)
{
	while (length > 0)
	{
		Size buffered = engine->input_end - engine->input_begin;

		if (buffered > 0)
		{
			Size taken = Min(buffered, length);

			memcpy(target, engine->input + engine->input_begin, taken);
			engine->input_begin += taken;
			target += taken;
			length -= taken;
		}
		else if (length >= INPUT_BUFFER_SIZE)
		{
			Size got = ReceiveSome(engine, target, length);

			target += got;
			length -= got;
		}
		else
		{
			engine->input_begin = 0;
			engine->input_end = 0;
			engine->input_end = ReceiveSome(engine, engine->input, INPUT_BUFFER_SIZE);
		}
	}
}

/* Receive the next frame's header. */
static FrameHeader
ReceiveHeader(Engine *engine)
{
	FrameHeader header;

	ReceiveExactly(engine, (char *) &header, sizeof(header));
	EngineCheckReply(engine, check_header(header, engine->request_id));
	return header;
}

/* Check that an engine whose turn to speak is over has not said more, as far as it was received. */
static void
CheckNothingFollows(Engine *engine, const char *violation)
{
	if (engine->input_begin != engine->input_end)
		ReportProtocolViolation(engine, violation);
}

const char *
EngineSandbox(EngineRole role)
{
	uint32 layers = sandboxes[role] & (sandbox_seccomp | sandbox_landlock);

	if (layers == (sandbox_seccomp | sandbox_landlock))
		return "seccomp, landlock";
	if (layers == sandbox_seccomp)
		return "seccomp";
	return layers == sandbox_landlock ? "landlock" : sandbox_known[role] ? "none" : NULL;
}

/*
 * Remember what an engine has put around itself, and tell the server log, once a session, what is
 * missing. Parallel workers, which come by the thousand, leave that to their leader.
 */
static void
NoteSandbox(EngineRole role, uint32 sandbox)
{
	/* An ENGINE_OPEN is to have none. */
	static const uint32 wanted_of[ENGINE_ROLES] = {sandbox_seccomp | sandbox_landlock,
												   sandbox_seccomp, 0};
	uint32 wanted = wanted_of[role];
	bool known = sandbox_known[role];

	sandboxes[role] = sandbox;
	sandbox_known[role] = true;
	if ((sandbox & wanted) == wanted || known || IsParallelWorker())
		return;
	ereport(LOG_SERVER_ONLY,
			(errmsg("the sandbox of the vamhash engine (%s) is not complete: it has %s",
					RoleName(role), EngineSandbox(role)),
			 sandbox & sandbox_without_libseccomp
				 ? errdetail("vamhash was built without libseccomp.")
				 : errdetail("The kernel, or the container, refuses the rest.")));
}

/* Read HELLO and check that the engine was built with this library. */
static void
ReceiveHello(Engine *engine)
{
	FrameHeader header = ReceiveHeader(engine);
	Hello hello;

	if (header.operation != (uint16) Operation::hello || header.length != sizeof(hello))
		ReportProtocolViolation(engine, "expected HELLO");
	ReceiveExactly(engine, (char *) &hello, sizeof(hello));
	CheckNothingFollows(engine, "bytes after HELLO");
	hello.build[sizeof(hello.build) - 1] = '\0';
	if (hello.protocol_version != version || strcmp(hello.build, VAMHASH_VERSION) != 0)
	{
		KillEngine(engine);
		ereport(ERROR, (errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
						errmsg("the installed vamhash engine is not of this version"),
						errdetail_internal("The library is version %s.", VAMHASH_VERSION),
						errhint("Run \"make install\" again, and reconnect.")));
	}
	NoteSandbox(engine->role, hello.sandbox);
}

/* Kill the engines whose request belongs to a (sub)transaction that ends; all if InvalidSub… */
static void
KillBusyEngines(SubTransactionId subid)
{
	Engine *engine = engines;
	pid_t pids[MAX_ENGINES];
	int count = 0;

	while (engine != NULL)
	{
		Engine *next = engine->next;

		if (engine->busy && (subid == InvalidSubTransactionId || engine->subid == subid))
		{
			pids[count++] = engine->pid;
			GiveUpEngine(engine);
		}
		engine = next;
	}
	KillEngineProcesses(pids, count);
}

/* At the end of a transaction no request is running. */
static void
EngineXactCallback(XactEvent event, void *)
{
	if (event == XACT_EVENT_ABORT || event == XACT_EVENT_COMMIT ||
		event == XACT_EVENT_PARALLEL_ABORT || event == XACT_EVENT_PARALLEL_COMMIT ||
		event == XACT_EVENT_PREPARE)
		KillBusyEngines(InvalidSubTransactionId);
}

/* A subtransaction that aborts takes its request with it; none outlives one that ends well. */
static void
EngineSubXactCallback(SubXactEvent event, SubTransactionId my_subid, SubTransactionId, void *)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		KillBusyEngines(my_subid);
}

/* Leave no engine behind: the postmaster must not inherit one. */
static void
KillAllEngines(int, Datum)
{
	while (engines != NULL)
		KillEngine(engines);
	AwaitKilledEngineProcesses();
}

/*
 * Register, once a backend, what ends engines: the end of a (sub)transaction and
 * of the backend. Not in _PG_init(): a callback registered in the postmaster is
 * not kept by its children.
 */
static void
RegisterEngineCallbacks(void)
{
	static bool registered = false;

	if (registered)
		return;
	RegisterXactCallback(EngineXactCallback, NULL);
	RegisterSubXactCallback(EngineSubXactCallback, NULL);
	on_proc_exit(KillAllEngines, 0);
	registered = true;
}

/* Raise an error if the session has as many engines as it may. */
static void
CheckEngineCount(void)
{
	int count = 0;

	for (Engine *engine = engines; engine != NULL; engine = engine->next)
		count++;
	if (count >= MAX_ENGINES)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("calls of vamhash functions are nested too deeply"),
						errdetail("A session has at most %d engine processes.", MAX_ENGINES)));
}

/* Megabytes that an engine of a role may take beyond its start; 0 for no limit. */
static int
MemoryLimitOf(EngineRole role)
{
	return role == ENGINE_DECODE ? ImageMemoryLimit() : 0;
}

/* Start an engine's process; it is busy from its first moment. */
static Engine *
SpawnEngine(EngineRole role)
{
	Engine *engine;

	RegisterEngineCallbacks();
	CheckEngineCount();
	engine = (Engine *) MemoryContextAllocZero(TopMemoryContext, sizeof(Engine));
	PG_TRY();
	{
		engine->pid = SpawnEngineProcess(RoleName(role), vamhash_engine_idle_timeout,
										 MemoryLimitOf(role), &engine->socket);
	}
	PG_CATCH();
	{
		pfree(engine);
		PG_RE_THROW();
	}
	PG_END_TRY();
	AddToTotal(TOTAL_ENGINE_STARTS, 1);
	engine->role = role;
	engine->idle_seconds = vamhash_engine_idle_timeout;
	engine->memory_mb = MemoryLimitOf(role);
	engine->busy = true;
	engine->subid = GetCurrentSubTransactionId();
	engine->next = engines;
	engines = engine;
	return engine;
}

/* Wait for the first word of an engine; false if it has ended without any. */
static bool
AwaitFirstWord(Engine *engine)
{
	for (;;)
	{
		char byte;
		ssize_t got = recv(engine->socket, &byte, 1, MSG_PEEK);

		if (got > 0)
			return true;
		if (got < 0 && errno == EINTR)
			continue;
		if (got == 0 || (errno != EAGAIN && errno != EWOULDBLOCK))
			return false;
		WaitForEngine(engine, WL_SOCKET_READABLE);
	}
}

/*
 * Start an engine and hear its HELLO. One that is killed before that, as by a machine that is short of
 * memory, had nothing to do with what is asked of it: another one is started.
 */
static Engine *
StartEngine(EngineRole role)
{
	for (int starts = 1;; starts++)
	{
		Engine *engine = SpawnEngine(role);
		int status;

		if (AwaitFirstWord(engine))
		{
			ReceiveHello(engine);
			return engine;
		}
		status = ReapEngine(engine);
		if (starts == MAX_STARTS || status == -1 || !WIFSIGNALED(status))
			ReportReapedEngine(role, status);
	}
}

/*
 * Is an idle engine alive, and sure to stay so until it is sent something? One that was started with
 * another memory limit than is set now is not used again.
 */
static bool
EngineIsUsable(Engine *engine)
{
	char byte;

	if (engine->memory_mb != MemoryLimitOf(engine->role))
		return false;
	if (engine->idle_seconds > 0 &&
		TimestampDifferenceExceeds(engine->idle_since, GetCurrentTimestamp(),
								   engine->idle_seconds * 1000 -
									   IDLE_MARGIN_MS(engine->idle_seconds)))
		return false;
	/* End of file, an error, or a byte that nobody asked for: not usable. */
	return recv(engine->socket, &byte, 1, MSG_PEEK) < 0 &&
		   (errno == EAGAIN || errno == EWOULDBLOCK);
}

/* Take the idle engine of a role, or start one. */
static Engine *
AcquireEngine(EngineRole role)
{
	Engine *engine = engines;

	while (engine != NULL)
	{
		Engine *next = engine->next;

		if (engine->role == role && !engine->busy)
		{
			if (EngineIsUsable(engine))
			{
				engine->busy = true;
				engine->subid = GetCurrentSubTransactionId();
				return engine;
			}
			KillEngine(engine);
		}
		engine = next;
	}
	return StartEngine(role);
}

/* Give an engine back after its request; one idle engine a role is kept. */
static void
ReleaseEngine(Engine *engine)
{
	engine->busy = false;
	engine->idle_since = GetCurrentTimestamp();
	for (Engine *other = engines; other != NULL; other = other->next)
	{
		if (other != engine && other->role == engine->role && !other->busy)
		{
			KillEngine(engine);
			return;
		}
	}
}

/* Is a fault one of the image, not of the engine? */
static bool
IsImageFault(uint16 fault)
{
	return fault == (uint16) Fault::image_truncated || fault == (uint16) Fault::image_corrupt ||
		   fault == (uint16) Fault::image_unsupported || fault == (uint16) Fault::image_too_large;
}

/* The setting that a fault is measured by, as a detail; NULL if there is none. */
static char *
FaultSetting(uint16 fault)
{
	switch ((Fault) fault)
	{
	case Fault::image_too_large:
		return psprintf("\"vamhash.max_image_pixels\" is %d.", vamhash_max_image_pixels);
	case Fault::too_many_pairs:
		return psprintf("\"vamhash.max_pairs\" is %d.", vamhash_max_pairs);
	default:
		return NULL;
	}
}

/* What the user can do about a fault; NULL if there is nothing to say. */
static const char *
FaultHint(uint16 fault)
{
	switch ((Fault) fault)
	{
	case Fault::too_many_pairs:
		return "Leave out pictures without content (WHERE NOT flat_hash(...)), give a smaller "
			   "distance, look for groups (similar_groups), or raise \"vamhash.max_pairs\".";
	case Fault::memory_limit:
		return "A superuser may raise \"vamhash.memory_limit\".";
	case Fault::method_missing:
		return "Install it beside the engine, or set \"vamhash.join_method\" to auto.";
	case Fault::no_device:
		return "vamhash_devices() shows what there is. "
			   "With \"vamhash.gpu\" set to auto, the CPU does the work.";
	case Fault::device_failed:
		return "The engine was stopped; the next call starts a new one. "
			   "With \"vamhash.gpu\" set to auto, the CPU takes over.";
	default:
		return NULL;
	}
}

/* Raise an engine's error; `said` is its own detail, or NULL. */
[[noreturn]] static void
ThrowFault(uint16 fault, const char *message, const char *said)
{
	const char *setting = FaultSetting(fault);
	const char *detail = setting == NULL ? said : setting;
	const char *hint = FaultHint(fault);

	if (setting != NULL && said != NULL)
		detail = psprintf("%s %s", setting, said);
	ereport(ERROR, (errcode(FaultSqlState(fault)), errmsg_internal("%s", message),
					detail != NULL ? errdetail_internal("%s", detail) : 0,
					hint != NULL ? errhint("%s", hint) : 0));
}

/* Read the message of an ERROR frame, free the engine for its next request or end it, and raise it. */
[[noreturn]] static void
RaiseEngineError(Engine *engine, const FrameHeader *header)
{
	char *message;
	char *detail;

	message = (char *) palloc0(header->length + 1);
	ReceiveExactly(engine, message, header->length);
	CheckNothingFollows(engine, "bytes after ERROR");
	if (!pg_verify_mbstr(PG_UTF8, message, header->length, true))
		ReportProtocolViolation(engine, "an error message is not UTF-8");
	message = pg_any_to_server(message, header->length, PG_UTF8);
	if (engine->hold == HOLDS_ONE)
		engine->hold = MAY_HOLD;
	/* What a device that has failed leaves of its context is not worked with again. */
	if (header->status == (uint16) Fault::device_failed)
		KillEngine(engine);
	else
		ReleaseEngine(engine);
	if (IsImageFault(header->status))
		AddToTotal(TOTAL_IMAGE_ERRORS, 1);
	detail = strchr(message, '\n');
	if (detail != NULL)
		*detail++ = '\0';
	ThrowFault(header->status, message, detail);
}

/* Start a request; it goes by EngineSendData(), the last time with END. */
EngineRequest *
EngineBegin(EngineRole role, Operation operation, const void *params, Size length)
{
	Engine *engine;
	FrameHeader header;

	CHECK_FOR_INTERRUPTS();
	engine = AcquireEngine(role);
	engine->request_id++;
	engine->results = 0;
	engine->waited_us = 0;
	engine->deaf = false;
	engine->asked_device = false;
	header = MakeHeader(engine, operation, length);
	engine->begin_length = sizeof(header) + length;
	Assert(engine->begin_length <= MAX_BEGIN_LENGTH);
	memcpy(engine->begin, &header, sizeof(header));
	if (length > 0)
		memcpy(engine->begin + sizeof(header), params, length);
	return engine;
}

/*
 * Send bytes of the request in DATA frames of at most max_payload bytes; with
 * `last`, also END: the engine may then answer. A small request is one message,
 * so that it wakes the engine once.
 */
void
EngineSendData(EngineRequest *request, const void *bytes, Size length, bool last)
{
	char *rest = (char *) const_cast<void *>(bytes);

	do
	{
		Size part = Min(length, (Size) max_payload);
		FrameHeader data = MakeHeader(request, Operation::data, part);
		FrameHeader end = MakeHeader(request, Operation::end, 0);
		struct iovec pieces[4];
		int count = 0;

		CHECK_FOR_INTERRUPTS();
		if (request->begin_length > 0)
			pieces[count++] = {request->begin, request->begin_length};
		request->begin_length = 0;
		if (part > 0)
		{
			pieces[count++] = {&data, sizeof(data)};
			pieces[count++] = {rest, part};
		}
		rest += part;
		length -= part;
		if (last && length == 0)
			pieces[count++] = {&end, sizeof(end)};
		SendPieces(request, pieces, count, -1);
	} while (length > 0);
}

/* Receive the payload of a frame into the request's buffer. */
static void
ReceivePayload(EngineRequest *request, Size length)
{
	if (request->payload == NULL)
		request->payload = (char *) MemoryContextAlloc(TopMemoryContext, max_payload);
	ReceiveExactly(request, request->payload, length);
}

/* Check what DONE says of the results, and that it is the end. */
static void
CheckDone(EngineRequest *request, const char *payload)
{
	Done done;

	memcpy(&done, payload, sizeof(done));
	EngineCheckReply(request, check_done(done, request->results));
	CheckNothingFollows(request, "bytes after DONE");
}

/* Check that an engine may ask for a device now. */
static void
NoteDeviceQuestion(EngineRequest *request)
{
	if (request->results > 0 || request->asked_device)
		ReportProtocolViolation(request, "ASK_DEVICE too late, or twice");
	if (request->hold == HOLDS_ONE)
		ReportProtocolViolation(request, "ASK_DEVICE of an engine that holds a device");
	CheckNothingFollows(request, "bytes after ASK_DEVICE");
	request->asked_device = true;
}

/*
 * Wait for the next frame of the answer: RESULT, PROGRESS, ASK and ASK_DEVICE
 * (which are the caller's turn to send) or DONE. What a payload says is the
 * caller's to check. An ERROR of the engine's is raised here.
 */
EngineReply
EngineReceive(EngineRequest *request)
{
	FrameHeader header;

	CHECK_FOR_INTERRUPTS();
	header = ReceiveHeader(request);
	EngineCheckReply(request, check_answer(header));
	switch ((Operation) header.operation)
	{
	case Operation::result:
		ReceivePayload(request, header.length);
		request->results += header.length;
		request->waited_us = 0;
		break;

	case Operation::progress:
		ReceivePayload(request, header.length);
		break;

	case Operation::ask:
		CheckNothingFollows(request, "bytes after ASK");
		break;

	case Operation::ask_device:
		NoteDeviceQuestion(request);
		break;

	case Operation::done:
		ReceivePayload(request, header.length);
		CheckDone(request, request->payload);
		break;

	case Operation::error:
		RaiseEngineError(request, &header);

	default:
		ReportProtocolViolation(request, "unexpected operation");
	}
	return {(Operation) header.operation, request->payload, header.length};
}

/* End a request whose DONE was found to be right: the engine is free for the next one. */
void
EngineFinish(EngineRequest *request)
{
	ReleaseEngine(request);
}

/* Report a reply whose content cannot be right; the engine is killed. */
void
EngineRejectReply(EngineRequest *request, const char *what)
{
	ReportProtocolViolation(request, what);
}

void
EngineAnswerDevice(EngineRequest *request, int slot)
{
	DeviceGrant grant = {};
	FrameHeader data = MakeHeader(request, Operation::data, sizeof(grant));
	FrameHeader end = MakeHeader(request, Operation::end, 0);
	struct iovec pieces[] = {{&data, sizeof(data)}, {&grant, sizeof(grant)}, {&end, sizeof(end)}};

	grant.granted = slot >= 0 ? 1 : 0;
	if (slot >= 0)
		request->hold = MAY_HOLD;
	SendPieces(request, pieces, lengthof(pieces), slot);
}

void
EngineLetWait(EngineRequest *request, long timeout)
{
	char byte;
	ssize_t got;

	WaitForSocket(request, WL_SOCKET_READABLE, timeout);
	got = recv(request->socket, &byte, 1, MSG_PEEK);
	if (got > 0)
		ReportProtocolViolation(request, "bytes after ASK_DEVICE");
	if (got == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR))
		ReportEngineEnd(request);
}

void
EngineNoteDevice(EngineRequest *request, bool has_worked, bool is_held)
{
	if (request->hold == HOLDS_NONE && (has_worked || is_held))
		ReportProtocolViolation(request, "a report of a device that was not granted");
	request->hold = is_held ? HOLDS_ONE : HOLDS_NONE;
}

bool
EngineHasIdleHolder(void)
{
	for (Engine *engine = engines; engine != NULL; engine = engine->next)
	{
		if (!engine->busy && engine->hold == HOLDS_ONE)
			return true;
	}
	return false;
}

bool
EngineEndIdleHolders(void)
{
	Engine *engine = engines;
	bool any = false;

	while (engine != NULL)
	{
		Engine *next = engine->next;

		if (!engine->busy && engine->hold != HOLDS_NONE)
		{
			KillEngine(engine);
			any = true;
		}
		engine = next;
	}
	return any;
}

bool
EngineIsInsideHolder(const EngineRequest *request)
{
	for (const Engine *engine = engines; engine != NULL; engine = engine->next)
	{
		if (engine != request && engine->busy && engine->hold != HOLDS_NONE)
			return true;
	}
	return false;
}

uint32
EngineRequestId(const EngineRequest *request)
{
	return request->request_id;
}

/* Send what is left of the BEGIN frame; false if some is left still. */
static bool
SendBegin(EngineRequest *request)
{
	ssize_t sent;

	if (request->begin_length == 0)
		return true;
	sent = send(request->socket, request->begin, request->begin_length, MSG_NOSIGNAL);
	if (sent < 0)
	{
		request->deaf = errno != EINTR && errno != EAGAIN && errno != EWOULDBLOCK;
		return false;
	}
	request->begin_length -= sent;
	memmove(request->begin, request->begin + sent, request->begin_length);
	return request->begin_length == 0;
}

Size
EngineTrySend(EngineRequest *request, struct iovec *pieces, int count, int file)
{
	struct msghdr message = {};
	PassedFile passed;
	ssize_t sent;

	if (request->deaf || !SendBegin(request))
		return 0;
	message.msg_iov = pieces;
	message.msg_iovlen = count;
	PassFile(&message, &passed, file);
	sent = sendmsg(request->socket, &message, MSG_NOSIGNAL);
	if (sent >= 0)
		return sent;
	if (errno == ETOOMANYREFS)
		pg_usleep(1000); /* the server's user has too many files under way in all: others end */
	else if (errno != EINTR && errno != EAGAIN && errno != EWOULDBLOCK)
		request->deaf = true;
	return 0;
}

/* Is there a whole frame in the input buffer? */
static bool
HasWholeFrame(EngineRequest *request, FrameHeader *header)
{
	Size buffered = request->input_end - request->input_begin;

	if (buffered < sizeof(*header))
		return false;
	memcpy(header, request->input + request->input_begin, sizeof(*header));
	EngineCheckReply(request, check_header(*header, request->request_id));
	if (sizeof(*header) + header->length > INPUT_BUFFER_SIZE)
		ReportProtocolViolation(request, "a frame is too long");
	return buffered >= sizeof(*header) + header->length;
}

/* Take the frame at the beginning of the input buffer, which is whole. */
static EngineReply
TakeFrame(EngineRequest *request, const FrameHeader *header)
{
	const char *payload = request->input + request->input_begin + sizeof(*header);

	request->input_begin += sizeof(*header);
	EngineCheckReply(request, check_answer(*header));
	switch ((Operation) header->operation)
	{
	case Operation::result:
		request->input_begin += header->length;
		request->results += header->length;
		break;

	case Operation::batch:
		request->input_begin += header->length;
		break;

	case Operation::ask_device:
		NoteDeviceQuestion(request);
		break;

	case Operation::done:
		request->input_begin += header->length;
		CheckDone(request, payload);
		break;

	case Operation::error:
		RaiseEngineError(request, header);

	default:
		ReportProtocolViolation(request, "unexpected operation");
	}
	return {(Operation) header->operation, payload, header->length};
}

/* Keep the open files that a message brought. */
static void
KeepFiles(EngineRequest *request, struct msghdr *message)
{
	for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part != NULL;
		 part = CMSG_NXTHDR(message, part))
	{
		int count = (int) ((part->cmsg_len - CMSG_LEN(0)) / sizeof(int));

		if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
			continue;
		for (int i = 0; i < count; i++)
		{
			int file;

			memcpy(&file, CMSG_DATA(part) + i * sizeof(int), sizeof(int));
			if (request->file_count < MAX_RECEIVED_FILES)
				request->files[request->file_count++] = file;
			else
				close(file); /* and there will be one too few */
		}
	}
	if ((message->msg_flags & MSG_CTRUNC) != 0)
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_RESOURCES),
						errmsg("could not receive an open file from the vamhash engine (%s)",
							   RoleName(request->role)),
						errhint("Consider raising the server's limit on open files, or lowering "
								"\"max_files_per_process\".")));
}

/* Receive what there is, as recv(); keeps open files that come with it, if they may. */
static ssize_t
ReceiveWithFiles(EngineRequest *request, char *buffer, Size size)
{
	union
	{
		struct cmsghdr header;
		char bytes[CMSG_SPACE(MAX_RECEIVED_FILES * sizeof(int))];
	} control;
	struct iovec piece = {buffer, size};
	struct msghdr message = {};
	ssize_t got;

	if (request->role != ENGINE_OPEN)
		return recv(request->socket, buffer, size, 0);
	message.msg_iov = &piece;
	message.msg_iovlen = 1;
	message.msg_control = &control;
	message.msg_controllen = sizeof(control);
	got = recvmsg(request->socket, &message, MSG_CMSG_CLOEXEC);
	if (got >= 0)
		KeepFiles(request, &message);
	return got;
}

int
EngineTakeFile(EngineRequest *request)
{
	int file;

	if (request->file_count == 0)
		return -1;
	file = request->files[0];
	request->file_count--;
	memmove(request->files, request->files + 1, request->file_count * sizeof(int));
	return file;
}

EngineNews
EngineTryReceive(EngineRequest *request, EngineReply *reply)
{
	FrameHeader header;

	/* An engine that sends without an end must not keep its caller from a cancel. */
	CHECK_FOR_INTERRUPTS();
	while (!HasWholeFrame(request, &header))
	{
		Size buffered = request->input_end - request->input_begin;
		ssize_t got;

		memmove(request->input, request->input + request->input_begin, buffered);
		request->input_begin = 0;
		request->input_end = buffered;
		got = ReceiveWithFiles(request, request->input + buffered, INPUT_BUFFER_SIZE - buffered);
		if (got > 0)
			request->input_end += got;
		else if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return ENGINE_SILENT;
		else if (got == 0 || errno != EINTR)
			return ENGINE_GONE;
	}
	*reply = TakeFrame(request, &header);
	return ENGINE_REPLIED;
}

uint64
EngineWait(const EngineWish *wishes, int count, long timeout)
{
	WaitEventSet *set = CreateSessionWaitEventSet(MAX_WISHES + 2);
	WaitEvent event;
	instr_time begun;
	instr_time took;

	AddWaitEventToSet(set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	for (int i = 0; i < count; i++)
	{
		bool to_send = wishes[i].to_send && !wishes[i].request->deaf;

		AddWaitEventToSet(set, WL_SOCKET_READABLE | (to_send ? WL_SOCKET_WRITEABLE : 0),
						  wishes[i].request->socket, NULL, NULL);
	}
	INSTR_TIME_SET_CURRENT(begun);
	(void) WaitEventSetWait(set, timeout, &event, 1, PG_WAIT_EXTENSION);
	INSTR_TIME_SET_CURRENT(took);
	INSTR_TIME_SUBTRACT(took, begun);
	FreeWaitEventSet(set);
	/* Not only where the latch is the event: a socket that is ready must not hide a cancel. */
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
	return INSTR_TIME_GET_MICROSEC(took);
}

bool
EngineEnd(EngineRequest *request, long timeout, EngineReply *done)
{
	FrameHeader header = MakeHeader(request, Operation::end, 0);
	int64 limit_us = (int64) timeout * 1000;
	Size sent = 0;

	for (int64 waited_us = 0; timeout < 0 || waited_us < limit_us;)
	{
		struct iovec rest = {(char *) &header + sent, sizeof(header) - sent};

		if (sent < sizeof(header))
			sent += EngineTrySend(request, &rest, 1, -1);
		switch (EngineTryReceive(request, done))
		{
		case ENGINE_REPLIED:
			if (done->operation == Operation::batch)
				break; /* of pictures that were hashed otherwise */
			if (done->operation != Operation::done || sent < sizeof(header))
				ReportProtocolViolation(request, "expected DONE after the last answer");
			return true;

		case ENGINE_GONE:
			pfree(EngineBury(request));
			return false;

		case ENGINE_SILENT:
		{
			EngineWish wish = {request, sent < sizeof(header)};

			waited_us += (int64) EngineWait(
				&wish, 1, timeout < 0 ? -1 : (long) ((limit_us - waited_us + 999) / 1000));
			break;
		}
		}
	}
	EngineAbandon(request);
	return false;
}

char *
EngineBury(EngineRequest *request)
{
	return DescribeEngineEnd(ReapEngine(request));
}

void
EngineAbandon(EngineRequest *request)
{
	KillEngine(request);
}
