/*
 * file_opener.hpp
 *		Opening many image files at once, by an engine process that does nothing else.
 *
 *		FileOpener *opener = FileOpenerCreate();
 *		place = FileOpenerAsk(opener, path);			(for some files, ahead)
 *		while (!FileOpenerGet(opener, place, path, &file))
 *			... wait for FileOpenerWish(opener, &wish) ...
 *		... as OpenImageFile() ...
 *		FileOpenerFree(opener, place);
 *		FileOpenerEnd(opener);
 *
 *		Of these only FileOpenerEnd() waits, and the first FileOpenerAsk() for the process to
 *		start. An error, at any point, needs no clean-up: the files that are open belong to the
 *		memory context that was current at FileOpenerCreate().
 */
#pragma once

#include "pg/engine_client.hpp"
#include "pg/server_file.hpp"

typedef struct FileOpener FileOpener;

/* Make an opener; its process is there when the first file is asked for. */
extern FileOpener *FileOpenerCreate(void);

/* How many more files may be asked for, as far as the opener is concerned. */
extern int FileOpenerRoom(const FileOpener *opener);

/*
 * Ask for a file; returns its place, or -1 while the server has no descriptor for it: when another place
 * is free again there may be one.
 */
extern int FileOpenerAsk(FileOpener *opener, const char *path);

/*
 * Get the file at a place, of this path, judged by JudgeImageFile(); false as long as nothing can be said.
 * Its descriptor remains the opener's.
 */
extern bool FileOpenerGet(FileOpener *opener, int place, const char *path, ImageFile *file);

/* Send what is to be sent and take what has come, so that places which were freed become free. */
extern void FileOpenerExchange(FileOpener *opener);

/* Free a place: its file is closed, or not opened any more. */
extern void FileOpenerFree(FileOpener *opener, int place);

/* Send what was asked for and was kept back to be sent with more, and tell what is to be waited for. */
extern EngineWish FileOpenerWish(FileOpener *opener);

/* Begin anew with another process, as one that hangs: all is asked for again but what was freed. */
extern void FileOpenerRestart(FileOpener *opener);

/* Processes that ended, or were made to, on the way. */
extern uint64 FileOpenerRestarts(const FileOpener *opener);

/* Close all files and give the process back, within so many milliseconds (-1: for ever). */
extern void FileOpenerEnd(FileOpener *opener, long timeout);
