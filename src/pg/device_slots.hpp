/*
 * device_slots.hpp
 *		The cluster's slots for engines that hold a device: vamhash.max_gpu_engines of them.
 */
#pragma once

/*
 * Take a free slot; returns the descriptor of a transient file (CloseTransientFile()) that holds it,
 * or -1 if there is none. Who is given the descriptor has the slot for as long as it keeps that open.
 * Where slots cannot be had at all, that is an error with `must`, and otherwise one for the log.
 */
extern int TakeDeviceSlot(bool must);
