/*
 * file_opener.cpp
 *		Opening many image files at once, by an engine process that does nothing else.
 *
 * A file server takes milliseconds to open a file, but opens many at once; and where it is dead an
 * open() never ends and cannot be cancelled. A backend has no threads. So a process of the server's
 * user opens the files and passes their descriptors, and this side, which may read them in its name,
 * judges what it gets (server_file.hpp): the process knows no rules. It also looks where the folders
 * of vamhash.image_roots are, which may be on that file server, too: again when they have been known
 * for ROOTS_KNOWN_MS, and when the setting changes. The session may be busy with its query when that
 * is answered. So an answer counts from when there was none yet, and an old one is not believed.
 *
 * A file has a place from when it is asked for until it is freed, and for as long an external file
 * descriptor is reserved for it. Places are what bounds the files that are open here. Paths are sent
 * some at a time, so that where opening is quick two processes are not woken for each file.
 *
 * When the process ends, all that was asked for is asked for again in another one.
 */
#include "pg/postgres.hpp"
#include "pg/file_opener.hpp"

#include <errno.h>
#include <sys/uio.h>
#include <unistd.h>

extern "C"
{
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "storage/fd.h"
#include "utils/memutils.h"
}

#include "pg/settings.hpp"
#include "protocol/reply_check.h"

using namespace vamhash::protocol;

/* Paths to be sent at once, unless there is nothing else to do. */
#define SENT_AT_ONCE 16

/* Descriptors that others are left: PostgreSQL takes one to wait, and an engine has one. */
#define SPARE_DESCRIPTORS 4

/* How long it is believed where the folders of vamhash.image_roots are. */
#define ROOTS_KNOWN_MS 1000

/* Processes in a row that may end without an answer. */
#define MAX_FRUITLESS_OPENERS 3

/* The place of a folder of vamhash.image_roots. They are asked for one by one, each open for a moment. */
#define ROOT_PLACE ((int) max_opening)

typedef enum PlaceState
{
	PLACE_FREE,
	PLACE_ASKED,
	PLACE_DROPPED, /* asked for and then freed: its answer must be awaited */
	PLACE_ANSWERED,
} PlaceState;

typedef struct Place
{
	PlaceState state;
	char *path;		/* as the process gets it, while it is asked for */
	int descriptor; /* of an answer; -1: there is none */
	int error;		/* errno, then */
} Place;

struct FileOpener
{
	MemoryContext context;
	MemoryContextCallback at_end;
	EngineRequest *engine; /* NULL while there is none */
	Place places[ROOT_PLACE + 1];
	int taken;			/* places of files that are not free */
	int unanswered;		/* of all places */
	int unsent;			/* of these, whose path is in `out` */
	StringInfoData out; /* PATH frames, as far as they have not gone */

	MemoryContext roots_context;
	char *roots_setting; /* vamhash.image_roots, as it was split */
	List *roots;		 /* of ImageRoot */
	int located;		 /* of these, whose location is known */
	instr_time root_at;	 /* when the one that was asked for was not answered yet */
	instr_time roots_at; /* when that of the last was known at the earliest */

	instr_time looked_at; /* when all that had come was taken */
	bool waited;		  /* since then for the next */

	int fruitless; /* processes that ended since the last answer */
	uint64 restarts;
};

/* Close what is open at a place. */
static void
ClosePlace(Place *place)
{
	if (place->state == PLACE_ANSWERED && place->descriptor >= 0)
		close(place->descriptor);
	place->descriptor = -1;
}

/* MemoryContextCallback: close all files, and give back what was reserved for them. */
static void
CloseAllPlaces(void *state)
{
	FileOpener *opener = (FileOpener *) state;

	for (int i = 0; i <= ROOT_PLACE; i++)
	{
		ClosePlace(&opener->places[i]);
		if (opener->places[i].state != PLACE_FREE && i != ROOT_PLACE)
			ReleaseExternalFD();
		opener->places[i].state = PLACE_FREE;
	}
}

FileOpener *
FileOpenerCreate(void)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "vamhash files", ALLOCSET_DEFAULT_SIZES);
	FileOpener *opener = (FileOpener *) MemoryContextAllocZero(context, sizeof(FileOpener));
	MemoryContext caller = MemoryContextSwitchTo(context);

	opener->context = context;
	opener->roots_context =
		AllocSetContextCreate(context, "vamhash image roots", ALLOCSET_SMALL_SIZES);
	initStringInfo(&opener->out);
	MemoryContextSwitchTo(caller);
	opener->at_end.func = CloseAllPlaces;
	opener->at_end.arg = opener;
	MemoryContextRegisterResetCallback(context, &opener->at_end);
	return opener;
}

int
FileOpenerRoom(const FileOpener *opener)
{
	return ROOT_PLACE - opener->taken;
}

/* Put the PATH frame of a place into what is sent next. */
static void
PutPath(FileOpener *opener, int number)
{
	const char *path = opener->places[number].path;
	Size length = strlen(path);
	FrameHeader frame = {};
	PathHeader header = {};

	frame.magic = magic;
	frame.length = (uint32) (sizeof(header) + length);
	frame.operation = (uint16) Operation::path;
	frame.id = EngineRequestId(opener->engine);
	header.number = number;
	header.flags = number == ROOT_PLACE ? open_folder : 0;
	appendBinaryStringInfo(&opener->out, (const char *) &frame, sizeof(frame));
	appendBinaryStringInfo(&opener->out, (const char *) &header, sizeof(header));
	appendBinaryStringInfo(&opener->out, path, (int) length);
	opener->unsent++;
}

/* A place has its answer. */
static void
SetAnswer(FileOpener *opener, int number, int descriptor, int error)
{
	Place *place = &opener->places[number];
	bool dropped = place->state == PLACE_DROPPED;

	pfree(place->path);
	place->path = NULL;
	place->state = PLACE_ANSWERED;
	place->descriptor = descriptor;
	place->error = error;
	opener->unanswered--;
	if (number == ROOT_PLACE)
		opener->root_at = opener->looked_at;
	if (dropped)
		FileOpenerFree(opener, number);
}

/* Have a process; this alone may wait. */
static void
NeedEngine(FileOpener *opener)
{
	if (opener->engine == NULL)
		opener->engine = EngineBegin(ENGINE_OPEN, Operation::begin_open, NULL, 0);
}

/* Ask for a path at a place that is free. */
static void
AskAt(FileOpener *opener, int number, const char *path)
{
	Place *place = &opener->places[number];
	MemoryContext caller;

	NeedEngine(opener);
	if (number == ROOT_PLACE)
		INSTR_TIME_SET_CURRENT(opener->looked_at);
	caller = MemoryContextSwitchTo(opener->context);
	/* The process works in another directory; here, relative paths are to the server's data. */
	if (is_absolute_path(path) || path[0] == '\0')
		place->path = pstrdup(path);
	else
		place->path = psprintf("%s/%s", DataDir, path);
	place->state = PLACE_ASKED;
	place->descriptor = -1;
	opener->unanswered++;
	if (strlen(place->path) <= max_path)
		PutPath(opener, number);
	else
		SetAnswer(opener, number, -1, ENAMETOOLONG);
	MemoryContextSwitchTo(caller);
}

void
FileOpenerFree(FileOpener *opener, int place)
{
	Place *freed = &opener->places[place];

	if (freed->state == PLACE_ASKED)
	{
		freed->state = PLACE_DROPPED;
		return;
	}
	ClosePlace(freed);
	freed->state = PLACE_FREE;
	if (place != ROOT_PLACE)
	{
		opener->taken--;
		ReleaseExternalFD();
	}
}

/* Send what there is room for. */
static void
SendPaths(FileOpener *opener)
{
	StringInfo out = &opener->out;

	while (out->len > 0)
	{
		struct iovec piece = {out->data, (Size) out->len};
		int sent = (int) EngineTrySend(opener->engine, &piece, 1, -1);

		if (sent == 0)
			return;
		out->len -= sent;
		memmove(out->data, out->data + sent, out->len);
	}
	opener->unsent = 0;
}

/* Take the answers of a RESULT frame. */
static void
TakeAnswers(FileOpener *opener, const EngineReply *reply)
{
	Size offset = 0;

	if (reply->length % sizeof(OpenRecord) != 0)
		EngineRejectReply(opener->engine, "a part of an answer about a path");
	for (; offset < reply->length; offset += sizeof(OpenRecord))
	{
		OpenRecord record;
		int descriptor = -1;

		memcpy(&record, reply->payload + offset, sizeof(record));
		EngineCheckReply(opener->engine, check_open_record(record));
		if (record.number > (uint32) ROOT_PLACE ||
			(opener->places[record.number].state != PLACE_ASKED &&
			 opener->places[record.number].state != PLACE_DROPPED))
			EngineRejectReply(opener->engine, "an answer about a path that was not sent");
		if (record.error == 0 && (descriptor = EngineTakeFile(opener->engine)) < 0)
			EngineRejectReply(opener->engine, "an open file that did not come");
		SetAnswer(opener, (int) record.number, descriptor, (int) record.error);
	}
	opener->fruitless = 0;
}

/* The process is gone: have another one open what has no answer. */
static void
AskAgain(FileOpener *opener)
{
	opener->engine = NULL;
	opener->restarts++;
	resetStringInfo(&opener->out);
	opener->unsent = 0;
	for (int i = 0; i <= ROOT_PLACE; i++)
	{
		if (opener->places[i].state == PLACE_DROPPED)
			SetAnswer(opener, i, -1, 0);
	}
	if (opener->unanswered == 0)
		return;
	NeedEngine(opener);
	for (int i = 0; i <= ROOT_PLACE; i++)
	{
		if (opener->places[i].state == PLACE_ASKED)
			PutPath(opener, i);
	}
}

/* The process has ended, which no file can be blamed for. */
static void
TakeEnd(FileOpener *opener)
{
	char *how = EngineBury(opener->engine);

	if (++opener->fruitless > MAX_FRUITLESS_OPENERS)
		ereport(ERROR, (errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
						errmsg("the vamhash engine (open) ended %d times without an answer",
							   opener->fruitless),
						errdetail_internal("%s", how)));
	pfree(how);
	AskAgain(opener);
}

void
FileOpenerExchange(FileOpener *opener)
{
	/* Whatever comes ends the wait. */
	if (opener->waited)
		INSTR_TIME_SET_CURRENT(opener->looked_at);
	opener->waited = false;
	while (opener->engine != NULL)
	{
		EngineReply reply;

		/* Paths are kept back only while the process has others. */
		if (opener->unsent >= SENT_AT_ONCE || opener->unsent == opener->unanswered)
			SendPaths(opener);
		switch (EngineTryReceive(opener->engine, &reply))
		{
		case ENGINE_SILENT:
			INSTR_TIME_SET_CURRENT(opener->looked_at);
			return;

		case ENGINE_GONE:
			TakeEnd(opener);
			break;

		case ENGINE_REPLIED:
			if (reply.operation != Operation::result)
				EngineRejectReply(opener->engine, "DONE before END");
			TakeAnswers(opener, &reply);
			break;
		}
	}
}

/* Is there an answer at a place? */
static bool
IsAnswered(FileOpener *opener, int place)
{
	if (opener->places[place].state != PLACE_ANSWERED)
		FileOpenerExchange(opener);
	return opener->places[place].state == PLACE_ANSWERED;
}

/* Has something that was known at a moment been known for too long? */
static bool
IsStale(instr_time known_at)
{
	instr_time age;

	INSTR_TIME_SET_CURRENT(age);
	INSTR_TIME_SUBTRACT(age, known_at);
	return INSTR_TIME_GET_MILLISEC(age) > ROOTS_KNOWN_MS;
}

/* Is it known no more where the folders of vamhash.image_roots are? */
static bool
RootsAreStale(const FileOpener *opener)
{
	if (opener->roots_setting == NULL || strcmp(opener->roots_setting, vamhash_image_roots) != 0)
		return true;
	if (opener->located < list_length(opener->roots) || opener->roots == NIL)
		return false;
	return IsStale(opener->roots_at);
}

/* Begin to find out where the folders of vamhash.image_roots are. */
static void
ForgetRoots(FileOpener *opener)
{
	MemoryContext caller = MemoryContextSwitchTo(opener->roots_context);
	ListCell *cell;

	MemoryContextReset(opener->roots_context);
	opener->roots_setting = pstrdup(vamhash_image_roots);
	opener->roots = ImageRoots();
	opener->located = 0;
	foreach (cell, opener->roots)
	{
		ImageRoot *root = (ImageRoot *) palloc0(sizeof(ImageRoot));

		root->name = (const char *) lfirst(cell);
		lfirst(cell) = root;
	}
	if (opener->places[ROOT_PLACE].state != PLACE_FREE)
		FileOpenerFree(opener, ROOT_PLACE);
	MemoryContextSwitchTo(caller);
}

/* Is it known where the folders of vamhash.image_roots are? If not, they are asked for. */
static bool
RootsAreLocated(FileOpener *opener)
{
	Place *place = &opener->places[ROOT_PLACE];

	if (RootsAreStale(opener))
		ForgetRoots(opener);
	while (opener->located < list_length(opener->roots))
	{
		ImageRoot *root = (ImageRoot *) list_nth(opener->roots, opener->located);
		MemoryContext caller;

		if (place->state == PLACE_DROPPED)
			FileOpenerExchange(opener);
		if (place->state == PLACE_FREE)
			AskAt(opener, ROOT_PLACE, root->name);
		if (place->state == PLACE_DROPPED || !IsAnswered(opener, ROOT_PLACE))
			return false;
		if (IsStale(opener->root_at))
		{
			FileOpenerFree(opener, ROOT_PLACE);
			continue;
		}
		caller = MemoryContextSwitchTo(opener->roots_context);
		root->location = place->descriptor < 0 ? NULL : FolderLocation(place->descriptor);
		MemoryContextSwitchTo(caller);
		FileOpenerFree(opener, ROOT_PLACE);
		opener->located++;
		opener->roots_at = opener->root_at;
	}
	return true;
}

/* Reserve a descriptor, if others are left. */
static bool
ReserveDescriptor(void)
{
	int got = 0;

	while (got <= SPARE_DESCRIPTORS && AcquireExternalFD())
		got++;
	for (int i = got <= SPARE_DESCRIPTORS ? 0 : 1; i < got; i++)
		ReleaseExternalFD();
	return got > SPARE_DESCRIPTORS;
}

int
FileOpenerAsk(FileOpener *opener, const char *path)
{
	int number = 0;

	/* Before anything is reserved: it may fail. */
	NeedEngine(opener);
	if (!ReserveDescriptor())
	{
		if (opener->taken > 0)
			return -1;
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_RESOURCES),
						errmsg("could not reserve a file descriptor for an image file"),
						errhint("Consider raising \"max_files_per_process\".")));
	}
	while (opener->places[number].state != PLACE_FREE)
		number++;
	Assert(number < ROOT_PLACE);
	opener->taken++;
	AskAt(opener, number, path);
	/* That is going to be needed, too. */
	(void) RootsAreLocated(opener);
	return number;
}

bool
FileOpenerGet(FileOpener *opener, int place, const char *path, ImageFile *file)
{
	if (!IsAnswered(opener, place) || !RootsAreLocated(opener))
		return false;
	*file = JudgeImageFile(path, opener->places[place].descriptor, opener->places[place].error,
						   opener->roots);
	return true;
}

EngineWish
FileOpenerWish(FileOpener *opener)
{
	SendPaths(opener);
	opener->waited = true;
	return {opener->engine, opener->out.len > 0};
}

void
FileOpenerRestart(FileOpener *opener)
{
	if (opener->engine != NULL)
		EngineAbandon(opener->engine);
	AskAgain(opener);
}

uint64
FileOpenerRestarts(const FileOpener *opener)
{
	return opener->restarts;
}

void
FileOpenerEnd(FileOpener *opener, long timeout)
{
	EngineReply done;

	if (opener->engine != NULL && opener->unanswered > 0)
		EngineAbandon(opener->engine);
	else if (opener->engine != NULL && EngineEnd(opener->engine, timeout, &done))
	{
		if (done.length != sizeof(Done))
			EngineRejectReply(opener->engine, "DONE has a wrong length");
		EngineFinish(opener->engine);
	}
	MemoryContextDelete(opener->context);
}
