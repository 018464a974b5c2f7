/*
 * engine_process.cpp
 *		Starting, killing and reaping vamhash-engine processes.
 *
 * A child of a backend can hurt the cluster in ways that have nothing to do with
 * what it computes. What is done about each:
 *
 *	- inherited descriptors (data files, the client's socket): everything from 4
 *	  up is closed in the child, 0 to 2 are /dev/null, 3 is the socketpair;
 *	- signals between exec and the first sigaction(): the child starts with all
 *	  blocked and all default (the engine sets its own and unblocks them);
 *	- a child that outlives its backend: the engine asks for SIGTERM at its
 *	  parent's death, and we kill and reap it when the backend exits. One that
 *	  dies by a signal must never reach the postmaster as an orphan: where the
 *	  postmaster is process 1 (a container) that counts as a crashed backend;
 *	- the server's environment and working directory: not passed on.
 *
 * It stays in the backend's process group, so that the postmaster's SIGQUIT and
 * SIGKILL reach it.
 */
#include "pg/postgres.hpp"
#include "pg/engine_process.hpp"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

extern "C"
{
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "storage/fd.h"
}

#include "protocol/frame.h"

/* Well above 3, so that dup2() onto 3 never meets its own source. */
#define LOWEST_SOCKET_DESCRIPTOR 20

/* How long a process that has closed its socket gets to end by itself. */
#define ENDING_GRACE_MS 1000

/*
 * How long we wait for processes killed at one time. They end in a few milliseconds, unless they have
 * much memory to give back or their kernel calls cannot be interrupted: a device's driver, a dead file
 * server. Whoever cancels waits for as long: a tenth of a second at most is what is promised.
 */
#define KILLED_GRACE_MS 80

/* How long the backend's own end waits for those that were left. */
#define FINAL_GRACE_MS 5000

/*
 * With so many left something is wrong that another engine would only add to. None is started then,
 * rather than waited for without an end: the end of a transaction, where engines are killed, cannot be
 * cancelled.
 */
#define MAX_KILLED 8

/* Killed processes that are still to be reaped: so many, and whatever lives, killed at one time. */
static pid_t killed[MAX_KILLED + MAX_ENGINES];
static int killed_count = 0;

/* Path of the engine: in the directory from which this library was loaded. */
static void
GetEnginePath(char *path)
{
	Dl_info info;
	const char *slash;

	if (dladdr((const void *) &GetEnginePath, &info) == 0 ||
		(slash = strrchr(info.dli_fname, '/')) == NULL)
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR),
						errmsg("could not find the directory of the vamhash library")));
	snprintf(path, MAXPGPATH, "%.*s/vamhash-engine", (int) (slash - info.dli_fname),
			 info.dli_fname);
}

/* Make a pair of sockets, close-on-exec and numbered well above 3; false leaves errno. */
static bool
MakeSocketPair(int *mine, int *theirs)
{
	int pair[2];
	int save_errno;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
		return false;
	*mine = fcntl(pair[0], F_DUPFD_CLOEXEC, LOWEST_SOCKET_DESCRIPTOR);
	*theirs = *mine < 0 ? -1 : fcntl(pair[1], F_DUPFD_CLOEXEC, LOWEST_SOCKET_DESCRIPTOR);
	if (*theirs >= 0 && fcntl(*mine, F_SETFL, O_NONBLOCK) == 0)
	{
		close(pair[0]);
		close(pair[1]);
		return true;
	}
	save_errno = errno;
	if (*mine >= 0)
		close(*mine);
	if (*theirs >= 0)
		close(*theirs);
	close(pair[0]);
	close(pair[1]);
	errno = save_errno;
	return false;
}

/* posix_spawn() the engine with `theirs` as its descriptor 3; returns an errno. */
static int
SpawnWithSocket(pid_t *pid, const char *path, char *const argv[], int theirs)
{
	static char path_variable[] = "PATH=/usr/bin:/bin";
	static char locale_variable[] = "LC_ALL=C";
	char *const environment[] = {path_variable, locale_variable, NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t all;
	int error;

	sigfillset(&all);
	error = posix_spawn_file_actions_init(&actions);
	if (error != 0)
		return error;
	error = posix_spawnattr_init(&attributes);
	if (error != 0)
	{
		posix_spawn_file_actions_destroy(&actions);
		return error;
	}

	if ((error = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)) == 0 &&
		(error = posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)) == 0 &&
		(error = posix_spawn_file_actions_adddup2(&actions, 1, 2)) == 0 &&
		(error = posix_spawn_file_actions_adddup2(&actions, theirs,
												  vamhash::protocol::engine_socket)) == 0 &&
		(error = posix_spawn_file_actions_addclosefrom_np(
			 &actions, vamhash::protocol::engine_socket + 1)) == 0 &&
		(error = posix_spawn_file_actions_addchdir_np(&actions, "/")) == 0 &&
		(error = posix_spawnattr_setsigmask(&attributes, &all)) == 0 &&
		(error = posix_spawnattr_setsigdefault(&attributes, &all)) == 0 &&
		(error = posix_spawnattr_setflags(&attributes,
										  POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF)) == 0)
		error = posix_spawn(pid, path, &actions, &attributes, argv, environment);

	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return error;
}

bool
EngineProcessEnded(pid_t pid, int *status)
{
	pid_t ended;

	do
		ended = waitpid(pid, status, WNOHANG);
	while (ended < 0 && errno == EINTR);
	if (ended < 0)
		*status = -1; /* somebody else reaped it */
	return ended != 0;
}

/* Milliseconds since a moment. */
static double
MillisecondsSince(instr_time moment)
{
	instr_time now;

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, moment);
	return INSTR_TIME_GET_MILLISEC(now);
}

/* Wait for a process to end, up to so many milliseconds; then as EngineProcessEnded(). */
static bool
EngineProcessEndsWithin(pid_t pid, double milliseconds, int *status)
{
	instr_time begun;
	long pause = 50;

	INSTR_TIME_SET_CURRENT(begun);
	while (!EngineProcessEnded(pid, status))
	{
		/* By the clock: on a busy machine a pause takes longer than was asked for. */
		if (MillisecondsSince(begun) >= milliseconds)
			return false;
		pause = Min(pause * 2, 1000);
		pg_usleep(pause);
	}
	return true;
}

/* Reap the killed processes that have ended, each given so much time; keep the others. */
static void
ReapKilled(int milliseconds)
{
	int count = 0;
	int status;

	for (int i = 0; i < killed_count; i++)
	{
		if (!EngineProcessEndsWithin(killed[i], milliseconds, &status))
			killed[count++] = killed[i];
	}
	killed_count = count;
}

/* Raise an error if too many killed processes do not end. */
static void
CheckKilledCount(void)
{
	ReapKilled(0);
	if (killed_count >= MAX_KILLED)
		ereport(ERROR,
				(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
				 errmsg("%d killed vamhash engines of this session have not ended", killed_count),
				 errdetail("The kernel has not given them up: they may wait for a device or a file "
						   "server."),
				 errhint("No other engine is started before they end.")));
}

pid_t
SpawnEngineProcess(const char *role, int idle_seconds, int memory_mb, int *socket_out)
{
	char path[MAXPGPATH];
	char role_argument[16];
	char backend_argument[16];
	char idle_argument[16];
	char memory_argument[16];
	char *const argv[] = {path,			 role_argument,	  backend_argument,
						  idle_argument, memory_argument, NULL};
	int mine;
	int theirs;
	pid_t pid;
	int error;

	CheckKilledCount();
	GetEnginePath(path);
	strlcpy(role_argument, role, sizeof(role_argument));
	snprintf(backend_argument, sizeof(backend_argument), "%d", MyProcPid);
	snprintf(idle_argument, sizeof(idle_argument), "%d", idle_seconds);
	snprintf(memory_argument, sizeof(memory_argument), "%d", memory_mb);

	if (!AcquireExternalFD())
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_RESOURCES),
						errmsg("could not reserve a file descriptor for the vamhash engine"),
						errhint("Consider raising \"max_files_per_process\".")));
	if (!MakeSocketPair(&mine, &theirs))
	{
		int save_errno = errno;

		ReleaseExternalFD();
		errno = save_errno;
		ereport(ERROR, (errcode_for_socket_access(),
						errmsg("could not create a socket for the vamhash engine: %m")));
	}

	error = SpawnWithSocket(&pid, path, argv, theirs);
	close(theirs);
	if (error != 0)
	{
		close(mine);
		ReleaseExternalFD();
		errno = error;
		ereport(ERROR, (errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
						errmsg("could not start the vamhash engine \"%s\": %m", path),
						errhint("It is installed beside the extension's library by \"make "
								"install\".")));
	}
	*socket_out = mine;
	return pid;
}

int
AwaitEngineProcess(pid_t pid)
{
	int status;

	if (EngineProcessEndsWithin(pid, ENDING_GRACE_MS, &status))
		return status;
	KillEngineProcesses(&pid, 1);
	return -1;
}

void
KillEngineProcesses(const pid_t *pids, int count)
{
	instr_time begun;
	int status;

	for (int i = 0; i < count; i++)
		kill(pids[i], SIGKILL);
	ReapKilled(0);
	INSTR_TIME_SET_CURRENT(begun);
	for (int i = 0; i < count; i++)
	{
		if (EngineProcessEndsWithin(pids[i], KILLED_GRACE_MS - MillisecondsSince(begun), &status))
			continue;
		Assert(killed_count < (int) lengthof(killed));
		killed[killed_count++] = pids[i];
	}
}

void
AwaitKilledEngineProcesses(void)
{
	if (killed_count > 0)
		ReapKilled(FINAL_GRACE_MS / killed_count);
}
