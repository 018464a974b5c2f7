#include "pg/postgres.hpp"
#include "pg/settings.hpp"

extern "C"
{
#include "utils/guc.h"
}

int vamhash_threads = 0;
int vamhash_max_image_bytes = 0;
int vamhash_max_image_pixels = 0;
int vamhash_engine_idle_timeout = 0;

/* Define the vamhash.* settings and reserve the prefix. */
void
DefineVamhashSettings(void)
{
	DefineCustomIntVariable("vamhash.threads", "Threads that an engine may use for one request.",
							"0 means all cores the server may run on.", &vamhash_threads, 0, 0,
							1024, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("vamhash.max_image_bytes",
							"Largest encoded image that is hashed; a larger one is an error.", NULL,
							&vamhash_max_image_bytes, 512 * 1024 * 1024, 1, PG_INT32_MAX, PGC_SUSET,
							GUC_UNIT_BYTE, NULL, NULL, NULL);
	DefineCustomIntVariable("vamhash.max_image_pixels",
							"Largest image in pixels (width times height) that is decoded.",
							"It is checked before anything is decoded.", &vamhash_max_image_pixels,
							250 * 1000 * 1000, 1, PG_INT32_MAX, PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("vamhash.engine_idle_timeout",
							"Time after which an unused engine process ends.",
							"0 keeps it until the session ends. A running engine keeps the value "
							"it was started with.",
							&vamhash_engine_idle_timeout, 300, 0, 7 * 24 * 3600, PGC_SUSET,
							GUC_UNIT_S, NULL, NULL, NULL);
	MarkGUCPrefixReserved("vamhash");
}
