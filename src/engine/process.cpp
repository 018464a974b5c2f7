#include "engine/process.h"

#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

namespace vamhash {

namespace {

// Stacks: codecs keep rows on the heap. The default is what the server was started with, mostly 8
// MB.
constexpr std::size_t stack_bytes = std::size_t{1} << 20;

// Exit status 0 matters: an orphan that dies by a signal or exits with 2 or more, adopted by a
// postmaster that is PID 1 (a container), counts as a crashed backend and restarts the cluster.
extern "C" void end_quietly(int /*signal*/) {
    _exit(0);
}

void prefer_for_oom_kill() {
    const int file = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (file >= 0) {
        // Refusal leaves the engine as likely a victim as the backend, which is tolerable.
        [[maybe_unused]] const ssize_t written = ::write(file, "500", 3);
        close(file);
    }
}

} // namespace

void settle_beside_backend(pid_t backend) {
    struct sigaction action {};
    sigemptyset(&action.sa_mask);
    action.sa_handler = SIG_IGN;
    sigaction(SIGINT, &action, nullptr);
    sigaction(SIGPIPE, &action, nullptr);
    action.sa_handler = end_quietly;
    sigaction(SIGTERM, &action, nullptr);
    sigaction(SIGQUIT, &action, nullptr);

    // PDEATHSIG fires only for a death after this call: the parent is looked at afterwards.
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != backend) {
        _exit(0);
    }
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);

    const rlimit no_core{.rlim_cur = 0, .rlim_max = 0};
    setrlimit(RLIMIT_CORE, &no_core);
    prefer_for_oom_kill();
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

void keep_memory_between_requests() {
    constexpr int kept_bytes = 32 << 20;
    mallopt(M_MMAP_THRESHOLD, kept_bytes);
    mallopt(M_TRIM_THRESHOLD, kept_bytes);
}

void keep_threads_small() {
    mallopt(M_ARENA_MAX, 1);
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes) == 0) {
        // A refusal leaves the larger stacks.
        static_cast<void>(pthread_attr_setstacksize(&attributes, stack_bytes) == 0 &&
                          pthread_setattr_default_np(&attributes) == 0);
        pthread_attr_destroy(&attributes);
    }
}

} // namespace vamhash
