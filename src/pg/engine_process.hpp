/*
 * engine_process.hpp
 *		Starting, killing and reaping vamhash-engine processes.
 */
#pragma once

/* Engines of one session: calls may be nested, but a runaway recursion must not fill the machine. */
#define MAX_ENGINES 32

/*
 * Start the engine installed beside this library, with an idle timeout (0: none) and megabytes it may
 * take (0: no limit); *socket_out is this side's end, non-blocking.
 */
extern pid_t SpawnEngineProcess(const char *role, int idle_seconds, int memory_mb, int *socket_out);

/* Has the process ended? Then it is reaped and *status is what waitpid() gave, or -1 if unknown. */
extern bool EngineProcessEnded(pid_t pid, int *status);

/* Give a process that is about to end up to a second to do so, then kill it; reap it. */
extern int AwaitEngineProcess(pid_t pid);

/* Kill processes at once and reap them, now or, if they take long to end, at a later call. */
extern void KillEngineProcesses(const pid_t *pids, int count);

/* Reap the killed processes that were left for later, as far as they end within seconds. */
extern void AwaitKilledEngineProcesses(void);
