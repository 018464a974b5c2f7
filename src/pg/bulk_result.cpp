/*
 * bulk_result.cpp
 *		What is known of images that were hashed in bulk, and how SQL shows it.
 */
#include "pg/postgres.hpp"
#include "pg/bulk_result.hpp"

extern "C"
{
#include "utils/builtins.h"
}

#include "pg/statistics.hpp"

/* In the order of BulkStatus. */
static const char *const status_names[] = {
	"ok",	  "truncated",	"corrupt", "unsupported",	"too_large", "not_found",
	"denied", "unreadable", "timeout", "out_of_memory", "crashed",	 "no_image",
};
static_assert(lengthof(status_names) == BULK_STATUS_COUNT, "a status without a name");

const char *
BulkStatusName(BulkStatus status)
{
	return status_names[status];
}

void
AddBulkCounts(BulkHashCounts *sum, const BulkHashCounts *counts)
{
	BulkDeviceCounts *device = &sum->device;

	sum->images += counts->images;
	sum->bad += counts->bad;
	sum->bytes += counts->bytes;
	sum->restarts += counts->restarts;
	sum->seconds_waiting += counts->seconds_waiting;
	sum->threads = counts->threads;
	sum->seconds_reading += counts->seconds_reading;
	sum->seconds_decoding += counts->seconds_decoding;
	device->pictures += counts->device.pictures;
	device->batches += counts->device.batches;
	device->left += counts->device.left;
	device->fallbacks += counts->device.fallbacks;
	device->bytes = Max(device->bytes, counts->device.bytes);
	device->seconds += counts->device.seconds;
	if (counts->device.name[0] != '\0')
		strlcpy(device->name, counts->device.name, sizeof(device->name));
	if (counts->device.failure[0] != '\0')
		strlcpy(device->failure, counts->device.failure, sizeof(device->failure));
}

/* Tell vamhash_stat what a device did. */
static void
SetLastDevice(const BulkDeviceCounts *device)
{
	SetLastText("last_device", device->pictures > 0 ? device->name : "cpu");
	if (device->batches > 0)
	{
		SetLastInt("last_device_images", device->pictures);
		SetLastInt("last_device_batches", device->batches);
		SetLastInt("last_device_left", device->left);
		SetLastInt("last_device_bytes", device->bytes);
		SetLastSeconds("last_device_seconds", device->seconds);
	}
	if (device->failure[0] != '\0')
		SetLastText("last_fallback", device->failure);
}

void
SetLastBulk(const char *kind, const BulkHashCounts *counts, double seconds)
{
	ResetLastWork(kind);
	SetLastInt("last_images", counts->images);
	SetLastInt("last_bad", counts->bad);
	SetLastInt("last_bytes", counts->bytes);
	SetLastInt("last_restarts", counts->restarts);
	SetLastInt("last_threads", counts->threads);
	SetLastSeconds("last_seconds", seconds);
	SetLastSeconds("last_seconds_waiting", counts->seconds_waiting);
	SetLastSeconds("last_seconds_reading_files", counts->seconds_reading);
	SetLastSeconds("last_seconds_decoding", counts->seconds_decoding);
	SetLastDevice(&counts->device);
}

void
FillBulkColumns(const BulkHashRow *row, Datum *values, bool *nulls)
{
	memset(nulls, !row->hashed, BULK_COLUMN_COUNT * sizeof(bool));
	if (row->hashed)
	{
		values[BULK_DHASH] = Int64GetDatum((int64) row->hashes.dhash);
		values[BULK_AHASH] = Int64GetDatum((int64) row->hashes.ahash);
		values[BULK_WHASH] = Int64GetDatum((int64) row->hashes.whash);
		values[BULK_PHASH] = Int64GetDatum((int64) row->hashes.phash);
		values[BULK_WHASH16] = Int64GetDatum((int64) row->hashes.whash16);
		values[BULK_WIDTH] = Int32GetDatum((int32) row->hashes.width);
		values[BULK_HEIGHT] = Int32GetDatum((int32) row->hashes.height);
		values[BULK_FORMAT] = CStringGetTextDatum(row->hashes.format);
	}
	values[BULK_STATUS] = CStringGetTextDatum(BulkStatusName(row->status));
	nulls[BULK_STATUS] = false;
	nulls[BULK_MESSAGE] = row->message == NULL;
	if (row->message != NULL)
		values[BULK_MESSAGE] = CStringGetTextDatum(row->message);
}
