/*
 * statistics.hpp
 *		What the view vamhash_stat tells of this session: its last work, and totals.
 */
#pragma once

/* What is counted as long as the session lives, in the order of the view. */
typedef enum Total
{
	TOTAL_JOINS,
	TOTAL_ROWS,
	TOTAL_PAIRS,
	TOTAL_DEVICE_JOINS,
	TOTAL_FALLBACKS,
	TOTAL_IMAGES,
	TOTAL_DEVICE_IMAGES,
	TOTAL_IMAGE_ERRORS,
	TOTAL_ENGINE_STARTS,
	TOTAL_ENGINE_KILLS,
	TOTAL_ENGINE_FAILURES,
	TOTAL_COUNT,
} Total;

extern void AddToTotal(Total total, uint64 amount);

/*
 * Forget the last work and begin to tell of another: its first entry is last_kind. To be called with
 * all its SetLast...() when the work is complete, so that a call inside it tells nothing in between,
 * and work that failed tells nothing at all.
 */
extern void ResetLastWork(const char *kind);

/* Append an entry, whose name begins with last_, or set it anew. */
extern void SetLastText(const char *name, const char *value);
extern void SetLastInt(const char *name, int64 value);
extern void SetLastSeconds(const char *name, double seconds);
