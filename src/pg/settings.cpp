#include "pg/postgres.hpp"
#include "pg/settings.hpp"

extern "C"
{
#include "utils/guc.h"
#include "utils/varlena.h"
}

using namespace vamhash::protocol;

int vamhash_threads = 0;
int vamhash_join_method = (int) Method::automatic;
int vamhash_max_pairs = 0;
int vamhash_memory_limit = 0;
int vamhash_gpu = (int) DeviceUse::automatic;
char *vamhash_backends = NULL;
int vamhash_device_id = 0;
int vamhash_gpu_min_rows = 0;
int vamhash_gpu_min_images = 0;
int vamhash_batch_size = 0;
bool vamhash_nvjpeg = false;
int vamhash_gpu_memory_limit = 0;
int vamhash_max_gpu_engines = 0;
int vamhash_max_image_bytes = 0;
int vamhash_max_image_pixels = 0;
int vamhash_image_memory_limit = 0;
int vamhash_image_timeout = 0;
int vamhash_engine_idle_timeout = 0;
char *vamhash_image_roots = NULL;

static const struct config_enum_entry join_methods[] = {
	{"auto", (int) Method::automatic, false},
	{"blocks", (int) Method::blocks, false},
	{"brute", (int) Method::brute, false},
	{"faiss", (int) Method::faiss, false},
	{NULL, 0, false},
};

/* With the other words of a boolean, as PostgreSQL's own settings that have off and on. */
static const struct config_enum_entry device_uses[] = {
	{"off", (int) DeviceUse::off, false},  {"auto", (int) DeviceUse::automatic, false},
	{"on", (int) DeviceUse::on, false},	   {"true", (int) DeviceUse::on, true},
	{"false", (int) DeviceUse::off, true}, {"yes", (int) DeviceUse::on, true},
	{"no", (int) DeviceUse::off, true},	   {"1", (int) DeviceUse::on, true},
	{"0", (int) DeviceUse::off, true},	   {NULL, 0, false},
};

/* The backends by name; none for another word. */
static Backend
FindBackend(const char *name)
{
	if (strcmp(name, "cuda") == 0)
		return Backend::cuda;
	if (strcmp(name, "opencl") == 0)
		return Backend::opencl;
	return Backend::none;
}

/* Parse a list of backends; what is wrong with it, or NULL. Of each there is one at most. */
static const char *
ParseBackends(const char *value, Backend *backends)
{
	List *names;
	ListCell *cell;
	uint32 count = 0;

	memset(backends, 0, backend_count * sizeof(*backends));
	if (!SplitIdentifierString(pstrdup(value), ',', &names))
		return "List syntax is invalid.";
	foreach (cell, names)
	{
		Backend backend = FindBackend((const char *) lfirst(cell));

		if (backend == Backend::none)
			return "Backends are \"cuda\" and \"opencl\".";
		for (uint32 i = 0; i < count; i++)
		{
			if (backends[i] == backend)
				return "A backend is in the list twice.";
		}
		backends[count++] = backend;
	}
	return count > 0 ? NULL : "The list is empty: what turns devices off is \"vamhash.gpu\".";
}

/* GUC check hook: names of backends, separated by commas. */
static bool
CheckBackends(char **value, void **, GucSource)
{
	Backend backends[backend_count];
	const char *wrong = ParseBackends(*value, backends);

	if (wrong != NULL)
		GUC_check_errdetail("%s", wrong);
	return wrong == NULL;
}

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
							 &vamhash_join_method, (int) Method::automatic, join_methods,
							 PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable(
		"vamhash.max_pairs", "Pairs beyond which similar_pairs() is an error; 0 means no limit.",
		"It keeps pictures without content, which are all alike, from filling "
		"the disk with their pairs.",
		&vamhash_max_pairs, 100 * 1000 * 1000, 0, PG_INT32_MAX, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("vamhash.memory_limit", "Memory that a join may use in its engine.",
							"0 means half of the machine's memory, or of the container's.",
							&vamhash_memory_limit, 0, 0, PG_INT32_MAX, PGC_SUSET, GUC_UNIT_KB, NULL,
							NULL, NULL);
	DefineCustomEnumVariable(
		"vamhash.gpu",
		"Whether joins and the hashing of many images use a device: a GPU, or what else there is.",
		"auto uses one where it pays, and the CPU where it fails; on uses one or "
		"is an error.",
		&vamhash_gpu, (int) DeviceUse::automatic, device_uses, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomStringVariable(
		"vamhash.backends", "Backends that devices may be used by, in order of preference.",
		"Any of cuda and opencl, separated by commas.", &vamhash_backends, "cuda,opencl",
		PGC_USERSET, GUC_LIST_INPUT, CheckBackends, NULL, NULL);
	DefineCustomIntVariable("vamhash.device_id", "Device to use, by its number in its backend.",
							"As vamhash_devices() numbers them; -1 means the first that is usable.",
							&vamhash_device_id, -1, -1, 1023, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable(
		"vamhash.gpu_min_rows", "Rows below which a join stays on the CPU if vamhash.gpu is auto.",
		NULL, &vamhash_gpu_min_rows, 100 * 1000, 0, PG_INT32_MAX, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable(
		"vamhash.gpu_min_images",
		"Images of a call below which it opens no device, if vamhash.gpu is auto.",
		"Until there are so many, the CPU hashes them.", &vamhash_gpu_min_images, 10, 0,
		PG_INT32_MAX, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("vamhash.batch_size", "Images that a device hashes at once, at most.",
							"0 means as many as were decoded meanwhile, and there was room for.",
							&vamhash_batch_size, 0, 0, (int) max_images, PGC_USERSET, 0, NULL, NULL,
							NULL);
	DefineCustomBoolVariable("vamhash.nvjpeg",
							 "Whether a device may decode JPEGs by nvJPEG where decode is 'fast'.",
							 "Its pixels, and so some bits of hashes, are not those of the CPU.",
							 &vamhash_nvjpeg, false, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("vamhash.gpu_memory_limit", "Memory of a device that a call may use.",
							"0 means most of what is free.", &vamhash_gpu_memory_limit, 0, 0,
							PG_INT32_MAX, PGC_SUSET, GUC_UNIT_KB, NULL, NULL, NULL);
	/* One number for the cluster, which sessions share: for none to set by itself. */
	DefineCustomIntVariable(
		"vamhash.max_gpu_engines",
		"Engine processes of the cluster that may hold a device at once.",
		"One more uses the CPU, or waits if vamhash.gpu is on; 0 means that devices are not used.",
		&vamhash_max_gpu_engines, 4, 0, 1024, PGC_SIGHUP, 0, NULL, NULL, NULL);
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

void
GetBackends(Backend *backends)
{
	/* CheckBackends() has seen that there is nothing wrong. */
	(void) ParseBackends(vamhash_backends, backends);
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
