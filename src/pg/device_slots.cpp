/*
 * device_slots.cpp
 *		The cluster's slots for engines that hold a device: vamhash.max_gpu_engines of them.
 *
 * A device context takes hundreds of megabytes of the device, so the engines that hold one are
 * counted, over all sessions. An engine must count until it has ended, whatever ended it: a kill,
 * its idle timeout while its backend sleeps in a client's wait, its backend's death. Only the kernel
 * knows of all of these. So a slot is a lock of the kernel's on one byte of a file, of the kind that
 * belongs to an open file rather than to a process (F_OFD_SETLK). The backend opens the file, locks
 * the first byte that is free, and passes the descriptor to its engine. From then on the engine alone
 * has the lock, and it is free when the engine closes the descriptor or is no more: also one that was
 * killed and that a driver keeps from ending counts for as long as that takes.
 *
 * PostgreSQL's own locks would not do: session-level ones go with any transaction that aborts, and
 * advisory ones with pg_advisory_unlock_all() and DISCARD ALL. Slots in shared memory would have to
 * be taken from engines that have ended by others than their owners.
 *
 * The file is in the folder of temporary statistics, which is not in backups. It is empty.
 */
#include "pg/postgres.hpp"
#include "pg/device_slots.hpp"

#include <errno.h>
#include <fcntl.h>

extern "C"
{
#include "pgstat.h"
#include "storage/fd.h"
}

#include "pg/settings.hpp"

#define SLOT_FILE PG_STAT_TMP_DIR "/vamhash_device_slots"

/* Lock one byte of the file, if nobody has; false leaves errno. */
static bool
TryLock(int file, int slot)
{
	struct flock lock = {};

	lock.l_type = F_WRLCK;
	lock.l_whence = SEEK_SET;
	lock.l_start = slot;
	lock.l_len = 1;
	return fcntl(file, F_OFD_SETLK, &lock) == 0;
}

/* Report that the slots cannot be used, for the reason in errno. */
static void
ReportSlotFile(bool must)
{
	ereport(must ? ERROR : LOG,
			(errcode_for_file_access(),
			 errmsg("could not count the engines that hold a device in \"%s\": %m", SLOT_FILE)));
}

int
TakeDeviceSlot(bool must)
{
	int file = OpenTransientFile(SLOT_FILE, O_RDWR | O_CREAT | O_CLOEXEC);

	if (file < 0)
	{
		ReportSlotFile(must);
		return -1;
	}
	for (int slot = 0; slot < vamhash_max_gpu_engines; slot++)
	{
		if (TryLock(file, slot))
			return file;
		if (errno != EAGAIN && errno != EACCES)
		{
			ReportSlotFile(must);
			break;
		}
	}
	CloseTransientFile(file);
	return -1;
}
