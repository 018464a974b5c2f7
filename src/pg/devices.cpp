/*
 * devices.cpp
 *		SQL function vamhash_devices(): the devices that there are, as the engine finds them.
 *
 * The backend never loads a driver: the `compute` engine does, and answers with a record of each
 * device, and of each backend that has none and why.
 */
#include "pg/postgres.hpp"

extern "C"
{
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"
}

#include "pg/engine_client.hpp"
#include "protocol/reply_check.h"

using namespace vamhash::protocol;

/* Columns of the result. */
enum DeviceColumn
{
	DEVICE_BACKEND,
	DEVICE_ID,
	DEVICE_NAME,
	DEVICE_MEMORY_BYTES,
	DEVICE_FREE_BYTES,
	DEVICE_CAPABILITY,
	DEVICE_DRIVER,
	DEVICE_USABLE,
	DEVICE_REASON,
	DEVICE_COLUMNS,
};

/* Set a column to a text; an empty one is null. */
static void
SetText(Datum *value, bool *null, const char *text)
{
	*null = text[0] == '\0';
	*value = *null ? (Datum) 0 : CStringGetTextDatum(text);
}

/* Put a device into the result. */
static void
PutDevice(ReturnSetInfo *info, const DeviceRecord *device)
{
	Datum values[DEVICE_COLUMNS] = {};
	bool nulls[DEVICE_COLUMNS] = {};

	SetText(&values[DEVICE_BACKEND], &nulls[DEVICE_BACKEND], device->backend);
	values[DEVICE_ID] = Int32GetDatum(device->device_id);
	nulls[DEVICE_ID] = device->device_id < 0;
	SetText(&values[DEVICE_NAME], &nulls[DEVICE_NAME], device->name);
	values[DEVICE_MEMORY_BYTES] = Int64GetDatum((int64) device->memory_bytes);
	nulls[DEVICE_MEMORY_BYTES] = device->memory_bytes == 0;
	values[DEVICE_FREE_BYTES] = Int64GetDatum((int64) device->free_bytes);
	nulls[DEVICE_FREE_BYTES] = device->free_bytes == unknown_bytes;
	SetText(&values[DEVICE_CAPABILITY], &nulls[DEVICE_CAPABILITY], device->capability);
	SetText(&values[DEVICE_DRIVER], &nulls[DEVICE_DRIVER], device->driver);
	values[DEVICE_USABLE] = BoolGetDatum(device->usable == 1);
	SetText(&values[DEVICE_REASON], &nulls[DEVICE_REASON], device->reason);
	tuplestore_putvalues(info->setResult, info->setDesc, values, nulls);
}

/* vamhash_devices() */
VAMHASH_FUNCTION(vamhash_devices)
{
	EngineRequest *request;
	EngineReply reply;
	uint32 count = 0;

	InitMaterializedSRF(fcinfo, 0);
	request = EngineBegin(ENGINE_COMPUTE, Operation::begin_devices, NULL, 0);
	EngineSendData(request, NULL, 0, true);
	while ((reply = EngineReceive(request)).operation == Operation::result)
	{
		if (reply.length % sizeof(DeviceRecord) != 0)
			EngineRejectReply(request, "a part of a device");
		for (Size offset = 0; offset < reply.length; offset += sizeof(DeviceRecord))
		{
			DeviceRecord device;

			memcpy(&device, reply.payload + offset, sizeof(device));
			EngineCheckReply(request, check_device(device, count++));
			PutDevice((ReturnSetInfo *) fcinfo->resultinfo, &device);
		}
	}
	if (reply.operation != Operation::done || reply.length != sizeof(Done))
		EngineRejectReply(request, "expected DONE after the devices");
	EngineFinish(request);
	return (Datum) 0;
}
