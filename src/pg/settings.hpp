/*
 * settings.hpp
 *		The vamhash.* settings. They change only where and how fast work is
 *		done, and what is refused; never what a hash or a distance is. The one
 *		exception is vamhash.nvjpeg, which is off.
 */
#pragma once

extern "C"
{
#include "nodes/pg_list.h"
}

#include "protocol/frame.h"

extern int vamhash_threads;
extern int vamhash_join_method; /* a vamhash::protocol::Method */
extern int vamhash_max_pairs;
extern int vamhash_memory_limit; /* kB */
extern int vamhash_gpu;			 /* a vamhash::protocol::DeviceUse */
extern char *vamhash_backends;
extern int vamhash_device_id;
extern int vamhash_gpu_min_rows;
extern int vamhash_gpu_min_images;
extern int vamhash_batch_size;
extern bool vamhash_nvjpeg;
extern int vamhash_gpu_memory_limit; /* kB */
extern int vamhash_max_gpu_engines;
extern int vamhash_max_image_bytes;
extern int vamhash_max_image_pixels;
extern int vamhash_image_memory_limit;
extern int vamhash_image_timeout;
extern int vamhash_engine_idle_timeout;
extern char *vamhash_image_roots;

extern void DefineVamhashSettings(void);

/* Megabytes that decoding an image may take: vamhash.image_memory_limit, or what follows for 0. */
extern int ImageMemoryLimit(void);

/* The backends of vamhash.backends, as many as there are, ended by none. */
extern void GetBackends(vamhash::protocol::Backend *backends);

/* The folders of vamhash.image_roots, absolute paths in canonical form; NIL if any folder will do. */
extern List *ImageRoots(void);
