/*
 * progress.cpp
 *		View vamhash_progress: the running jobs of all sessions.
 *
 * A job takes one of a fixed number of slots in shared memory, which is attached to
 * by the first job or the first look of a backend: the library need not be preloaded.
 * Where there is no shared memory or no free slot, the job runs on without being shown.
 * Showing progress must never be what a query fails of.
 *
 * No lock is ever taken on a slot. It is claimed by a compare-and-swap of its owner and
 * written by its owner alone, who may do so for every row that it reads: a change count
 * that is odd while the state is being written, as of PostgreSQL's own pg_stat_activity,
 * costs two stores there. A reader copies the state and does so again if the count was odd
 * or has moved. So a writer never waits, not even for a reader that was stopped.
 *
 * The slots of a backend are freed as its jobs end, and else by the end of the
 * (sub)transaction that began them; but a procedure that commits now and then keeps its slot
 * until a transaction is aborted, which is how its errors end. A backend that is terminated
 * aborts its transaction on its way out; one that is killed takes the shared memory with it.
 */
#include "pg/postgres.hpp"
#include "pg/progress.hpp"

extern "C"
{
#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"
#if PG_VERSION_NUM >= 170000
#include "storage/dsm_registry.h"
#endif
}

/*
 * Slots of the cluster: 32 kB, of the roughly 100 kB that PostgreSQL keeps spare for all modules
 * together. A session uses as many as it has calls inside one another.
 */
#define JOB_SLOTS 128

/* The number grows with every change of struct Job: sessions with different builds share nothing. */
#define JOB_MEMORY_NAME "vamhash jobs 3"

/* What readers see of a job. -1 stands for a number that is not known. */
typedef struct JobState
{
	int32 pid; /* 0: there is no job */
	Oid role;
	Oid database;
	char kind[JOB_NAME_LENGTH];
	char phase[JOB_NAME_LENGTH];
	TimestampTz started;
	TimestampTz phase_started;
	int64 done;
	int64 total;
	int64 rows;
	int64 candidates;
	int64 pairs;
	int64 estimated_pairs;
	int64 bad;
	int64 bytes;
	char device[JOB_DEVICE_LENGTH]; /* empty: not known yet, or of no meaning */
} JobState;

/* A slot. On cache lines of its own: what one backend counts must not slow another. */
struct alignas(64) Job
{
	pg_atomic_uint32 owner;		   /* pid of the backend that has it; 0: free */
	pg_atomic_uint32 change_count; /* odd while the state is written */
	SubTransactionId subid;		   /* that the job belongs to; for its owner */
	bool outlives_commit;		   /* it is a procedure's; for its owner */
	JobState state;
};

static_assert(JOB_SLOTS * sizeof(Job) <= 32 * 1024, "too much of the spare shared memory");

/* The slots, once attached to. */
static Job *jobs = NULL;

/* Jobs that this backend has in them. */
static int own_jobs = 0;

/* Make all slots free. */
static void
InitJobs(void *memory)
{
	Job *slots = (Job *) memory;

	memset(slots, 0, JOB_SLOTS * sizeof(Job));
	for (int i = 0; i < JOB_SLOTS; i++)
	{
		pg_atomic_init_u32(&slots[i].owner, 0);
		pg_atomic_init_u32(&slots[i].change_count, 0);
	}
}

#if PG_VERSION_NUM >= 170000

/*
 * Get the slots, or raise an error and leave nothing behind. 17 brought shared memory by name for any
 * module at any time; where there is none left, a subtransaction gives back the lock and the segment
 * that the error left.
 */
static void *
GetJobMemory(void)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner resource_owner = CurrentResourceOwner;
	void *memory;
	bool found;

	BeginInternalSubTransaction(NULL);
	PG_TRY();
	{
		memory = GetNamedDSMSegment(JOB_MEMORY_NAME, JOB_SLOTS * sizeof(Job), InitJobs, &found);
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = resource_owner;
		ReThrowError(error);
	}
	PG_END_TRY();
	ReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = resource_owner;
	return memory;
}

#else

/*
 * Get the slots, or raise an error and leave nothing behind. Before 17, they are what the preloaded
 * library reserved, or of what the main segment has to spare. No subtransaction here: before 17, they
 * are not allowed beside parallel workers.
 */
static void *
GetJobMemory(void)
{
	void *memory;
	bool found;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	PG_TRY();
	{
		memory = ShmemInitStruct(JOB_MEMORY_NAME, JOB_SLOTS * sizeof(Job), &found);
	}
	PG_CATCH();
	{
		/* The error has set to 0 what LWLockAcquire() counted up and LWLockRelease() counts down. */
		InterruptHoldoffCount = 1;
		LWLockRelease(AddinShmemInitLock);
		PG_RE_THROW();
	}
	PG_END_TRY();
	if (!found)
		InitJobs(memory);
	LWLockRelease(AddinShmemInitLock);
	return memory;
}

#endif

/*
 * Attach to the slots; false if that is not possible, now or at an earlier try of this backend's.
 * The error that says so is caught and logged: nobody's query is to fail of it.
 */
static bool
AttachJobs(void)
{
	static bool failed = false;
	MemoryContext context = CurrentMemoryContext;
	uint32 held_interrupts = InterruptHoldoffCount;

	if (jobs != NULL || failed)
		return jobs != NULL;
	/* HOLD_INTERRUPTS(), without C++20's warning: a cancel is not to be taken for a lack of memory. */
	InterruptHoldoffCount = held_interrupts + 1;
	PG_TRY();
	{
		jobs = (Job *) GetJobMemory();
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		failed = true;
		ereport(
			LOG,
			(errmsg("vamhash_progress does not show the jobs of this session: %s", error->message),
			 errhint("Add vamhash to \"shared_preload_libraries\" and restart the server.")));
		FreeErrorData(error);
	}
	PG_END_TRY();
	InterruptHoldoffCount = held_interrupts;
	return !failed;
}

#if PG_VERSION_NUM < 170000

static shmem_startup_hook_type previous_shmem_startup = NULL;

/* shmem_startup_hook: the shared memory is new, at the server's start and after a crash. */
static void
StartJobMemory(void)
{
	if (previous_shmem_startup != NULL)
		previous_shmem_startup();
	jobs = (Job *) GetJobMemory();
}

#endif

#if PG_VERSION_NUM >= 150000 && PG_VERSION_NUM < 170000

static shmem_request_hook_type previous_shmem_request = NULL;

/* shmem_request_hook: ask for the slots. */
static void
RequestJobMemory(void)
{
	if (previous_shmem_request != NULL)
		previous_shmem_request();
	RequestAddinShmemSpace(JOB_SLOTS * sizeof(Job));
}

#endif

/* Called by _PG_init(). From 17 on there is nothing to reserve; 15 made it a hook's business. */
void
RequestProgressMemory(void)
{
	if (!process_shared_preload_libraries_in_progress)
		return;
#if PG_VERSION_NUM < 150000
	RequestAddinShmemSpace(JOB_SLOTS * sizeof(Job));
#elif PG_VERSION_NUM < 170000
	previous_shmem_request = shmem_request_hook;
	shmem_request_hook = RequestJobMemory;
#endif
#if PG_VERSION_NUM < 170000
	previous_shmem_startup = shmem_startup_hook;
	shmem_startup_hook = StartJobMemory;
#endif
}

/* Is a slot this backend's? */
static inline bool
IsOwn(Job *job)
{
	return pg_atomic_read_u32(&job->owner) == (uint32) MyProcPid;
}

/* Is there a job, and has no end of a transaction taken it away? */
static inline bool
IsOurs(Job *job)
{
	return job != NULL && IsOwn(job);
}

/* Begin to write the state of a job of ours. */
static inline void
BeginChange(Job *job)
{
	pg_atomic_write_u32(&job->change_count, pg_atomic_read_u32(&job->change_count) + 1);
	pg_write_barrier();
}

/* The state can be read again. */
static inline void
EndChange(Job *job)
{
	pg_write_barrier();
	pg_atomic_write_u32(&job->change_count, pg_atomic_read_u32(&job->change_count) + 1);
}

/* Take a free slot; NULL if there is none. */
static Job *
ClaimSlot(void)
{
	for (int i = 0; i < JOB_SLOTS; i++)
	{
		uint32 owner = 0;

		if (pg_atomic_read_u32(&jobs[i].owner) == 0 &&
			pg_atomic_compare_exchange_u32(&jobs[i].owner, &owner, (uint32) MyProcPid))
			return &jobs[i];
	}
	return NULL;
}

/* End this backend's jobs that belong to a subtransaction that aborts. */
static void
EndJobsOf(SubTransactionId subid)
{
	for (int i = 0; i < JOB_SLOTS && own_jobs > 0; i++)
	{
		if (IsOwn(&jobs[i]) && jobs[i].subid == subid)
			EndJob(&jobs[i]);
	}
}

/* End all jobs of this backend, at a commit all but those that go on after it. */
static void
EndAllJobs(bool is_commit)
{
	for (int i = 0; i < JOB_SLOTS && own_jobs > 0; i++)
	{
		if (IsOwn(&jobs[i]) && !(is_commit && jobs[i].outlives_commit))
			EndJob(&jobs[i]);
	}
}

/* At the end of a transaction no job is running but a procedure's. */
static void
JobXactCallback(XactEvent event, void *)
{
	if (event == XACT_EVENT_ABORT || event == XACT_EVENT_PARALLEL_ABORT ||
		event == XACT_EVENT_COMMIT || event == XACT_EVENT_PARALLEL_COMMIT ||
		event == XACT_EVENT_PREPARE)
		EndAllJobs(event == XACT_EVENT_COMMIT);
}

/* A subtransaction that aborts takes its job with it; none outlives one that ends well. */
static void
JobSubXactCallback(SubXactEvent event, SubTransactionId my_subid, SubTransactionId, void *)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		EndJobsOf(my_subid);
}

/* Register, once a backend, what ends jobs. Not in _PG_init(): see RegisterEngineCallbacks(). */
static void
RegisterJobCallbacks(void)
{
	static bool registered = false;

	if (registered)
		return;
	RegisterXactCallback(JobXactCallback, NULL);
	RegisterSubXactCallback(JobSubXactCallback, NULL);
	registered = true;
}

/* Begin a job; `outlives_commit` is for the jobs of procedures. */
static Job *
StartJob(const char *kind, bool outlives_commit)
{
	JobState state = {};
	Job *job;

	RegisterJobCallbacks();
	if (!AttachJobs() || (job = ClaimSlot()) == NULL)
		return NULL;
	own_jobs++;
	job->subid = GetCurrentSubTransactionId();
	job->outlives_commit = outlives_commit;
	state.pid = MyProcPid;
	state.role = GetSessionUserId();
	state.database = MyDatabaseId;
	strlcpy(state.kind, kind, sizeof(state.kind));
	state.started = state.phase_started = GetCurrentTimestamp();
	state.total = state.rows = state.candidates = state.pairs = state.estimated_pairs = -1;
	state.bad = state.bytes = -1;
	BeginChange(job);
	job->state = state;
	EndChange(job);
	return job;
}

Job *
BeginJob(const char *kind)
{
	return StartJob(kind, false);
}

Job *
BeginProcedureJob(const char *kind)
{
	return StartJob(kind, true);
}

void
SetJobPhase(Job *job, const char *phase, int64 total)
{
	TimestampTz now;

	if (!IsOurs(job))
		return;
	now = GetCurrentTimestamp();
	BeginChange(job);
	strlcpy(job->state.phase, phase, sizeof(job->state.phase));
	job->state.phase_started = now;
	job->state.done = 0;
	job->state.total = total;
	EndChange(job);
}

void
SetJobDone(Job *job, int64 done)
{
	if (!IsOurs(job))
		return;
	BeginChange(job);
	job->state.done = done;
	EndChange(job);
}

void
SetJobRows(Job *job, int64 rows)
{
	if (!IsOurs(job))
		return;
	BeginChange(job);
	job->state.done = rows;
	job->state.rows = rows;
	EndChange(job);
}

void
SetJobJoin(Job *job, int64 rows, int64 candidates, int64 pairs, int64 estimated_pairs)
{
	if (!IsOurs(job))
		return;
	BeginChange(job);
	job->state.rows = rows;
	job->state.candidates = candidates;
	job->state.pairs = pairs;
	job->state.estimated_pairs = estimated_pairs;
	EndChange(job);
}

void
SetJobDevice(Job *job, const char *device)
{
	if (!IsOurs(job))
		return;
	BeginChange(job);
	strlcpy(job->state.device, device, sizeof(job->state.device));
	EndChange(job);
}

void
SetJobImages(Job *job, int64 done, int64 bad, int64 bytes)
{
	if (!IsOurs(job))
		return;
	BeginChange(job);
	job->state.done = done;
	job->state.bad = bad;
	job->state.bytes = bytes;
	EndChange(job);
}

void
EndJob(Job *job)
{
	if (!IsOurs(job))
		return;
	BeginChange(job);
	job->state.pid = 0;
	EndChange(job);
	/* The slot must not be another's before its state says that it has no job. */
	pg_write_barrier();
	pg_atomic_write_u32(&job->owner, 0);
	own_jobs--;
}

/* Copy the state of a slot's job, all of one moment; false if it has none. */
static bool
ReadJob(Job *job, JobState *state)
{
	for (;;)
	{
		uint32 before = pg_atomic_read_u32(&job->change_count);
		uint32 after;

		pg_read_barrier();
		*state = job->state;
		pg_read_barrier();
		after = pg_atomic_read_u32(&job->change_count);
		if (before == after && before % 2 == 0)
			return state->pid != 0;
		CHECK_FOR_INTERRUPTS();
	}
}

/* Set a column of vamhash_jobs() to a number, or to null if it is not known. */
static void
SetNumber(Datum *value, bool *null, int64 number)
{
	*value = Int64GetDatum(number);
	*null = number < 0;
}

/* Put one job into the result of vamhash_jobs(); who it is only, if the caller may see no more. */
static void
PutJob(ReturnSetInfo *info, const JobState *state)
{
	Datum values[16] = {};
	bool nulls[16];

	memset(nulls, true, sizeof(nulls));
	values[0] = Int32GetDatum(state->pid);
	values[1] = ObjectIdGetDatum(state->role);
	values[2] = ObjectIdGetDatum(state->database);
	nulls[0] = nulls[1] = nulls[2] = false;
	if (has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS) ||
		has_privs_of_role(GetUserId(), state->role))
	{
		values[3] = CStringGetTextDatum(state->kind);
		nulls[3] = false;
		values[4] = CStringGetTextDatum(state->phase);
		nulls[4] = state->phase[0] == '\0';
		SetNumber(&values[5], &nulls[5], state->done);
		SetNumber(&values[6], &nulls[6], state->total);
		values[7] = TimestampTzGetDatum(state->phase_started);
		nulls[7] = false;
		values[8] = TimestampTzGetDatum(state->started);
		nulls[8] = false;
		SetNumber(&values[9], &nulls[9], state->rows);
		SetNumber(&values[10], &nulls[10], state->candidates);
		SetNumber(&values[11], &nulls[11], state->pairs);
		SetNumber(&values[12], &nulls[12], state->estimated_pairs);
		SetNumber(&values[13], &nulls[13], state->bad);
		SetNumber(&values[14], &nulls[14], state->bytes);
		values[15] = CStringGetTextDatum(state->device);
		nulls[15] = state->device[0] == '\0';
	}
	tuplestore_putvalues(info->setResult, info->setDesc, values, nulls);
}

/* vamhash_jobs(): the running jobs of the cluster, a row each. */
VAMHASH_FUNCTION(vamhash_jobs)
{
	JobState state;

	InitMaterializedSRF(fcinfo, 0);
	if (AttachJobs())
	{
		for (int i = 0; i < JOB_SLOTS; i++)
		{
			if (ReadJob(&jobs[i], &state))
				PutJob((ReturnSetInfo *) fcinfo->resultinfo, &state);
		}
	}
	return (Datum) 0;
}
