/*
 * bulk_device.hpp
 *		The device of a bulk: another engine, which hashes what the first one has decoded.
 *
 *		BulkDevice *device = BulkDeviceCreate(&options);
 *		while there are pictures:
 *			BulkDeviceStart(device, images)
 *			BulkDeviceExchange(device)					(sends and receives; returns at once)
 *			BulkDeviceTell(device, ...)					(what the decoding engine must be told)
 *			BulkDeviceTake(device, number, &record)		(a picture that was placed)
 *			BulkDeviceClose(device, &part)				(a part that is complete)
 *			while (BulkDeviceNext(device, &answer))
 *				...
 *		BulkDeviceFinish(device);
 *
 *		A device that fails, or cannot be had, is an error where it must be used. Otherwise
 *		all pictures are answered as failed, and the CPU is to hash them.
 */
#pragma once

#include "pg/engine_client.hpp"
#include "pg/picture_arena.hpp"
#include "pg/progress.hpp"

typedef struct BulkDevice BulkDevice;

typedef struct BulkDeviceOptions
{
	uint32 wanted;
	bool fast;			 /* decoding */
	int threads;		 /* that decode */
	Job *job;			 /* is told the device's name; may be NULL */
	PictureArena *arena; /* that outlives the bulk; NULL: an own one */
} BulkDeviceOptions;

/* What has become of a picture. */
typedef struct PictureAnswer
{
	uint64 number; /* of the image, as it was taken */
	vamhash::protocol::PictureHashes hashes;
} PictureAnswer;

/* What a device did for a bulk; `name` and `failure` are empty or in memory of the session. */
typedef struct BulkDeviceCounts
{
	uint64 pictures; /* that it has hashed */
	uint64 batches;
	uint64 left; /* pictures that it left to the CPU */
	uint64 fallbacks;
	uint64 bytes; /* the most that was allocated on it */
	double seconds;
	char name[128];
	char failure[200]; /* why the CPU did what a device was asked for, the last reason */
} BulkDeviceCounts;

/* NULL where no device may be used. */
extern BulkDevice *BulkDeviceCreate(const BulkDeviceOptions *options);

/* Must it be used? Then images are to wait until it is ready. */
extern bool BulkDeviceIsRequired(const BulkDevice *device);

/* Begin to open it, if so many images are worth it and that was not begun. */
extern void BulkDeviceStart(BulkDevice *device, uint64 images);

/* Is it about to be ready? */
extern bool BulkDeviceIsStarting(const BulkDevice *device);

/* May images be decoded for it? */
extern bool BulkDeviceIsReady(const BulkDevice *device);

/* Does it have pictures to hash? */
extern bool BulkDeviceIsHashing(const BulkDevice *device);

/* Send what there is room for, and take what has come. */
extern void BulkDeviceExchange(BulkDevice *device);

/* What to wait for; false if there is nothing. */
extern bool BulkDeviceWish(const BulkDevice *device, EngineWish *wish);

/* The most that BulkDeviceTell() gives. */
#define BULK_DEVICE_FRAME_SIZE                                                                     \
	(sizeof(vamhash::protocol::FrameHeader) + sizeof(vamhash::protocol::Arena))

/*
 * The next frame that the decoding engine must be sent, before any other; its length, or 0. *file goes
 * with it (-1: none).
 */
extern Size BulkDeviceTell(BulkDevice *device, uint32 request_id, char *frame, int *file);

/* Parts of the arena that the decoding engine knows; 0: it has none. */
extern uint32 BulkDeviceParts(const BulkDevice *device);

/* Take a picture that was put into the arena; what is wrong with it, or NULL. */
extern const char *BulkDeviceTake(BulkDevice *device, uint64 number,
								  const vamhash::protocol::ImageRecord *record);

/* Have a part hashed that is complete; what is wrong with it, or NULL. */
extern const char *BulkDeviceClose(BulkDevice *device, const vamhash::protocol::ArenaPart *part);

/*
 * The decoding engine has ended: pictures in parts that were not closed are lost, and are answered as
 * failed. Its successor gets another arena.
 */
extern void BulkDeviceLoseDecoder(BulkDevice *device);

/* Get the answer of a picture; false if there is none yet. */
extern bool BulkDeviceNext(BulkDevice *device, PictureAnswer *answer);

/*
 * End it; pictures without an answer are dropped. One that is starting is waited for, so that the next
 * bulk finds it ready: as long as this one has taken, or where others share its arena until it is.
 */
extern BulkDeviceCounts BulkDeviceFinish(BulkDevice *device);
