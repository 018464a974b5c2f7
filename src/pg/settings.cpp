#include "pg/postgres.hpp"
#include "pg/settings.hpp"

extern "C"
{
#include "utils/guc.h"
#include "utils/varlena.h"
}

#include "protocol/frame.h"

int vamhash_threads = 0;
int vamhash_join_method = (int) vamhash::protocol::Method::automatic;
int vamhash_max_pairs = 0;
int vamhash_memory_limit = 0;
int vamhash_max_image_bytes = 0;
int vamhash_max_image_pixels = 0;
int vamhash_image_memory_limit = 0;
int vamhash_image_timeout = 0;
int vamhash_engine_idle_timeout = 0;
char *vamhash_image_roots = NULL;

static const struct config_enum_entry join_methods[] = {
	{"auto", (int) vamhash::protocol::Method::automatic, false},
	{"blocks", (int) vamhash::protocol::Method::blocks, false},
	{"brute", (int) vamhash::protocol::Method::brute, false},
	{"faiss", (int) vamhash::protocol::Method::faiss, false},
	{NULL, 0, false},
};

/* GUC check hook: absolute paths, separated by commas; one with a comma or a space in double quotes. */
static bool
CheckImageRoots(char **value, void **, GucSource)
{
	List *roots;
	ListCell *cell;

	if (!SplitDirectoriesString(pstrdup(*value), ',', &roots))
	{
		GUC_check_errdetail("List syntax is invalid.");
		return false;
	}
	foreach (cell, roots)
	{
		if (!is_absolute_path((const char *) lfirst(cell)))
		{
			GUC_check_errdetail("\"%s\" is not an absolute path.", (const char *) lfirst(cell));
			return false;
		}
	}
	return true;
}

/* Define the vamhash.* settings and reserve the prefix. */
void
DefineVamhashSettings(void)
{
	DefineCustomIntVariable("vamhash.threads", "Threads that an engine may use for one request.",
							"0 means all cores the server may run on.", &vamhash_threads, 0, 0,
							1024, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomEnumVariable("vamhash.join_method", "How a join finds its pairs.",
							 "auto chooses by expected cost; blocks, brute and faiss are always "
							 "exact, too, and for comparison.",
							 &vamhash_join_method, (int) vamhash::protocol::Method::automatic,
							 join_methods, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable(
		"vamhash.max_pairs", "Pairs beyond which similar_pairs() is an error; 0 means no limit.",
		"It keeps pictures without content, which are all alike, from filling "
		"the disk with their pairs.",
		&vamhash_max_pairs, 100 * 1000 * 1000, 0, PG_INT32_MAX, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("vamhash.memory_limit", "Memory that a join may use in its engine.",
							"0 means half of the machine's memory, or of the container's.",
							&vamhash_memory_limit, 0, 0, PG_INT32_MAX, PGC_SUSET, GUC_UNIT_KB, NULL,
							NULL, NULL);
	DefineCustomIntVariable("vamhash.max_image_bytes",
							"Largest encoded image that is hashed; a larger one is an error.", NULL,
							&vamhash_max_image_bytes, 512 * 1024 * 1024, 1, PG_INT32_MAX, PGC_SUSET,
							GUC_UNIT_BYTE, NULL, NULL, NULL);
	DefineCustomIntVariable("vamhash.max_image_pixels",
							"Largest image in pixels (width times height) that is decoded.",
							"It is checked before anything is decoded.", &vamhash_max_image_pixels,
							250 * 1000 * 1000, 1, PG_INT32_MAX, PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable(
		"vamhash.image_memory_limit", "Memory that an engine process may take to decode images.",
		"0 means enough for images of vamhash.max_image_bytes and "
		"vamhash.max_image_pixels.",
		&vamhash_image_memory_limit, 0, 0, PG_INT32_MAX, PGC_SUSET, GUC_UNIT_MB, NULL, NULL, NULL);
	DefineCustomIntVariable(
		"vamhash.image_timeout", "Time after which hashing an image is given up; 0 means no limit.",
		"It counts while the session waits for the engine process.", &vamhash_image_timeout, 30000,
		0, PG_INT32_MAX, PGC_SUSET, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("vamhash.engine_idle_timeout",
							"Time after which an unused engine process ends.",
							"0 keeps it until the session ends. A running engine keeps the value "
							"it was started with.",
							&vamhash_engine_idle_timeout, 300, 0, 7 * 24 * 3600, PGC_SUSET,
							GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomStringVariable(
		"vamhash.image_roots", "Folders that image files may be read from, separated by commas.",
		"Where a file lies counts, whatever links lead there. Empty means "
		"any folder.",
		&vamhash_image_roots, "", PGC_SUSET, GUC_LIST_INPUT, CheckImageRoots, NULL, NULL);
	MarkGUCPrefixReserved("vamhash");
}

/*
 * The encoded image takes up to one and a half times its size, when its vector grows for the last
 * time. A pixel takes 8 bytes at most in what a decoder must hold of a whole picture (the
 * coefficients of a progressive CMYK JPEG), 1 where the picture is turned, and 1 is left. The
 * constant is for a few rows of the widest picture, the resamplers, threads, and libraries that are
 * loaded later.
 */
int
ImageMemoryLimit(void)
{
	if (vamhash_image_memory_limit > 0)
		return vamhash_image_memory_limit;
	return (int) (((uint64) vamhash_max_image_bytes / 2 * 3 +
				   (uint64) vamhash_max_image_pixels * 10) /
				  (1024 * 1024)) +
		   256;
}

List *
ImageRoots(void)
{
	List *roots = NIL;

	/* CheckImageRoots() has seen that it can be split. */
	if (vamhash_image_roots != NULL && vamhash_image_roots[0] != '\0')
		(void) SplitDirectoriesString(pstrdup(vamhash_image_roots), ',', &roots);
	return roots;
}
