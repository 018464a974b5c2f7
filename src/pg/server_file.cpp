/*
 * server_file.cpp
 *		Opening image files of the server, with all that is to be checked of them.
 *
 * The paths in a table may have been written by somebody who may not read server files,
 * while who hashes them may. So what may be read can be confined to some folders, by
 * vamhash.image_roots. What counts is where the opened file lies, not how it is called:
 * the file is opened first, and then the kernel is asked for the path of what was opened.
 * No link that is changed in the meantime can make these two differ.
 */
#include "pg/postgres.hpp"
#include "pg/server_file.hpp"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

extern "C"
{
#include "catalog/pg_authid.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/acl.h"
}

#include "pg/settings.hpp"
#include "pg/statistics.hpp"

void
CheckMayReadFiles(void)
{
	if (!has_privs_of_role(GetUserId(), ROLE_PG_READ_SERVER_FILES))
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("permission denied to read server files"),
						errdetail("Only members of role pg_read_server_files may hash server "
								  "files.")));
}

bool
ImageIsTooLong(uint64 length)
{
	return length > (uint64) vamhash_max_image_bytes;
}

/* The message for an encoded image over vamhash.max_image_bytes, and its detail. */
static char *
TooLongMessage(uint64 length)
{
	return psprintf("image is too large: %llu bytes", (unsigned long long) length);
}

static char *
TooLongDetail(void)
{
	return psprintf("\"vamhash.max_image_bytes\" is %d.", vamhash_max_image_bytes);
}

void
ReportImageTooLong(uint64 length)
{
	AddToTotal(TOTAL_IMAGE_ERRORS, 1);
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg_internal("%s", TooLongMessage(length)),
			 errdetail_internal("%s", TooLongDetail())));
}

/* Get the path of what is open, with every link resolved; false if it has none. */
static bool
GetDescriptorPath(int descriptor, char *path)
{
	char link[64];
	ssize_t length;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", descriptor);
	length = readlink(link, path, PATH_MAX);
	/* A path that may have been cut off is not to be trusted. */
	if (length < 0 || length == PATH_MAX)
		return false;
	path[length] = '\0';
	return true;
}

/* Is a path inside a folder? Both absolute, without dots and doubled slashes. */
static bool
IsInside(const char *path, const char *folder)
{
	size_t length = strlen(folder);

	if (length == 1) /* of the root of the file system */
		return path[0] == '/';
	return strncmp(path, folder, length) == 0 && path[length] == '/';
}

char *
FolderLocation(int descriptor)
{
	char path[PATH_MAX];

	return GetDescriptorPath(descriptor, path) ? pstrdup(path) : NULL;
}

/* Find out where the folders of vamhash.image_roots are now: a list of ImageRoot. */
static List *
LocateImageRoots(void)
{
	List *roots = ImageRoots();
	ListCell *cell;

	foreach (cell, roots)
	{
		ImageRoot *root = (ImageRoot *) palloc0(sizeof(ImageRoot));
		int descriptor;

		root->name = (const char *) lfirst(cell);
		descriptor = OpenTransientFile(root->name, O_PATH | O_DIRECTORY);
		if (descriptor >= 0)
		{
			root->location = FolderLocation(descriptor);
			CloseTransientFile(descriptor);
		}
		lfirst(cell) = root;
	}
	return roots;
}

/* Does an open file lie under one of the roots? */
static bool
LiesUnderRoots(int descriptor, List *roots)
{
	char path[PATH_MAX];
	ListCell *cell;

	if (!GetDescriptorPath(descriptor, path))
		return false;
	foreach (cell, roots)
	{
		const ImageRoot *root = (const ImageRoot *) lfirst(cell);

		if (root->location != NULL && IsInside(path, root->location))
			return true;
	}
	return false;
}

/*
 * Is a file that could not be opened one that its name says to be under one of the roots? Of any other
 * it is not told whether it exists.
 */
static bool
IsNamedUnderRoots(const char *path, List *roots)
{
	char *name = is_absolute_path(path) ? pstrdup(path) : psprintf("%s/%s", DataDir, path);
	ListCell *cell;

	canonicalize_path(name);
	if (path_contains_parent_reference(name))
		return false;
	foreach (cell, roots)
	{
		const ImageRoot *root = (const ImageRoot *) lfirst(cell);

		if (IsInside(name, root->name) ||
			(root->location != NULL && IsInside(name, root->location)))
			return true;
	}
	return false;
}

/* An ImageFile with a fault. */
static ImageFile
RefuseFile(ImageFileFault fault, char *message, char *detail)
{
	ImageFile file = {};

	file.fault = fault;
	file.descriptor = -1;
	file.message = message;
	file.detail = detail;
	return file;
}

/* The fault of a file outside of vamhash.image_roots. */
static ImageFile
RefuseOutside(const char *path)
{
	return RefuseFile(IMAGE_FILE_DENIED,
					  psprintf("image file \"%s\" is not under \"vamhash.image_roots\"", path),
					  NULL);
}

/* The fault that errno says, of a file that could not be opened. */
static ImageFile
RefuseByErrno(const char *path, int error)
{
	ImageFileFault fault = IMAGE_FILE_UNREADABLE;
	ImageFile file;

	if (error == ENOENT || error == ENOTDIR || error == ELOOP || error == ENAMETOOLONG)
		fault = IMAGE_FILE_NOT_FOUND;
	else if (error == EACCES || error == EPERM)
		fault = IMAGE_FILE_DENIED;
	errno = error;
	file = RefuseFile(fault, psprintf("could not open image file \"%s\": %m", path), NULL);
	file.error_number = error;
	/* The server has run out of something: no other file would fare better. */
	if (error == EMFILE || error == ENFILE || error == ENOMEM)
		ReportImageFile(&file);
	return file;
}

ImageFile
JudgeImageFile(const char *path, int descriptor, int error, List *roots)
{
	struct stat status;
	ImageFile file = {};

	if (descriptor < 0)
	{
		if (roots != NIL && !IsNamedUnderRoots(path, roots))
			return RefuseOutside(path);
		if (error == ENXIO)
			return RefuseFile(IMAGE_FILE_NOT_REGULAR, psprintf("\"%s\" is a socket", path), NULL);
		return RefuseByErrno(path, error);
	}
	if (roots != NIL && !LiesUnderRoots(descriptor, roots))
		return RefuseOutside(path);
	if (fstat(descriptor, &status) != 0)
		return RefuseByErrno(path, errno);
	if (!S_ISREG(status.st_mode))
		return RefuseFile(IMAGE_FILE_NOT_REGULAR,
						  psprintf("\"%s\" is %s", path,
								   S_ISDIR(status.st_mode) ? "a directory" : "not a regular file"),
						  NULL);
	if (ImageIsTooLong(status.st_size))
		file = RefuseFile(IMAGE_FILE_TOO_LARGE, TooLongMessage(status.st_size), TooLongDetail());
	else
		file.descriptor = descriptor;
	file.size = status.st_size;
	return file;
}

ImageFile
OpenImageFile(const char *path)
{
	/* Not to hang on a FIFO before we know that it is one. */
	int descriptor = OpenTransientFile(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | PG_BINARY);
	int error = errno;
	ImageFile file = JudgeImageFile(path, descriptor, error, LocateImageRoots());

	if (descriptor >= 0 && file.fault != IMAGE_FILE_OK)
		CloseTransientFile(descriptor);
	return file;
}

/* SQLSTATE of a fault that is not the file system's. */
static int
FileFaultSqlState(ImageFileFault fault)
{
	switch (fault)
	{
	case IMAGE_FILE_NOT_REGULAR:
		return ERRCODE_WRONG_OBJECT_TYPE;
	case IMAGE_FILE_TOO_LARGE:
		return ERRCODE_PROGRAM_LIMIT_EXCEEDED;
	default:
		return ERRCODE_INSUFFICIENT_PRIVILEGE;
	}
}

void
ReportImageFile(const ImageFile *file)
{
	if (file->fault == IMAGE_FILE_TOO_LARGE)
		AddToTotal(TOTAL_IMAGE_ERRORS, 1);
	errno = file->error_number;
	ereport(ERROR, (file->error_number != 0 ? errcode_for_file_access()
											: errcode(FileFaultSqlState(file->fault)),
					errmsg_internal("%s", file->message),
					file->detail != NULL ? errdetail_internal("%s", file->detail) : 0));
}
