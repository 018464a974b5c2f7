/*
 * server_file.hpp
 *		Opening image files of the server, with all that is to be checked of them.
 *
 *		CheckMayReadFiles();				(once a call; it raises an error)
 *		ImageFile file = OpenImageFile(path);	(what is the file's fault is no error yet)
 *		if (file.fault != IMAGE_FILE_OK)
 *			ReportImageFile(&file);				(or a row that says so)
 *		... file.descriptor, file.size ...
 *		CloseTransientFile(file.descriptor);
 *
 *		file_opener.hpp opens many at once, and has them judged here.
 */
#pragma once

extern "C"
{
#include "nodes/pg_list.h"
}

/* What is wrong with a file, for a row's status. */
typedef enum ImageFileFault
{
	IMAGE_FILE_OK,
	IMAGE_FILE_NOT_FOUND,
	IMAGE_FILE_DENIED,		/* by the file system, or not under vamhash.image_roots */
	IMAGE_FILE_NOT_REGULAR, /* a directory, a device, a FIFO, a socket */
	IMAGE_FILE_TOO_LARGE,	/* over vamhash.max_image_bytes */
	IMAGE_FILE_UNREADABLE,	/* any other error of the file system */
} ImageFileFault;

/* A file that is open, or why it is not. */
typedef struct ImageFile
{
	ImageFileFault fault;
	int descriptor;	  /* -1 if there is a fault */
	off_t size;		  /* bytes, when it was opened; also of one that is too large */
	int error_number; /* errno of a fault that is the file system's, else 0 */
	char *message;	  /* of the fault, as an ERROR would say it; palloc'd */
	char *detail;	  /* or NULL */
} ImageFile;

/* Raise an error unless the caller may read server files. */
extern void CheckMayReadFiles(void);

/*
 * Open an image file for reading, as a transient file of the (sub)transaction; raises an error only for
 * what is not the file's fault.
 */
extern ImageFile OpenImageFile(const char *path);

/* A folder of vamhash.image_roots. */
typedef struct ImageRoot
{
	const char *name; /* as it is written there */
	char *location;	  /* where that led when it was looked at; NULL: to no folder */
} ImageRoot;

/* Where the folder is that is open, every link resolved; NULL if that cannot be said. */
extern char *FolderLocation(int descriptor);

/*
 * Judge what open() gave for a path: a descriptor, or -1 and errno. It must lie under one of the roots
 * (ImageRoot), if there are any. One that is refused is still open.
 */
extern ImageFile JudgeImageFile(const char *path, int descriptor, int error, List *roots);

/* Raise the error that an ImageFile has. */
[[noreturn]] extern void ReportImageFile(const ImageFile *file);

/* What an encoded image of so many bytes is refused with: over vamhash.max_image_bytes. */
extern bool ImageIsTooLong(uint64 length);
[[noreturn]] extern void ReportImageTooLong(uint64 length);
