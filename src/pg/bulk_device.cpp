/*
 * bulk_device.cpp
 *		The device of a bulk: another engine, which hashes what the first one has decoded.
 *
 * The decoding engine puts pictures into an arena, part by part, and this side passes on what it says:
 * of each picture where it is and, when a part is complete, that the other engine may hash it. That one
 * finds out whether there is such a picture: the decoding engine reads hostile images. A part that has
 * been hashed is free again.
 *
 * The device is opened while the first images are hashed by the CPU, which takes over whenever
 * something is wrong. Nothing is lost: of each image all is kept until it is answered.
 */
#include "pg/postgres.hpp"
#include "pg/bulk_device.hpp"

#include <sys/uio.h>

extern "C"
{
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
}

#include "pg/device_use.hpp"
#include "pg/settings.hpp"
#include "protocol/reply_check.h"

using namespace vamhash::protocol;

/*
 * A device takes some tenths of a second to be opened, in a process of its own. A bulk that is done by
 * then needs none.
 */
#define START_AFTER_MS 100

/* How long it is believed that there is no device: to look for one takes another process. */
#define NO_DEVICE_KNOWN_MS 10000

typedef enum DeviceState
{
	DEVICE_UNUSED,
	DEVICE_STARTING,
	DEVICE_READY,
	DEVICE_GONE, /* the CPU hashes what is left */
} DeviceState;

/* Pictures of a part, in the order in which they came; or of a batch, in which they are hashed. */
typedef struct PictureList
{
	struct PictureList *next;
	uint32 count;
	uint32 answered;
	bool is_current; /* of the arena that the decoding engine has now */
	uint32 part;
	uint64 numbers[max_images];
	Picture pictures[max_images];
} PictureList;

struct BulkDevice
{
	MemoryContext context;
	BulkDeviceOptions options;
	DeviceSettings settings;
	DeviceState state;
	instr_time created;
	EngineRequest *engine; /* NULL while there is none */
	PictureArena *arena;
	uint64 memory_bytes; /* that the engine finds there is, of the host's */
	StringInfoData out;	 /* frames for the engine, as far as they have not gone */
	int arena_at;		 /* where in `out` the ARENA frame begins; -1: nowhere */

	bool has_asked;	   /* for leave: there is a device */
	bool wants_nvjpeg; /* may it decode JPEGs otherwise than the CPU does? */
	bool has_nvjpeg;   /* it decodes JPEG files */
	bool decoder_has_arena;
	PictureList *filling[max_parts]; /* NULL: a part without a picture yet */
	bool part_is_free[max_parts];	 /* and the decoding engine is to be told */
	PictureList *batches;			 /* being hashed, the first in order first */
	PictureList **batches_end;
	PictureList *lost; /* that have no answer but failure */

	PictureHashes *answers; /* received, the first batch's first */
	uint32 answer_count;
	uint32 answer_next;
	uint64 sent_pictures;
	uint64 received_answers;
	BulkDeviceCounts counts;
};

/* When the last look for a device found none, and by which settings. */
static TimestampTz no_device_since = 0;
static DeviceSettings no_device_by;

/* Has the session been told that there is no nvJPEG? */
static bool has_warned_of_nvjpeg = false;

/* Was there no device a moment ago? */
static bool
KnowsNoDevice(const DeviceSettings *settings)
{
	return no_device_since != 0 && memcmp(settings, &no_device_by, sizeof(*settings)) == 0 &&
		   !TimestampDifferenceExceeds(no_device_since, GetCurrentTimestamp(), NO_DEVICE_KNOWN_MS);
}

BulkDevice *
BulkDeviceCreate(const BulkDeviceOptions *options)
{
	bool barred;
	DeviceSettings settings = GetDeviceSettings(&barred);
	MemoryContext context;
	MemoryContext caller;
	BulkDevice *device;

	if (settings.use == (uint32) DeviceUse::off ||
		(!MustUseDevice(&settings) && KnowsNoDevice(&settings)))
		return NULL;
	context = AllocSetContextCreate(CurrentMemoryContext, "vamhash device", ALLOCSET_DEFAULT_SIZES);
	caller = MemoryContextSwitchTo(context);
	device = (BulkDevice *) palloc0(sizeof(BulkDevice));
	device->context = context;
	device->options = *options;
	device->settings = settings;
	device->wants_nvjpeg = vamhash_nvjpeg && options->fast;
	device->arena = options->arena != NULL ? options->arena : PictureArenaCreate();
	device->arena_at = -1;
	INSTR_TIME_SET_CURRENT(device->created);
	device->batches_end = &device->batches;
	initStringInfo(&device->out);
	MemoryContextSwitchTo(caller);
	return device;
}

bool
BulkDeviceIsRequired(const BulkDevice *device)
{
	return MustUseDevice(&device->settings);
}

/* The milliseconds that the bulk has taken so far. */
static double
TakenMs(const BulkDevice *device)
{
	instr_time took;

	INSTR_TIME_SET_CURRENT(took);
	INSTR_TIME_SUBTRACT(took, device->created);
	return INSTR_TIME_GET_MILLISEC(took);
}

/* Has the bulk taken so long already that a device may be worth its start, or is one there? */
static bool
IsWorthStarting(const BulkDevice *device)
{
	return BulkDeviceIsRequired(device) || EngineHasIdleHolder() ||
		   TakenMs(device) >= START_AFTER_MS;
}

bool
BulkDeviceIsStarting(const BulkDevice *device)
{
	return device->state == DEVICE_STARTING;
}

bool
BulkDeviceIsReady(const BulkDevice *device)
{
	return device->state == DEVICE_READY;
}

bool
BulkDeviceIsHashing(const BulkDevice *device)
{
	return device->batches != NULL;
}

/* Pictures in parts that are not closed are answered as failed. */
static void
LoseFilling(BulkDevice *device)
{
	for (uint32 part = 0; part < max_parts; part++)
	{
		if (device->filling[part] == NULL)
			continue;
		device->filling[part]->next = device->lost;
		device->lost = device->filling[part];
		device->filling[part] = NULL;
	}
}

/* The device is not to be used any more, for a reason. What it had is answered as failed. */
static void
GiveUp(BulkDevice *device, const char *reason)
{
	device->state = DEVICE_GONE;
	strlcpy(device->counts.failure, reason, sizeof(device->counts.failure));
	*device->batches_end = device->lost;
	device->lost = device->batches;
	device->batches = NULL;
	device->batches_end = &device->batches;
	LoseFilling(device);
}

/* Begin the request; where its engine cannot be started, the CPU does the work. */
static void
TryBegin(BulkDevice *device, const PicturesRequest *request)
{
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		device->engine =
			EngineBegin(ENGINE_COMPUTE, Operation::begin_pictures, request, sizeof(*request));
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		/* These two leave nothing behind: it has ended, or the session has as many as it may. */
		if (error->sqlerrcode != ERRCODE_EXTERNAL_ROUTINE_EXCEPTION &&
			error->sqlerrcode != ERRCODE_PROGRAM_LIMIT_EXCEEDED)
			PG_RE_THROW();
		FlushErrorState();
		device->counts.fallbacks++;
		GiveUp(device, error->message);
		FreeErrorData(error);
	}
	PG_END_TRY();
}

void
BulkDeviceStart(BulkDevice *device, uint64 images)
{
	PicturesRequest request = {};

	if (device->state != DEVICE_UNUSED || images == 0 ||
		(!BulkDeviceIsRequired(device) && images < (uint64) vamhash_gpu_min_images) ||
		!IsWorthStarting(device))
		return;
	request.device = device->settings;
	request.wanted = device->options.wanted;
	request.jpeg_files = device->wants_nvjpeg ? 1 : 0;
	device->state = DEVICE_STARTING;
	if (BulkDeviceIsRequired(device))
		device->engine =
			EngineBegin(ENGINE_COMPUTE, Operation::begin_pictures, &request, sizeof(request));
	else
		TryBegin(device, &request);
}

/* Append a frame for the engine. */
static void
PutFrame(BulkDevice *device, Operation operation, const void *head, Size head_length,
		 const void *body, Size body_length)
{
	FrameHeader header = {};

	header.magic = magic;
	header.length = (uint32) (head_length + body_length);
	header.operation = (uint16) operation;
	header.id = EngineRequestId(device->engine);
	appendBinaryStringInfo(&device->out, (const char *) &header, sizeof(header));
	appendBinaryStringInfo(&device->out, (const char *) head, (int) head_length);
	if (body_length > 0)
		appendBinaryStringInfo(&device->out, (const char *) body, (int) body_length);
}

/* What both engines are told of the arena. */
static Arena
ArenaFrame(const BulkDevice *device)
{
	Arena frame = PictureArenaFrame(device->arena);

	frame.waits = BulkDeviceIsRequired(device) ? 1 : 0;
	frame.kept = device->options.arena != NULL ? 1 : 0;
	frame.jpeg_files = device->has_nvjpeg ? 1 : 0;
	return frame;
}

/* Give the engine an arena; with `anew`, another one. */
static void
GiveArena(BulkDevice *device, bool anew)
{
	Arena frame;

	if (!PictureArenaPrepare(device->arena, device->options.threads, device->memory_bytes, anew))
	{
		if (BulkDeviceIsRequired(device))
			ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_RESOURCES),
							errmsg("there is no memory for pictures on their way to a device")));
		GiveUp(device, "there is no memory for pictures on their way to it");
		return;
	}
	if (device->arena_at >= 0)
	{
		/* The one before has not gone: this goes in its place, and nothing is behind it. */
		device->out.len = device->arena_at;
	}
	device->arena_at = device->out.len;
	frame = ArenaFrame(device);
	PutFrame(device, Operation::arena, &frame, sizeof(frame), NULL, 0);
	memset(device->part_is_free, 0, sizeof(device->part_is_free));
	device->decoder_has_arena = false;
}

/* Take what is said of the device. */
static void
TakeReady(BulkDevice *device, const EngineReply *reply)
{
	DeviceReady ready;

	if (reply->length != sizeof(ready))
		EngineRejectReply(device->engine, "a device of a wrong length");
	memcpy(&ready, reply->payload, sizeof(ready));
	EngineCheckReply(device->engine, check_device_ready(ready));
	if (ready.device[0] == '\0')
	{
		if (BulkDeviceIsRequired(device))
			EngineRejectReply(device->engine, "no device, where one must be used");
		if (!device->has_asked)
		{
			no_device_since = GetCurrentTimestamp();
			no_device_by = device->settings;
		}
		GiveUp(device, ready.reason);
		return;
	}
	device->state = DEVICE_READY;
	device->memory_bytes = ready.memory_bytes;
	strlcpy(device->counts.name, ready.device, sizeof(device->counts.name));
	device->has_nvjpeg = device->wants_nvjpeg && ready.no_jpeg_files[0] == '\0';
	if (device->wants_nvjpeg && !device->has_nvjpeg && !has_warned_of_nvjpeg)
	{
		has_warned_of_nvjpeg = true;
		ereport(WARNING, (errmsg("JPEGs are decoded by the CPU, not by nvJPEG"),
						  errdetail_internal("%s: %s.", ready.device, ready.no_jpeg_files)));
	}
	SetJobDevice(device->options.job, ready.device);
	GiveArena(device, false);
}

/* Keep answers until they are asked for. */
static void
TakeAnswers(BulkDevice *device, const EngineReply *reply)
{
	uint32 count = reply->length / sizeof(PictureHashes);

	if (reply->length % sizeof(PictureHashes) != 0)
		EngineRejectReply(device->engine, "a part of a picture's hashes");
	if (count > device->sent_pictures - device->received_answers)
		EngineRejectReply(device->engine, "hashes of more pictures than it was given");
	device->received_answers += count;
	if (device->state == DEVICE_GONE)
		return;
	if (device->answers == NULL)
		device->answers = (PictureHashes *) MemoryContextAlloc(
			device->context, max_parts * max_images * sizeof(PictureHashes));
	if (device->answer_next > 0)
	{
		device->answer_count -= device->answer_next;
		memmove(device->answers, device->answers + device->answer_next,
				device->answer_count * sizeof(PictureHashes));
		device->answer_next = 0;
	}
	if (count > max_parts * max_images - device->answer_count)
		EngineRejectReply(device->engine, "hashes of more pictures than there are");
	memcpy(device->answers + device->answer_count, reply->payload, reply->length);
	device->answer_count += count;
}

/* Send what there is room for. */
static void
SendFrames(BulkDevice *device)
{
	while (device->out.len > 0 || device->state == DEVICE_STARTING)
	{
		bool is_arena = device->arena_at == 0;
		int until = device->arena_at > 0 ? device->arena_at : device->out.len;
		struct iovec piece = {device->out.data, (size_t) until};
		int sent = (int) EngineTrySend(device->engine, &piece, until > 0 ? 1 : 0,
									   is_arena ? PictureArenaFile(device->arena) : -1);

		if (sent == 0)
			return;
		if (device->arena_at >= 0)
			device->arena_at = is_arena ? -1 : device->arena_at - sent;
		device->out.len -= sent;
		memmove(device->out.data, device->out.data + sent, device->out.len);
	}
}

/* The engine has ended. */
static void
TakeEnd(BulkDevice *device)
{
	char *how = EngineBury(device->engine);

	device->engine = NULL;
	if (BulkDeviceIsRequired(device))
		ereport(ERROR, (errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
						errmsg("the vamhash engine (compute) ended unexpectedly"),
						errdetail_internal("%s", how),
						errhint("With \"vamhash.gpu\" set to auto, the CPU takes over.")));
	device->counts.fallbacks++;
	GiveUp(device, psprintf("the engine process ended: %s", how));
	pfree(how);
}

/* End the engine's request, after its last answer, and hear its report. */
static void
EndEngine(BulkDevice *device)
{
	EngineReply reply;
	PicturesDone report;

	if (!EngineEnd(device->engine, -1, &reply))
	{
		device->engine = NULL;
		return;
	}
	if (reply.length != sizeof(report))
		EngineRejectReply(device->engine, "DONE has a wrong length");
	memcpy(&report, reply.payload, sizeof(report));
	EngineCheckReply(device->engine, check_pictures_report(report, device->sent_pictures));
	EngineNoteDevice(device->engine, report.pictures > 0, report.holds_device != 0);
	EngineFinish(device->engine);
	device->engine = NULL;
	device->counts.bytes = report.device_bytes;
	device->counts.seconds = report.device_seconds;
	device->counts.fallbacks += report.failures;
	if (report.failure[0] != '\0')
		strlcpy(device->counts.failure, report.failure, sizeof(device->counts.failure));
}

void
BulkDeviceExchange(BulkDevice *device)
{
	EngineReply reply;

	while (device->engine != NULL)
	{
		EngineNews news;

		SendFrames(device);
		news = EngineTryReceive(device->engine, &reply);
		if (news == ENGINE_SILENT)
			return;
		if (news == ENGINE_GONE)
			TakeEnd(device);
		else if (reply.operation == Operation::ask_device && device->state == DEVICE_STARTING)
		{
			device->has_asked = true;
			AnswerDeviceQuestion(device->engine, &device->settings, device->options.job, "hashing");
		}
		else if (reply.operation != Operation::result)
			EngineRejectReply(device->engine, "DONE before END");
		else if (device->state == DEVICE_STARTING)
			TakeReady(device, &reply);
		else
			TakeAnswers(device, &reply);
	}
}

bool
BulkDeviceWish(const BulkDevice *device, EngineWish *wish)
{
	if (device->engine == NULL)
		return false;
	*wish = {device->engine, device->out.len > 0};
	return true;
}

Size
BulkDeviceTell(BulkDevice *device, uint32 request_id, char *frame, int *file)
{
	FrameHeader header = {};

	*file = -1;
	/* An arena is the decoding engine's only when the other one is sure to have it first. */
	if (device->state != DEVICE_READY || device->arena_at >= 0)
		return 0;
	header.magic = magic;
	header.id = request_id;
	if (!device->decoder_has_arena)
	{
		Arena arena = ArenaFrame(device);

		header.operation = (uint16) Operation::arena;
		header.length = sizeof(arena);
		memcpy(frame + sizeof(header), &arena, sizeof(arena));
		*file = PictureArenaFile(device->arena);
		device->decoder_has_arena = true;
	}
	else
	{
		ArenaPart freed = {};

		while (freed.part < max_parts && !device->part_is_free[freed.part])
			freed.part++;
		if (freed.part == max_parts)
			return 0;
		device->part_is_free[freed.part] = false;
		header.operation = (uint16) Operation::free_part;
		header.length = sizeof(freed);
		memcpy(frame + sizeof(header), &freed, sizeof(freed));
	}
	memcpy(frame, &header, sizeof(header));
	return sizeof(header) + header.length;
}

uint32
BulkDeviceParts(const BulkDevice *device)
{
	return device->decoder_has_arena ? PictureArenaFrame(device->arena).parts : 0;
}

/* An empty list. */
static PictureList *
MakeList(BulkDevice *device)
{
	PictureList *list = (PictureList *) MemoryContextAlloc(device->context, sizeof(PictureList));

	list->next = NULL;
	list->count = 0;
	list->answered = 0;
	list->is_current = true;
	return list;
}

const char *
BulkDeviceTake(BulkDevice *device, uint64 number, const ImageRecord *record)
{
	PictureList *list = device->filling[record->part];

	if (list == NULL)
		list = MakeList(device);
	if (device->state == DEVICE_GONE)
	{
		list->next = device->lost;
		device->lost = list;
	}
	else
		device->filling[record->part] = list;
	list->part = record->part;
	if (list->count == max_images)
		return "a batch of more pictures than there are images";
	list->numbers[list->count] = number;
	list->pictures[list->count] = record->picture;
	list->count++;
	return NULL;
}

const char *
BulkDeviceClose(BulkDevice *device, const ArenaPart *part)
{
	PictureList *list;
	PictureBatch batch = {};

	if (part->part >= BulkDeviceParts(device))
		return "a part of the arena that there is not";
	if (device->state == DEVICE_GONE)
		return NULL;
	list = device->filling[part->part];
	if (list == NULL || list->count != part->pictures)
		return "a batch of other pictures than were placed";
	device->filling[part->part] = NULL;
	batch.part = part->part;
	batch.pictures = list->count;
	PutFrame(device, Operation::pictures, &batch, sizeof(batch), list->pictures,
			 list->count * sizeof(Picture));
	*device->batches_end = list;
	device->batches_end = &list->next;
	device->sent_pictures += list->count;
	device->counts.batches++;
	return NULL;
}

void
BulkDeviceLoseDecoder(BulkDevice *device)
{
	if (!device->decoder_has_arena)
		return;
	device->decoder_has_arena = false;
	LoseFilling(device);
	for (PictureList *batch = device->batches; batch != NULL; batch = batch->next)
		batch->is_current = false;
	if (device->state == DEVICE_READY)
		GiveArena(device, true);
}

/* Get a picture that was lost. */
static bool
NextLost(BulkDevice *device, PictureAnswer *answer)
{
	PictureList *list;

	while ((list = device->lost) != NULL && list->answered == list->count)
	{
		device->lost = list->next;
		pfree(list);
	}
	if (list == NULL)
		return false;
	memset(answer, 0, sizeof(*answer));
	answer->number = list->numbers[list->answered++];
	answer->hashes.status = (uint32) PictureStatus::failed;
	return true;
}

bool
BulkDeviceNext(BulkDevice *device, PictureAnswer *answer)
{
	PictureList *batch = device->batches;

	if (NextLost(device, answer))
		return true;
	if (device->answer_next == device->answer_count || device->state == DEVICE_GONE)
		return false;
	if (batch == NULL)
		EngineRejectReply(device->engine, "hashes of a picture that it was not given");
	answer->number = batch->numbers[batch->answered++];
	answer->hashes = device->answers[device->answer_next++];
	if (answer->hashes.status > (uint32) PictureStatus::impossible)
		EngineRejectReply(device->engine, "a picture's status that cannot be");
	/* The decoding engine that told of it has ended; its successor has the image again. */
	if (answer->hashes.status == (uint32) PictureStatus::impossible && !batch->is_current)
		answer->hashes.status = (uint32) PictureStatus::left;
	if (answer->hashes.status == (uint32) PictureStatus::hashed)
		device->counts.pictures++;
	else if (answer->hashes.status == (uint32) PictureStatus::left)
		device->counts.left++;
	if (batch->answered == batch->count)
	{
		device->batches = batch->next;
		if (device->batches == NULL)
			device->batches_end = &device->batches;
		if (batch->is_current)
			device->part_is_free[batch->part] = true;
		pfree(batch);
	}
	if (answer->hashes.status == (uint32) PictureStatus::failed && BulkDeviceIsRequired(device))
		EngineRejectReply(device->engine, "a device that failed without an ERROR");
	if (answer->hashes.status == (uint32) PictureStatus::failed)
		GiveUp(device, "the device failed"); /* DONE has more to say of that */
	return true;
}

/* Wait until a condition holds, at most so many milliseconds (-1: for ever). */
static void
AwaitDevice(BulkDevice *device, bool (*condition)(const BulkDevice *device), long patience)
{
	int64 limit_us = (int64) patience * 1000;
	int64 waited_us = 0;
	EngineWish wish;

	BulkDeviceExchange(device);
	while (!condition(device) && BulkDeviceWish(device, &wish) &&
		   (patience < 0 || waited_us < limit_us))
	{
		waited_us += (int64) EngineWait(
			&wish, 1, patience < 0 ? -1 : (long) ((limit_us - waited_us + 999) / 1000));
		BulkDeviceExchange(device);
	}
}

/* Is it known whether there is a device? */
static bool
HasStarted(const BulkDevice *device)
{
	return device->state != DEVICE_STARTING;
}

/* Has all been sent and answered? */
static bool
IsQuiet(const BulkDevice *device)
{
	return device->out.len == 0 && device->received_answers == device->sent_pictures;
}

BulkDeviceCounts
BulkDeviceFinish(BulkDevice *device)
{
	BulkDeviceCounts counts;

	if (device->state == DEVICE_STARTING)
		AwaitDevice(device, HasStarted,
					device->options.arena != NULL ? -1 : (long) TakenMs(device));
	if (device->state == DEVICE_GONE || device->batches == NULL)
		AwaitDevice(device, IsQuiet, -1);
	if (device->engine != NULL && HasStarted(device) && IsQuiet(device))
		EndEngine(device);
	else if (device->engine != NULL)
		EngineAbandon(device->engine);
	counts = device->counts;
	MemoryContextDelete(device->context);
	return counts;
}
