/*
 * progress.hpp
 *		What a running job tells the view vamhash_progress.
 *
 *		Job *job = BeginJob("similar_pairs");
 *		SetJobPhase(job, "reading rows", -1);
 *		SetJobRows(job, rows);			(any number of times: it costs a nanosecond or two)
 *		EndJob(job);
 *
 *		A job that is left by an error needs no clean-up by its caller: the end of the
 *		(sub)transaction that began it ends it, and of a procedure's job the abort of any
 *		transaction. No call here ever fails: where a job cannot be shown, BeginJob() returns
 *		NULL, and what is told of none, or of one that has ended, is ignored.
 */
#pragma once

typedef struct Job Job;

/* Lengths of a kind and of a phase, with their terminating zero; a longer one is cut off. */
#define JOB_NAME_LENGTH 32

/* Length of a device's name, the same. */
#define JOB_DEVICE_LENGTH 64

/* Reserve the shared memory that jobs are shown in, where the library is preloaded. */
extern void RequestProgressMemory(void);

/* Begin a job of a kind: the name of the SQL function or procedure that runs it. */
extern Job *BeginJob(const char *kind);

/* Begin a job that goes on after COMMIT: of a procedure that ends its own transactions. */
extern Job *BeginProcedureJob(const char *kind);

/* Begin a phase of a job, of `total` units of work, or -1 if that is not known; done restarts at 0. */
extern void SetJobPhase(Job *job, const char *phase, int64 total);

/* Tell how much of the phase is done, in the units of its total. */
extern void SetJobDone(Job *job, int64 done);

/* Tell how many rows have been read in a phase that reads them: both its done and the job's rows. */
extern void SetJobRows(Job *job, int64 rows);

/* Tell the numbers of a join so far; -1 for one that is not known. */
extern void SetJobJoin(Job *job, int64 rows, int64 candidates, int64 pairs, int64 estimated_pairs);

/* Tell the name of the device that computes. */
extern void SetJobDevice(Job *job, const char *device);

/* Tell how many images are done, how many of them are bad, and the bytes of images so far. */
extern void SetJobImages(Job *job, int64 done, int64 bad, int64 bytes);

/* End a job: it is shown no longer, and is not to be used again. */
extern void EndJob(Job *job);
