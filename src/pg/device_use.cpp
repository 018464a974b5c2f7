/*
 * device_use.cpp
 *		What requests that may use a device have in common: the settings, and the slot.
 *
 * An engine that would use a device asks first (ASK_DEVICE), and gets one of the cluster's
 * slots (device_slots.cpp). Where none is free, it uses the CPU, or the call waits.
 */
#include "pg/postgres.hpp"
#include "pg/device_use.hpp"

extern "C"
{
#include "storage/fd.h"
}

#include "pg/device_slots.hpp"
#include "pg/settings.hpp"

using namespace vamhash::protocol;

/* How often one looks for a free device. */
#define DEVICE_POLL_MS 50

DeviceSettings
GetDeviceSettings(bool *barred)
{
	DeviceSettings settings = {};

	settings.memory_limit = (uint64) vamhash_gpu_memory_limit * 1024;
	settings.min_rows = vamhash_gpu_min_rows;
	settings.use = vamhash_gpu;
	settings.device_id = vamhash_device_id;
	GetBackends(settings.backends);
	*barred = vamhash_max_gpu_engines == 0 && settings.use != (uint32) DeviceUse::off;
	if (*barred && MustUseDevice(&settings))
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("a device must be used, and none may be"),
						errdetail("\"vamhash.gpu\" is on, \"vamhash.max_gpu_engines\" is 0."),
						errhint("With \"vamhash.gpu\" set to auto, the CPU does the work.")));
	if (*barred)
		settings.use = (uint32) DeviceUse::off;
	return settings;
}

/*
 * Take a slot for the engine; -1 if none is free, but where a device must be used, waits until one is.
 * An idle engine of this very session may have the last one, and nobody else would end that: this does.
 * A call inside another one that has a device must not wait: it might be for that one.
 */
static int
TakeSlot(EngineRequest *request, bool must, Job *job, const char *phase)
{
	int slot = TakeDeviceSlot(must);

	if (slot < 0 && EngineEndIdleHolders())
		slot = TakeDeviceSlot(must);
	if (slot >= 0 || !must)
		return slot;
	if (EngineIsInsideHolder(request))
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("no device is free for a call inside one that has a device"),
						errdetail("\"vamhash.max_gpu_engines\" is %d.", vamhash_max_gpu_engines),
						errhint("With \"vamhash.gpu\" set to auto, the CPU does the work.")));
	SetJobPhase(job, "waiting for a device", -1);
	while ((slot = TakeDeviceSlot(must)) < 0)
		EngineLetWait(request, DEVICE_POLL_MS);
	SetJobPhase(job, phase, -1);
	return slot;
}

void
AnswerDeviceQuestion(EngineRequest *request, const DeviceSettings *settings, Job *job,
					 const char *phase)
{
	int slot;

	if (settings->use == (uint32) DeviceUse::off)
		EngineRejectReply(request, "ASK_DEVICE where no device may be used");
	slot = TakeSlot(request, MustUseDevice(settings), job, phase);
	EngineAnswerDevice(request, slot);
	if (slot >= 0)
		CloseTransientFile(slot);
}
