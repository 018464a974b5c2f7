/*
 * device_use.hpp
 *		What requests that may use a device have in common.
 */
#pragma once

#include "pg/engine_client.hpp"
#include "pg/progress.hpp"

/*
 * Which device a request may use, from the settings. Where no engine may hold one, it is none, and
 * *barred is set; an error if one must be used.
 */
extern vamhash::protocol::DeviceSettings GetDeviceSettings(bool *barred);

/* The reason then. */
#define DEVICES_BARRED_REASON "\"vamhash.max_gpu_engines\" is 0"

/* Must one be used? */
static inline bool
MustUseDevice(const vamhash::protocol::DeviceSettings *settings)
{
	return settings->use == (uint32) vamhash::protocol::DeviceUse::on;
}

/*
 * Answer ASK_DEVICE with a slot for the engine, which is its own from then on, or without one. Where a
 * device must be used, waits until one is free; the job is in `phase` again after that.
 */
extern void AnswerDeviceQuestion(EngineRequest *request,
								 const vamhash::protocol::DeviceSettings *settings, Job *job,
								 const char *phase);
