/*
 * picture_arena.cpp
 *		The memory that two engines share where a device hashes images.
 *
 * It is a file without a name, in memory, whose size is sealed: an engine that cut it short would
 * have another one killed by a signal. Pages are taken as they are written to, and given back at the
 * arena's end.
 */
#include "pg/postgres.hpp"
#include "pg/picture_arena.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

extern "C"
{
#include "storage/fd.h"
#include "utils/memutils.h"
}

#include "pg/settings.hpp"

using namespace vamhash::protocol;

/*
 * A decoder works on one picture while others of its own wait: three of 12 megapixels, which have 36 MB
 * of coefficients. However few decoders there are, a part has room for a picture of 24 megapixels, 4:2:2.
 * All of this may take an eighth of the memory that there is.
 */
#define ARENA_BYTES_PER_DECODER (UINT64CONST(108) << 20)
#define ARENA_LEAST_BYTES (UINT64CONST(288) << 20)
#define SHARE_OF_MEMORY 8

/* One is filled, one is being hashed, and in one the last pictures are being decoded. */
#define ARENA_PARTS 3

#define PART_MULTIPLE UINT64CONST(4096)

struct PictureArena
{
	MemoryContextCallback at_end;
	int file; /* -1: none */
	uint64 bytes;
	uint32 number;
};

/* The last arena's number in this session. */
static uint32 last_number = 0;

/* Close an arena's memory. */
static void
CloseArena(PictureArena *arena)
{
	if (arena->file < 0)
		return;
	close(arena->file);
	ReleaseExternalFD();
	arena->file = -1;
}

/* MemoryContextCallback: the same, and give its memory back, which idle engines may keep mapped. */
static void
CloseArenaAtEnd(void *state)
{
	PictureArena *arena = (PictureArena *) state;

	if (arena->file >= 0)
		(void) fallocate(arena->file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
						 (off_t) arena->bytes);
	CloseArena(arena);
}

PictureArena *
PictureArenaCreate(void)
{
	PictureArena *arena = (PictureArena *) palloc0(sizeof(PictureArena));

	arena->file = -1;
	arena->at_end.func = CloseArenaAtEnd;
	arena->at_end.arg = arena;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &arena->at_end);
	return arena;
}

/* Bytes of an arena for so many decoders. */
static uint64
ArenaBytes(int threads, uint64 memory)
{
	uint64 wanted = Max((uint64) threads * ARENA_BYTES_PER_DECODER, ARENA_LEAST_BYTES);
	uint64 bytes = Min(wanted, memory / SHARE_OF_MEMORY);
	uint64 part = Min(bytes, max_arena) / ARENA_PARTS;

	return Max(part / PART_MULTIPLE, 1) * PART_MULTIPLE * ARENA_PARTS;
}

bool
PictureArenaPrepare(PictureArena *arena, int threads, uint64 memory, bool anew)
{
	uint64 bytes = ArenaBytes(threads, memory);
	int file;

	if (arena->file >= 0 && arena->bytes == bytes && !anew)
		return true;
	CloseArena(arena);
	if (!AcquireExternalFD())
		return false;
	file = memfd_create("vamhash pictures", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (file < 0 || ftruncate(file, (off_t) bytes) != 0 ||
		fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
	{
		ereport(LOG, (errmsg("could not make memory for pictures on their way to a device: %m")));
		if (file >= 0)
			close(file);
		ReleaseExternalFD();
		return false;
	}
	arena->file = file;
	arena->bytes = bytes;
	arena->number = ++last_number;
	return true;
}

int
PictureArenaFile(const PictureArena *arena)
{
	return arena->file;
}

Arena
PictureArenaFrame(const PictureArena *arena)
{
	Arena frame = {};

	frame.bytes = arena->bytes;
	frame.parts = ARENA_PARTS;
	frame.batch = vamhash_batch_size > 0 ? Min(vamhash_batch_size, (int) max_images) : max_images;
	frame.number = arena->number;
	return frame;
}
