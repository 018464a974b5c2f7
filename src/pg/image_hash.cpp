/*
 * image_hash.cpp
 *		Hashing one image in the engine, from bytes or from a server file.
 *
 * A file is read here, not in the engine: the engine that sees image bytes has no
 * business with files, and the right to read one is the SQL user's. It goes over
 * in pieces, so that the backend never holds it whole.
 */
#include "pg/postgres.hpp"
#include "pg/image_hash.hpp"

#include <unistd.h>

extern "C"
{
#include "storage/fd.h"
}

#include "pg/engine_client.hpp"
#include "pg/server_file.hpp"
#include "pg/settings.hpp"
#include "pg/statistics.hpp"
#include "protocol/reply_check.h"

using namespace vamhash::protocol;

#define FILE_READ_SIZE (256 * 1024)

bool
DecodeIsFast(const text *decode)
{
	const char *word = VARDATA_ANY(decode);
	int length = VARSIZE_ANY_EXHDR(decode);

	if (length == 5 && memcmp(word, "exact", 5) == 0)
		return false;
	if (length == 4 && memcmp(word, "fast", 4) == 0)
		return true;
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("unrecognized decode mode \"%.*s\"", length, word),
					errhint("It is 'exact' or 'fast'.")));
}

/* Send a file's bytes as the request's DATA, and END; it must stay as long as it was when opened. */
static void
SendFile(EngineRequest *request, const char *path, int file, off_t size)
{
	char *buffer = (char *) palloc(FILE_READ_SIZE);
	off_t sent = 0;

	for (;;)
	{
		ssize_t got = read(file, buffer, FILE_READ_SIZE);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			ereport(ERROR, (errcode_for_file_access(),
							errmsg("could not read image file \"%s\": %m", path)));
		sent += got;
		if (sent > size || (got == 0 && sent < size))
			ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
							errmsg("image file \"%s\" changed while it was read", path)));
		EngineSendData(request, buffer, got, got == 0);
		if (got == 0)
			break;
	}
	pfree(buffer);
}

/* Receive the whole answer: the hashes of one image. */
static HashResult
ReceiveHashResult(EngineRequest *request)
{
	HashResult result;
	EngineReply reply = EngineReceive(request);

	if (reply.operation != Operation::result || reply.length != sizeof(result))
		EngineRejectReply(request, "expected the hashes of one image");
	memcpy(&result, reply.payload, sizeof(result));
	EngineCheckReply(request, check_hash_result(result));
	reply = EngineReceive(request);
	if (reply.operation != Operation::done)
		EngineRejectReply(request, "expected DONE after the hashes of one image");
	if (reply.length != sizeof(Done))
		EngineRejectReply(request, "DONE has a wrong length");
	EngineFinish(request);
	return result;
}

/*
 * Hash one image. `wanted` says which hashes to compute, the others are 0;
 * `decode` is 'exact' or 'fast'; `orient` applies the EXIF orientation. Raises
 * SQLSTATE 22V01 for a truncated image, 22V02 for a corrupt one, 0A000 for one
 * that cannot be read, 54000 for one that is too large.
 */
HashResult
HashImage(const ImageSource *source, HashWanted wanted, const text *decode, bool orient)
{
	bool fast = DecodeIsFast(decode);
	HashRequest params = {};
	EngineRequest *request;
	HashResult result;
	ImageFile file = {};

	if (source->path != NULL)
	{
		CheckMayReadFiles();
		file = OpenImageFile(source->path);
		if (file.fault != IMAGE_FILE_OK)
			ReportImageFile(&file);
	}
	else if (ImageIsTooLong(source->length))
		ReportImageTooLong(source->length);

	params.wanted = wanted;
	params.flags = (fast ? hash_fast : 0) | (orient ? hash_orient : 0);
	params.max_bytes = vamhash_max_image_bytes;
	params.max_pixels = vamhash_max_image_pixels;
	request = EngineBegin(ENGINE_DECODE, Operation::begin_hash, &params, sizeof(params));
	if (source->path != NULL)
	{
		SendFile(request, source->path, file.descriptor, file.size);
		CloseTransientFile(file.descriptor);
	}
	else
		EngineSendData(request, source->bytes, source->length, true);

	result = ReceiveHashResult(request);
	AddToTotal(TOTAL_IMAGES, 1);
	return result;
}
