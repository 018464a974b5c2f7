/*
 * bulk_hash.cpp
 *		Hashing many images in one request.
 *
 * Each image has a slot in a ring, from the moment it is put until its row is
 * returned. A slot is waiting, then sent, then answered. The engine answers in any
 * order; the ring gives back the order of the images. What the engine needs stays in
 * the slot until the answer is there, so that nothing is lost with an engine: another
 * one is given all that was sent and not answered.
 *
 * While this side waits, for whatever reason, it sends what there is room for and takes
 * what has come. So the two ends cannot block one another (protocol/frame.h), and the
 * engine has images to work on while the next ones are read. Memory is bounded by what
 * may be under way: kept_image_bytes(), or one image if it is larger, and
 * max_images images. Of a file only the path is kept. Files are opened ahead
 * (file_opener.hpp), by the rights of the server, and read in the engine, which gets the
 * descriptors, in the order of the images.
 *
 * Where there is a device (bulk_device.hpp), the engine puts pictures into an arena instead
 * of hashing them. A slot is then placed, after sent and before answered. A picture that
 * comes back without hashes, for whatever reason, is sent again, to be hashed by the engine.
 *
 * Two things can go wrong with an engine.
 *
 *	- It ends. It may have been killed by somebody, or by an image: which one is not
 *	  known, since many are decoded at once. All that were under way are sent again,
 *	  now one at a time. An image that was alone in two engines that ended gets the
 *	  status "crashed".
 *	- It takes too long. Images are begun in the order in which they are sent, so the
 *	  first of them that has no answer is being decoded since its predecessor was
 *	  answered, if not longer. That is not always the order of the images: those that a
 *	  device has left are sent again, behind others. Where none is sent, the first one's
 *	  file is being opened. When this side has waited vamhash.image_timeout for it, it
 *	  gets the status "timeout". The process that has it, which cannot be made to drop an
 *	  image, is killed, and the others that it had are given to another one.
 */
#include "pg/postgres.hpp"
#include "pg/bulk_hash.hpp"

#include <sched.h>
#include <sys/uio.h>
#include <unistd.h>

extern "C"
{
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "storage/fd.h"
#include "utils/memutils.h"
}

#include "pg/engine_client.hpp"
#include "pg/file_opener.hpp"
#include "pg/settings.hpp"
#include "pg/statistics.hpp"
#include "protocol/reply_check.h"

using namespace vamhash::protocol;

/* Slots beyond which no image is taken while the first one is not answered. */
#define MAX_SLOTS (8 * max_images)

#define FIRST_SLOTS 64

/* Files are asked for when there is room for so many: each time costs two processes some work. */
#define OPENED_AHEAD 16

/* Engines that an image must have been alone in when they ended, to be blamed for it. */
#define CRASHES_TO_BLAME 2

/* Engines in a row that may end without an answer: then it is not the images' fault. */
#define MAX_FRUITLESS_ENGINES 100

/* The number of no image. */
#define NO_IMAGE PG_UINT64_MAX

typedef enum SlotState
{
	SLOT_WAITING,
	SLOT_SENT,	 /* or being sent */
	SLOT_PLACED, /* decoded: the device hashes the picture */
	SLOT_ANSWERED,
} SlotState;

typedef struct Slot
{
	SlotState state;
	bool is_file;
	bool on_cpu;		/* the device is not for it */
	bool to_arena;		/* it was sent to be placed */
	int place;			/* of the file in the opener; -1: none */
	int crashes;		/* engines that ended while it was alone in them */
	uint64 sent_before; /* of those in flight, the one that was sent before it; or NO_IMAGE */
	uint64 sent_after;	/* and the one after it */
	char *data;			/* the image, or its path */
	Size length;		/* of the image, once it is known */
	Datum tag;
	/* Known of an answered image; of a placed one all but its hashes. */
	BulkStatus status;
	bool hashed;
	HashResult hashes;
	char *message;
} Slot;

/* What is sent next: a frame of the slot at the cursor, as far as it has gone. */
typedef struct Outgoing
{
	char head[sizeof(FrameHeader) + sizeof(ImageHeader)];
	Size head_length; /* 0: there is no frame */
	Size head_sent;
	Size body_length; /* of the image's bytes, from `offset` on */
	Size body_sent;
	Size offset; /* bytes of the image in frames that are sent */
	bool begun;	 /* the image's first frame has been made */
	int file;	 /* to go with it, the opener's; -1: none */
} Outgoing;

/* What the engine is told of the arena, as far as it has not gone. */
typedef struct Control
{
	char frame[BULK_DEVICE_FRAME_SIZE];
	Size length; /* 0: nothing */
	int file;	 /* to go with it, the device's; -1: none */
} Control;

struct BulkHash
{
	MemoryContext context;
	bool files;
	ImagesRequest params;
	EngineRequest *engine; /* NULL while there is none */
	FileOpener *opener;	   /* of files; NULL for bytes */
	BulkDevice *device;	   /* NULL: images are hashed where they are decoded */
	Control control;

	Slot *slots;	   /* a ring */
	uint32 capacity;   /* a power of 2 */
	uint64 first;	   /* number of the first image whose row was not returned */
	uint64 next;	   /* number of the next image to be put */
	uint64 cursor;	   /* number of the next image to be sent, or being sent */
	uint64 ahead;	   /* number of the next file to be asked for; not before the cursor */
	uint64 oldest;	   /* none before it waits or is sent */
	uint64 again;	   /* number of the first image before the cursor that waits to be sent again */
	uint64 first_sent; /* of the images in flight; or NO_IMAGE */
	uint64 last_sent;

	uint32 unanswered; /* images that are waiting or sent */
	uint32 in_flight;  /* images that are sent */
	Size held_bytes;   /* of images without an answer */
	Size max_held_bytes;
	Outgoing out;

	uint64 careful_until; /* images below this number are sent alone */
	bool alone;			  /* the one in flight is */
	int fruitless;		  /* engines that ended since the last answer */
	uint64 waited_for;	  /* image that the wait has been counted for */
	uint64 waited_us;

	char *last_message; /* of the row returned last */
	BulkHashCounts counts;
};

/* The slot of an image. */
static inline Slot *
SlotOf(BulkHash *bulk, uint64 number)
{
	return &bulk->slots[number & (bulk->capacity - 1)];
}

/* Nothing is being sent. */
static void
ClearOutgoing(BulkHash *bulk)
{
	memset(&bulk->out, 0, sizeof(bulk->out));
	bulk->out.file = -1;
}

/* The number of cores that this process may use, and its engine with it. */
static int
CountUsableCores(void)
{
	cpu_set_t cores;

	if (sched_getaffinity(0, sizeof(cores), &cores) == 0)
		return CPU_COUNT(&cores);
	/* The machine has more cores than a cpu_set_t. */
	return (int) Max(sysconf(_SC_NPROCESSORS_ONLN), 1);
}

/* Make ready to use a device, if one may be used. */
static void
BeginDevice(BulkHash *bulk, const BulkHashOptions *options)
{
	MemoryContext caller = MemoryContextSwitchTo(bulk->context);
	BulkDeviceOptions device = {};

	device.wanted = bulk->params.wanted;
	device.fast = options->fast;
	device.threads = (int) bulk->params.threads;
	device.job = options->job;
	device.arena = options->arena;
	bulk->device = BulkDeviceCreate(&device);
	MemoryContextSwitchTo(caller);
}

BulkHash *
BulkHashBegin(const BulkHashOptions *options)
{
	MemoryContext context;
	BulkHash *bulk;

	if (options->files)
		CheckMayReadFiles();
	context = AllocSetContextCreate(CurrentMemoryContext, "vamhash images", ALLOCSET_DEFAULT_SIZES);
	bulk = (BulkHash *) MemoryContextAllocZero(context, sizeof(BulkHash));
	bulk->context = context;
	bulk->files = options->files;
	bulk->params.wanted = options->wanted;
	bulk->params.flags = (options->fast ? hash_fast : 0) | (options->orient ? hash_orient : 0);
	bulk->params.threads = vamhash_threads > 0 ? vamhash_threads : CountUsableCores();
	bulk->max_held_bytes = kept_image_bytes(bulk->params.threads);
	bulk->params.max_bytes = vamhash_max_image_bytes;
	bulk->params.max_pixels = vamhash_max_image_pixels;
	bulk->capacity = FIRST_SLOTS;
	bulk->slots = (Slot *) MemoryContextAllocZero(context, FIRST_SLOTS * sizeof(Slot));
	bulk->out.file = -1;
	bulk->again = NO_IMAGE;
	bulk->first_sent = NO_IMAGE;
	bulk->last_sent = NO_IMAGE;
	bulk->waited_for = NO_IMAGE;
	BeginDevice(bulk, options);
	if (options->files)
	{
		MemoryContext caller = MemoryContextSwitchTo(context);

		bulk->opener = FileOpenerCreate();
		MemoryContextSwitchTo(caller);
	}
	return bulk;
}

/* Make the ring twice as large. */
static void
GrowRing(BulkHash *bulk)
{
	uint32 capacity = bulk->capacity * 2;
	Slot *slots = (Slot *) MemoryContextAllocZero(bulk->context, capacity * sizeof(Slot));

	for (uint64 number = bulk->first; number < bulk->next; number++)
		slots[number & (capacity - 1)] = *SlotOf(bulk, number);
	pfree(bulk->slots);
	bulk->slots = slots;
	bulk->capacity = capacity;
}

/* Have an image's file closed, or not opened. */
static void
FreePlace(BulkHash *bulk, Slot *slot)
{
	if (slot->place >= 0)
		FileOpenerFree(bulk->opener, slot->place);
	slot->place = -1;
}

/* An image begins to be sent: it is the last one in flight. */
static void
EnterFlight(BulkHash *bulk, Slot *slot, uint64 number)
{
	slot->state = SLOT_SENT;
	slot->sent_before = bulk->last_sent;
	slot->sent_after = NO_IMAGE;
	*(bulk->last_sent == NO_IMAGE ? &bulk->first_sent
								  : &SlotOf(bulk, bulk->last_sent)->sent_after) = number;
	bulk->last_sent = number;
	bulk->in_flight++;
}

/* The decoding engine is done with an image. */
static void
LeaveFlight(BulkHash *bulk, const Slot *slot)
{
	uint64 before = slot->sent_before;
	uint64 after = slot->sent_after;

	if (slot->state != SLOT_SENT)
		return;
	*(before == NO_IMAGE ? &bulk->first_sent : &SlotOf(bulk, before)->sent_after) = after;
	*(after == NO_IMAGE ? &bulk->last_sent : &SlotOf(bulk, after)->sent_before) = before;
	bulk->in_flight--;
	bulk->alone = false;
	bulk->counts.bytes += slot->length;
}

/* Note an image's status; `message` is copied. */
static void
NoteStatus(BulkHash *bulk, Slot *slot, BulkStatus status, const char *message)
{
	slot->status = status;
	slot->message = message == NULL ? NULL : MemoryContextStrdup(bulk->context, message);
}

/* An image whose status is noted is answered. What was kept of it is freed. */
static void
EndSlot(BulkHash *bulk, Slot *slot)
{
	LeaveFlight(bulk, slot);
	slot->state = SLOT_ANSWERED;
	bulk->unanswered--;
	FreePlace(bulk, slot);
	if (slot->data != NULL)
	{
		if (!slot->is_file)
			bulk->held_bytes -= slot->length;
		pfree(slot->data);
		slot->data = NULL;
	}
}

/* Give an image its answer. */
static void
Answer(BulkHash *bulk, Slot *slot, BulkStatus status, const char *message)
{
	NoteStatus(bulk, slot, status, message);
	EndSlot(bulk, slot);
}

/* The status that a file's fault means. */
static BulkStatus
StatusOfFileFault(ImageFileFault fault)
{
	switch (fault)
	{
	case IMAGE_FILE_NOT_FOUND:
		return BULK_NOT_FOUND;
	case IMAGE_FILE_DENIED:
		return BULK_DENIED;
	case IMAGE_FILE_TOO_LARGE:
		return BULK_TOO_LARGE;
	default:
		return BULK_UNREADABLE;
	}
}

/* Answer an image whose encoded form is too large. */
static void
AnswerTooLarge(BulkHash *bulk, Slot *slot, uint64 length)
{
	Answer(bulk, slot, BULK_TOO_LARGE,
		   psprintf("image is too large: %llu bytes; \"vamhash.max_image_bytes\" is %llu",
					(unsigned long long) length, (unsigned long long) bulk->params.max_bytes));
}

/*
 * Give the image at the cursor, which has gone back, the room of the last file ahead of it; false if
 * there is none yet: where that is being opened, it comes later.
 */
static bool
MakeRoom(BulkHash *bulk)
{
	int before = FileOpenerRoom(bulk->opener);
	uint64 number = bulk->next - 1;

	while (number > bulk->cursor && SlotOf(bulk, number)->place < 0)
		number--;
	if (number > bulk->cursor)
		FreePlace(bulk, SlotOf(bulk, number));
	return FileOpenerRoom(bulk->opener) > before;
}

/* Does the image at the cursor wait for its file, which was not asked for? */
static bool
CursorLacksFile(BulkHash *bulk)
{
	const Slot *slot = SlotOf(bulk, bulk->cursor);

	return slot->state == SLOT_WAITING && slot->place < 0;
}

/* Ask for the files from the cursor on, as many as may be open. */
static void
AskForFiles(BulkHash *bulk)
{
	bulk->ahead = Max(bulk->ahead, bulk->cursor);
	/* That of the cursor, which all others wait for, in any case: as soon as there is room. */
	if (bulk->ahead == bulk->cursor)
		FileOpenerExchange(bulk->opener);
	else if (FileOpenerRoom(bulk->opener) < OPENED_AHEAD)
		return;
	do
	{
		while (bulk->ahead < bulk->next && FileOpenerRoom(bulk->opener) > 0)
		{
			Slot *slot = SlotOf(bulk, bulk->ahead);

			if (slot->state == SLOT_WAITING && slot->place < 0 &&
				(slot->place = FileOpenerAsk(bulk->opener, slot->data)) < 0)
				break;
			bulk->ahead++;
		}
	} while (bulk->ahead == bulk->cursor && CursorLacksFile(bulk) && MakeRoom(bulk));
}

/* Get the file of the slot at the cursor; if it is open, it is what is sent next. */
static void
TakeSlotFile(BulkHash *bulk, Slot *slot)
{
	ImageFile file;

	if (slot->place < 0 || !FileOpenerGet(bulk->opener, slot->place, slot->data, &file))
		return;
	if (file.fault == IMAGE_FILE_OK)
	{
		bulk->out.file = file.descriptor;
		slot->length = file.size;
		return;
	}
	if (file.fault == IMAGE_FILE_TOO_LARGE)
		AnswerTooLarge(bulk, slot, file.size);
	else
		Answer(bulk, slot, StatusOfFileFault(file.fault), file.message);
	pfree(file.message);
	if (file.detail != NULL)
		pfree(file.detail);
}

/* May the image at the cursor be sent now? */
static bool
MaySend(BulkHash *bulk)
{
	if (bulk->in_flight == 0)
		return true;
	return !bulk->alone && bulk->cursor >= bulk->careful_until &&
		   (!bulk->files || bulk->in_flight < max_files);
}

/* Make the next frame of the image at the cursor. */
static void
MakeFrame(BulkHash *bulk, const Slot *slot)
{
	Outgoing *out = &bulk->out;
	Size left = slot->is_file ? 0 : slot->length - out->offset;
	Size image_header = out->begun ? 0 : sizeof(ImageHeader);
	FrameHeader header = {};

	out->body_length = Min(left, max_payload - image_header);
	out->body_sent = 0;
	header.magic = magic;
	header.length = (uint32) (image_header + out->body_length);
	header.operation = (uint16) (out->begun ? Operation::data : Operation::image);
	header.id = EngineRequestId(bulk->engine);
	memcpy(out->head, &header, sizeof(header));
	if (!out->begun)
	{
		ImageHeader image = {};

		image.number = (uint32) bulk->cursor;
		image.flags = (slot->is_file ? image_is_file : 0) | (slot->to_arena ? image_to_arena : 0);
		image.length = slot->length;
		memcpy(out->head + sizeof(header), &image, sizeof(image));
	}
	out->head_length = sizeof(header) + image_header;
	out->head_sent = 0;
	out->begun = true;
}

/* Send what there is room for of the frame that is being sent; true if it has gone. */
static bool
SendFrame(BulkHash *bulk, Slot *slot)
{
	Outgoing *out = &bulk->out;
	struct iovec pieces[2];
	int count = 0;
	Size sent;
	Size of_head;

	if (out->head_sent < out->head_length)
		pieces[count++] = {out->head + out->head_sent, out->head_length - out->head_sent};
	if (out->body_sent < out->body_length)
		pieces[count++] = {slot->data + out->offset + out->body_sent,
						   out->body_length - out->body_sent};
	sent = EngineTrySend(bulk->engine, pieces, count, out->file);
	if (sent > 0 && out->file >= 0)
	{
		FreePlace(bulk, slot);
		out->file = -1;
	}
	of_head = Min(sent, out->head_length - out->head_sent);
	out->head_sent += of_head;
	out->body_sent += sent - of_head;
	if (out->head_sent < out->head_length || out->body_sent < out->body_length)
		return false;
	out->offset += out->body_length;
	out->head_length = 0;
	return true;
}

/* The image at the cursor begins to be sent. */
static void
StartSlot(BulkHash *bulk, Slot *slot)
{
	bulk->alone = bulk->cursor < bulk->careful_until;
	/* It may have been the arena that the engine ended of: its memory is taken as it is written to. */
	slot->to_arena = !bulk->alone && !slot->on_cpu && bulk->device != NULL &&
					 BulkDeviceIsReady(bulk->device) && BulkDeviceParts(bulk->device) > 0;
	EnterFlight(bulk, slot, bulk->cursor);
}

/* Send what the engine must be told of the arena; true if there is nothing more. */
static bool
SendControl(BulkHash *bulk)
{
	Control *control = &bulk->control;

	while (bulk->device != NULL && bulk->engine != NULL && !bulk->out.begun)
	{
		struct iovec piece = {control->frame, control->length};
		Size sent;

		if (control->length == 0)
			control->length = BulkDeviceTell(bulk->device, EngineRequestId(bulk->engine),
											 control->frame, &control->file);
		if (control->length == 0)
			return true;
		piece.iov_len = control->length;
		sent = EngineTrySend(bulk->engine, &piece, 1, control->file);
		if (sent == 0)
			return false;
		control->file = -1;
		control->length -= sent;
		memmove(control->frame, control->frame + sent, control->length);
	}
	return true;
}

/* Must images wait for the device? */
static bool
AwaitsDevice(BulkHash *bulk)
{
	return bulk->device != NULL && BulkDeviceIsRequired(bulk->device) &&
		   BulkDeviceIsStarting(bulk->device);
}

/* Have an image decoded again, and hashed there: the device is not for it. */
static void
SendAgain(BulkHash *bulk, Slot *slot, uint64 number)
{
	slot->state = SLOT_WAITING;
	slot->on_cpu = true;
	if (slot->message != NULL)
		pfree(slot->message);
	slot->message = NULL;
	bulk->again = Min(bulk->again, number);
	bulk->oldest = Min(bulk->oldest, number);
}

/* Go back to the first image that waits to be sent again, unless another one is being sent. */
static void
GoBack(BulkHash *bulk)
{
	if (bulk->out.begun || bulk->again == NO_IMAGE)
		return;
	bulk->cursor = Min(bulk->cursor, bulk->again);
	bulk->ahead = Min(bulk->ahead, bulk->again);
	bulk->again = NO_IMAGE;
}

/* Send what may be sent, as long as there is room. */
static void
SendImages(BulkHash *bulk)
{
	if (!SendControl(bulk) || AwaitsDevice(bulk))
		return;
	GoBack(bulk);
	while (bulk->cursor < bulk->next)
	{
		Slot *slot = SlotOf(bulk, bulk->cursor);

		if (bulk->files)
			AskForFiles(bulk);
		if (slot->state != SLOT_WAITING && !bulk->out.begun)
		{
			bulk->cursor++;
			continue;
		}
		if (slot->state == SLOT_WAITING)
		{
			if (!MaySend(bulk))
				return;
			if (slot->is_file)
			{
				TakeSlotFile(bulk, slot);
				if (slot->state == SLOT_ANSWERED)
					continue;
				if (bulk->out.file < 0)
					return;
			}
			if (bulk->engine == NULL)
				bulk->engine = EngineBegin(ENGINE_DECODE, Operation::begin_images, &bulk->params,
										   sizeof(bulk->params));
			if (!SendControl(bulk))
			{
				/* Another one may be at the cursor next time. */
				bulk->out.file = -1;
				return;
			}
			StartSlot(bulk, slot);
		}
		if (bulk->out.head_length == 0)
			MakeFrame(bulk, slot);
		if (!SendFrame(bulk, slot))
			return;
		if (slot->is_file || bulk->out.offset == slot->length)
		{
			ClearOutgoing(bulk);
			bulk->cursor++;
			GoBack(bulk);
			/* What had to wait for the image, though none may follow. */
			if (!SendControl(bulk))
				return;
		}
	}
}

/* The status that a record's fault means, once it is checked. */
static BulkStatus
StatusOfFault(uint16 fault)
{
	switch ((Fault) fault)
	{
	case Fault::none:
		return BULK_OK;
	case Fault::image_truncated:
		return BULK_TRUNCATED;
	case Fault::image_corrupt:
		return BULK_CORRUPT;
	case Fault::image_unsupported:
		return BULK_UNSUPPORTED;
	case Fault::image_too_large:
		return BULK_TOO_LARGE;
	case Fault::image_unreadable:
		return BULK_UNREADABLE;
	case Fault::out_of_memory:
		return BULK_OUT_OF_MEMORY;
	default:
		return BULK_CRASHED;
	}
}

/* Take one record of the engine's; what it says is checked as everything that it says. */
static void
TakeRecord(BulkHash *bulk, const ImageRecord *record, const char *message_bytes)
{
	uint32 age = record->number - (uint32) bulk->first;
	uint64 number = bulk->first + age;
	Slot *slot = SlotOf(bulk, number);
	BulkStatus status;
	char *message;

	ImageAsked asked = {};

	if (number >= bulk->next || slot->state != SLOT_SENT ||
		(number == bulk->cursor && bulk->out.begun))
		EngineRejectReply(bulk->engine, "an answer about an image that was not sent");
	asked.is_file = slot->is_file;
	asked.parts = slot->to_arena ? BulkDeviceParts(bulk->device) : 0;
	EngineCheckReply(bulk->engine, check_image_record(*record, asked));
	EngineCheckReply(bulk->engine, check_message(message_bytes, record->message_length));
	status = StatusOfFault(record->status);
	message = pnstrdup(message_bytes, record->message_length);
	if (status == BULK_UNREADABLE)
		message = psprintf("image file \"%s\" %s", slot->data, message);
	slot->hashed = record->hashed != (uint8) ImageHashed::no;
	slot->hashes = record->result;
	bulk->fruitless = 0;
	NoteStatus(bulk, slot, status, status == BULK_OK ? NULL : message);
	pfree(message);
	if (record->hashed != (uint8) ImageHashed::placed)
	{
		EndSlot(bulk, slot);
		return;
	}
	LeaveFlight(bulk, slot);
	slot->state = SLOT_PLACED;
	EngineCheckReply(bulk->engine, BulkDeviceTake(bulk->device, number, record));
}

/* Take the end of a batch of pictures. */
static void
TakeBatch(BulkHash *bulk, const EngineReply *reply)
{
	ArenaPart part;

	memcpy(&part, reply->payload, sizeof(part));
	if (bulk->device == NULL)
		EngineRejectReply(bulk->engine, "a batch where there is no device");
	EngineCheckReply(bulk->engine, BulkDeviceClose(bulk->device, &part));
}

/* Take what the device has to say of pictures. */
static void
TakeAnswers(BulkHash *bulk)
{
	PictureAnswer answer;

	while (BulkDeviceNext(bulk->device, &answer))
	{
		Slot *slot = SlotOf(bulk, answer.number);

		if (answer.hashes.status == (uint32) PictureStatus::impossible && bulk->engine != NULL)
			EngineRejectReply(bulk->engine, "a picture that is not there");
		if (answer.hashes.status != (uint32) PictureStatus::hashed)
		{
			SendAgain(bulk, slot, answer.number);
			continue;
		}
		slot->hashes.dhash = answer.hashes.dhash;
		slot->hashes.ahash = answer.hashes.ahash;
		slot->hashes.whash = answer.hashes.whash;
		slot->hashes.phash = answer.hashes.phash;
		slot->hashes.whash16 = answer.hashes.whash16;
		EndSlot(bulk, slot);
	}
}

/* Take the records of a RESULT frame. */
static void
TakeRecords(BulkHash *bulk, const EngineReply *reply)
{
	Size offset = 0;

	while (offset < reply->length)
	{
		const char *place = reply->payload + offset;
		Size left = reply->length - offset;
		ImageRecord record;

		if (left < sizeof(record))
			EngineRejectReply(bulk->engine, "a part of an image's record");
		memcpy(&record, place, sizeof(record));
		EngineCheckReply(bulk->engine, check_image_record_size(record, left));
		TakeRecord(bulk, &record, place + sizeof(record));
		offset += image_record_size(record.message_length);
	}
}

/* Begin anew after an engine: all that was sent and not answered waits again. */
static void
Rewind(BulkHash *bulk)
{
	bulk->engine = NULL;
	bulk->counts.restarts++;
	/* Also those beyond the cursor, which may have gone back. */
	for (uint64 number = bulk->oldest; number < bulk->next; number++)
	{
		Slot *slot = SlotOf(bulk, number);

		if (slot->state == SLOT_SENT)
			slot->state = SLOT_WAITING;
		/* Those that come first now need the room. */
		FreePlace(bulk, slot);
	}
	ClearOutgoing(bulk);
	bulk->control.length = 0;
	if (bulk->device != NULL)
	{
		BulkDeviceLoseDecoder(bulk->device);
		TakeAnswers(bulk);
	}
	bulk->cursor = bulk->oldest;
	bulk->ahead = bulk->oldest;
	bulk->again = NO_IMAGE;
	bulk->first_sent = NO_IMAGE;
	bulk->last_sent = NO_IMAGE;
	bulk->in_flight = 0;
	bulk->alone = false;
	bulk->waited_us = 0;
}

/* Move `oldest` to the first image that is not decoded. */
static void
FindOldest(BulkHash *bulk)
{
	while (bulk->oldest < bulk->next && SlotOf(bulk, bulk->oldest)->state >= SLOT_PLACED)
		bulk->oldest++;
}

/* The engine has ended: find out whose fault it is, and go on with another. */
static void
TakeEnd(BulkHash *bulk)
{
	char *how = EngineBury(bulk->engine);

	FindOldest(bulk);
	if (++bulk->fruitless > MAX_FRUITLESS_ENGINES)
		ereport(ERROR, (errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
						errmsg("the vamhash engine (decode) ended %d times without an answer",
							   bulk->fruitless),
						errdetail_internal("%s", how)));
	if (bulk->alone)
	{
		Slot *slot = SlotOf(bulk, bulk->first_sent);

		if (++slot->crashes >= CRASHES_TO_BLAME)
			Answer(bulk, slot, BULK_CRASHED,
				   psprintf("the engine process ended while it had the image alone: %s", how));
	}
	for (uint64 number = bulk->first_sent; number != NO_IMAGE;
		 number = SlotOf(bulk, number)->sent_after)
		bulk->careful_until = Max(bulk->careful_until, number + 1);
	FindOldest(bulk);
	Rewind(bulk);
	pfree(how);
}

/* The image that is waited for has had its time. */
static void
TakeTimeout(BulkHash *bulk)
{
	Slot *slot = SlotOf(bulk, bulk->waited_for);
	bool opening = slot->is_file && slot->state == SLOT_WAITING;

	if (!opening && bulk->engine != NULL)
		EngineAbandon(bulk->engine);
	Answer(bulk, slot, BULK_TIMEOUT,
		   psprintf("%s took too long; \"vamhash.image_timeout\" is %d ms",
					opening ? "opening the file" : "hashing the image", vamhash_image_timeout));
	FindOldest(bulk);
	if (opening)
		FileOpenerRestart(bulk->opener);
	else
		Rewind(bulk);
}

/* Have a device opened once there are images enough, and take what it has to say. */
static void
ExchangeWithDevice(BulkHash *bulk)
{
	if (bulk->device == NULL)
		return;
	if (bulk->unanswered > 0)
		BulkDeviceStart(bulk->device, bulk->next);
	BulkDeviceExchange(bulk->device);
	TakeAnswers(bulk);
}

/* Send what there is room for and take what has come; returns at once. */
static void
Exchange(BulkHash *bulk)
{
	CHECK_FOR_INTERRUPTS();
	for (;;)
	{
		EngineReply reply;
		EngineNews news;

		ExchangeWithDevice(bulk);
		SendImages(bulk);
		if (bulk->engine == NULL)
			return;
		news = EngineTryReceive(bulk->engine, &reply);
		if (news == ENGINE_SILENT)
			return;
		if (news == ENGINE_GONE)
			TakeEnd(bulk);
		else if (reply.operation == Operation::result)
			TakeRecords(bulk, &reply);
		else if (reply.operation == Operation::batch)
			TakeBatch(bulk, &reply);
		else
			EngineRejectReply(bulk->engine, "DONE before END");
	}
}

/* Is the image at the cursor one that might be sent, were its file open? */
static bool
AwaitsFile(BulkHash *bulk)
{
	Slot *slot = SlotOf(bulk, bulk->cursor);

	return bulk->cursor < bulk->next && slot->state == SLOT_WAITING && slot->is_file &&
		   MaySend(bulk) && !AwaitsDevice(bulk);
}

/*
 * The image that the engine decodes, or whose file is opened; NO_IMAGE where something else is waited
 * for: a device takes as long as it takes, to be opened and to hash. Where one must be used, images wait
 * in the engine for what it hashes.
 */
static uint64
AwaitedImage(BulkHash *bulk)
{
	FindOldest(bulk);
	if (bulk->oldest == bulk->next || AwaitsDevice(bulk) ||
		(bulk->device != NULL && BulkDeviceIsRequired(bulk->device) &&
		 BulkDeviceIsHashing(bulk->device)))
		return NO_IMAGE;
	return bulk->in_flight > 0 ? bulk->first_sent : bulk->oldest;
}

/*
 * Wait until the engine has something to say or takes more, or a file is opened; there must be an image in
 * flight, or one that waits for its file.
 */
static void
WaitForNews(BulkHash *bulk)
{
	uint64 awaited = AwaitedImage(bulk);
	uint64 limit_us = awaited == NO_IMAGE ? 0 : (uint64) vamhash_image_timeout * 1000;
	EngineWish wishes[MAX_WISHES];
	int count = 0;
	bool awaits_file;
	uint64 took;

	if (bulk->waited_for != awaited)
		bulk->waited_us = 0;
	bulk->waited_for = awaited;
	if (limit_us > 0 && bulk->waited_us >= limit_us)
	{
		TakeTimeout(bulk);
		return;
	}
	/* What was not sent though it might be found no room, or waits for its file. */
	awaits_file = AwaitsFile(bulk);
	if (awaits_file)
		wishes[count++] = FileOpenerWish(bulk->opener);
	if (bulk->engine != NULL)
	{
		bool to_send =
			bulk->out.begun || bulk->control.length > 0 ||
			(!awaits_file && bulk->cursor < bulk->next && MaySend(bulk) && !AwaitsDevice(bulk));

		wishes[count++] = {bulk->engine, to_send};
	}
	if (bulk->device != NULL && BulkDeviceWish(bulk->device, &wishes[count]))
		count++;
	took = EngineWait(wishes, count,
					  limit_us > 0 ? (long) ((limit_us - bulk->waited_us + 999) / 1000) : -1);
	bulk->waited_us += took;
	bulk->counts.seconds_waiting += took / 1e6;
}

/* Is there room for an image of so many bytes? One that is larger than all room must be alone. */
static bool
HasRoom(BulkHash *bulk, Size length)
{
	if (bulk->unanswered == 0)
		return true;
	if (bulk->unanswered >= max_images ||
		(bulk->held_bytes > 0 && bulk->held_bytes + length > bulk->max_held_bytes))
		return false;
	return bulk->next - bulk->first < MAX_SLOTS ||
		   SlotOf(bulk, bulk->first)->state == SLOT_ANSWERED;
}

void
BulkHashPut(BulkHash *bulk, const ImageSource *source, Datum tag)
{
	bool is_file = source->path != NULL;
	bool too_large = !is_file && source->length > bulk->params.max_bytes;
	Size held = is_file || too_large || source->bytes == NULL ? 0 : source->length;
	Slot *slot;

	while (!HasRoom(bulk, held))
	{
		Exchange(bulk);
		if (HasRoom(bulk, held))
			break;
		WaitForNews(bulk);
	}
	if (bulk->next - bulk->first == bulk->capacity)
		GrowRing(bulk);
	slot = SlotOf(bulk, bulk->next);
	memset(slot, 0, sizeof(*slot));
	slot->tag = tag;
	slot->place = -1;
	slot->is_file = is_file;
	if (is_file)
		slot->data = MemoryContextStrdup(bulk->context, source->path);
	else if (held > 0 || (source->bytes != NULL && !too_large))
	{
		slot->data = (char *) MemoryContextAllocHuge(bulk->context, Max(held, 1));
		memcpy(slot->data, source->bytes, held);
		slot->length = held;
		bulk->held_bytes += held;
	}
	bulk->next++;
	bulk->unanswered++;
	if (too_large)
		AnswerTooLarge(bulk, slot, source->length);
	else if (slot->data == NULL)
		Answer(bulk, slot, BULK_NO_IMAGE, bulk->files ? "the path is NULL" : "the image is NULL");
	Exchange(bulk);
}

bool
BulkHashNext(BulkHash *bulk, bool wait, BulkHashRow *row)
{
	Slot *slot;

	if (bulk->last_message != NULL)
		pfree(bulk->last_message);
	bulk->last_message = NULL;
	if (bulk->first == bulk->next)
		return false;
	while (SlotOf(bulk, bulk->first)->state != SLOT_ANSWERED)
	{
		if (!wait)
			return false;
		Exchange(bulk);
		if (SlotOf(bulk, bulk->first)->state != SLOT_ANSWERED)
			WaitForNews(bulk);
	}
	slot = SlotOf(bulk, bulk->first);
	row->number = bulk->first;
	row->tag = slot->tag;
	row->status = slot->status;
	row->hashed = slot->hashed;
	row->hashes = slot->hashes;
	row->message = bulk->last_message = slot->message;
	bulk->first++;
	bulk->oldest = Max(bulk->oldest, bulk->first);
	bulk->cursor = Max(bulk->cursor, bulk->first);
	bulk->counts.images++;
	if (row->status != BULK_OK)
		bulk->counts.bad++;
	AddToTotal(row->hashed ? TOTAL_IMAGES : TOTAL_IMAGE_ERRORS, 1);
	return true;
}

const BulkHashCounts *
BulkHashGetCounts(const BulkHash *bulk)
{
	return &bulk->counts;
}

/* Take the engine's report at the end of its request. */
static void
TakeReport(BulkHash *bulk, const EngineReply *reply)
{
	ImagesDone report;

	if (reply->length != sizeof(report))
		EngineRejectReply(bulk->engine, "DONE has a wrong length");
	memcpy(&report, reply->payload, sizeof(report));
	EngineCheckReply(bulk->engine, check_images_report(report));
	bulk->counts.threads = report.threads;
	bulk->counts.seconds_reading = report.reading_seconds;
	bulk->counts.seconds_decoding = report.decoding_seconds;
}

/* End the device's part. */
static void
EndDevice(BulkHash *bulk)
{
	bulk->counts.device = BulkDeviceFinish(bulk->device);
	AddToTotal(TOTAL_FALLBACKS, bulk->counts.device.fallbacks);
	AddToTotal(TOTAL_DEVICE_IMAGES, bulk->counts.device.pictures);
}

BulkHashCounts
BulkHashFinish(BulkHash *bulk)
{
	long timeout = vamhash_image_timeout > 0 ? vamhash_image_timeout : -1;
	EngineReply done;
	BulkHashCounts counts;

	if (bulk->engine != NULL && bulk->in_flight > 0)
		EngineAbandon(bulk->engine);
	else if (bulk->engine != NULL && EngineEnd(bulk->engine, timeout, &done))
	{
		TakeReport(bulk, &done);
		EngineFinish(bulk->engine);
	}
	if (bulk->opener != NULL)
	{
		bulk->counts.restarts += FileOpenerRestarts(bulk->opener);
		FileOpenerEnd(bulk->opener, timeout);
	}
	if (bulk->device != NULL)
		EndDevice(bulk);
	counts = bulk->counts;
	MemoryContextDelete(bulk->context);
	return counts;
}
