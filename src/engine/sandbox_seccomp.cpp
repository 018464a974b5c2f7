// The filters of system calls, by libseccomp.
//
// A call that is not allowed fails with EPERM; it does not kill the engine. It has no effect either
// way. But a codec library that tries something new and harmless (a hint to the scheduler, a look
// for a processor's name) then goes on without it, and an engine that is killed by a signal when
// nobody is left to reap it can look to the postmaster like a crashed backend. Only calls by
// another architecture's numbers, which no library makes, kill.
//
// The lists are for glibc 2.36 to 2.41 on x86-64 and arm64; a name that an architecture does not
// have is passed over by libseccomp.
#include "engine/sandbox.h"

#ifdef VAMHASH_HAVE_SECCOMP

#include "protocol/frame.h"

#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <initializer_list>
#include <sched.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <unistd.h>

namespace vamhash {

const bool has_call_filters = true;

namespace {

using Conditions = std::initializer_list<scmp_arg_cmp>;

constexpr std::uint64_t low_word = 0xffffffff; // the kernel looks at no more of an int

// Conditions on a call's argument, by its number from 0.
scmp_arg_cmp argument_is(unsigned argument, std::uint64_t value) {
    return {argument, SCMP_CMP_EQ, value, 0};
}

scmp_arg_cmp argument_is_not(unsigned argument, std::uint64_t value) {
    return {argument, SCMP_CMP_NE, value, 0};
}

scmp_arg_cmp argument_has(unsigned argument, std::uint64_t mask, std::uint64_t value) {
    return {argument, SCMP_CMP_MASKED_EQ, mask, value};
}

/// A filter being built. What fails is remembered, and such a filter is not loaded.
class CallFilter {
  public:
    explicit CallFilter(std::uint32_t otherwise) : context_(seccomp_init(otherwise)) {
        if (context_ != nullptr) {
            require(seccomp_attr_set(context_, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS));
            // A library that was loaded before may have begun threads.
            require(seccomp_attr_set(context_, SCMP_FLTATR_CTL_TSYNC, 1));
        }
    }
    ~CallFilter() { seccomp_release(context_); }
    CallFilter(const CallFilter&) = delete;
    CallFilter& operator=(const CallFilter&) = delete;

    /// Decides on a call whose arguments meet all conditions.
    void add(std::uint32_t action, int call, Conditions conditions = {}) {
        if (context_ != nullptr) {
            require(seccomp_rule_add_array(context_, action, call,
                                           static_cast<unsigned>(conditions.size()),
                                           conditions.begin()));
        }
    }

    /// Puts the filter in force; false leaves all as it was.
    bool load() { return context_ != nullptr && complete_ && seccomp_load(context_) == 0; }

  private:
    void require(int result) { complete_ = complete_ && result == 0; }

    scmp_filter_ctx context_;
    bool complete_ = true;
};

/// Calls of a decoder that are harmless whatever their arguments.
constexpr int decode_calls[] = {
    // its socket, and files that are open
    SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(pread64), SCMP_SYS(write), SCMP_SYS(writev),
    SCMP_SYS(lseek), SCMP_SYS(close), SCMP_SYS(fstat), SCMP_SYS(poll), SCMP_SYS(ppoll),
    SCMP_SYS(recvfrom),
    // memory
    SCMP_SYS(brk), SCMP_SYS(mmap), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(mprotect),
    SCMP_SYS(madvise),
    // threads
    SCMP_SYS(futex), SCMP_SYS(rseq), SCMP_SYS(set_robust_list), SCMP_SYS(sched_yield),
    SCMP_SYS(sched_getaffinity), SCMP_SYS(getcpu), SCMP_SYS(gettid), SCMP_SYS(getpid),
    // signals to itself
    SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn), SCMP_SYS(sigaltstack),
    SCMP_SYS(restart_syscall),
    // time, chance, and how much memory there is (glibc's qsort)
    SCMP_SYS(clock_gettime), SCMP_SYS(clock_getres), SCMP_SYS(gettimeofday), SCMP_SYS(time),
    SCMP_SYS(clock_nanosleep), SCMP_SYS(nanosleep), SCMP_SYS(getrandom), SCMP_SYS(sysinfo),
    // the end
    SCMP_SYS(exit), SCMP_SYS(exit_group)};

/// Calls that take something away from others, in any form.
constexpr int compute_denials[] = {
    // the network, the server's socket in the file system included; io_uring makes sockets, too
    SCMP_SYS(socket), SCMP_SYS(socketcall), SCMP_SYS(io_uring_setup),
    // other processes' memory and descriptors
    SCMP_SYS(ptrace), SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev),
    SCMP_SYS(pidfd_getfd),
    // other processes' signals
    SCMP_SYS(tkill), SCMP_SYS(rt_sigqueueinfo), SCMP_SYS(rt_tgsigqueueinfo),
    SCMP_SYS(pidfd_send_signal)};

/// Threads, but no processes and no namespaces: clone() with CLONE_THREAD alone of these flags.
void allow_threads(CallFilter& filter) {
    constexpr std::uint64_t kinds = CLONE_THREAD | CLONE_PTRACE | CLONE_NEWNS | CLONE_NEWCGROUP |
                                    CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID |
                                    CLONE_NEWNET;
    filter.add(SCMP_ACT_ALLOW, SCMP_SYS(clone), {argument_has(0, kinds, CLONE_THREAD)});
    // Its flags are in memory, where a filter cannot look: glibc then uses clone().
    filter.add(SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3));
}

/// Calls that are allowed only with arguments that can do no harm.
void allow_harmless_arguments(CallFilter& filter) {
    // To the backend and nowhere else.
    filter.add(SCMP_ACT_ALLOW, SCMP_SYS(sendto),
               {argument_is(0, protocol::engine_socket), argument_is(4, 0)});
    // From the backend: what it sends, and files that it has opened.
    filter.add(SCMP_ACT_ALLOW, SCMP_SYS(recvmsg), {argument_is(0, protocol::engine_socket)});
    // abort(). fcntl(F_SETOWN) would be another way to send signals.
    filter.add(SCMP_ACT_ALLOW, SCMP_SYS(tgkill),
               {argument_is(0, static_cast<std::uint64_t>(getpid()))});
    for (const int command : {F_GETFD, F_SETFD, F_GETFL}) {
        filter.add(SCMP_ACT_ALLOW, SCMP_SYS(fcntl),
                   {argument_is(1, static_cast<std::uint64_t>(command))});
    }
    // Names of threads.
    filter.add(SCMP_ACT_ALLOW, SCMP_SYS(prctl), {argument_is(0, PR_SET_NAME)});
    // getrlimit() of itself: no new limits.
    filter.add(SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), {argument_is(0, 0), argument_is(2, 0)});
}

/// What dlopen() needs, where Landlock looks at the names.
void allow_libraries(CallFilter& filter) {
    constexpr std::uint64_t more_than_reading =
        O_ACCMODE | O_CREAT | O_EXCL | O_TRUNC | O_APPEND | O_PATH | (O_TMPFILE & ~O_DIRECTORY);
    filter.add(SCMP_ACT_ALLOW, SCMP_SYS(openat), {argument_has(2, more_than_reading, 0)});
    filter.add(SCMP_ACT_ALLOW, SCMP_SYS(newfstatat)); // fstat() of glibc 2.33 to 2.38
    filter.add(SCMP_ACT_ALLOW, SCMP_SYS(getdents64));
}

} // namespace

bool filter_decode_calls(bool libraries) {
    CallFilter filter(SCMP_ACT_ERRNO(EPERM));
    for (const int call : decode_calls) {
        filter.add(SCMP_ACT_ALLOW, call);
    }
    allow_threads(filter);
    allow_harmless_arguments(filter);
    if (libraries) {
        allow_libraries(filter);
    }
    return filter.load();
}

bool filter_compute_calls() {
    constexpr std::uint32_t deny = SCMP_ACT_ERRNO(EPERM);
    CallFilter filter(SCMP_ACT_ALLOW);
    for (const int call : compute_denials) {
        filter.add(deny, call);
    }
    const auto self = static_cast<std::uint64_t>(getpid());
    filter.add(deny, SCMP_SYS(kill), {argument_is_not(0, self)});
    filter.add(deny, SCMP_SYS(tgkill), {argument_is_not(0, self)});
    // Signals to the owner of a descriptor, who can be anybody.
    for (const int command : {F_SETOWN, F_SETOWN_EX}) {
        filter.add(deny, SCMP_SYS(fcntl),
                   {argument_has(1, low_word, static_cast<std::uint64_t>(command))});
    }
    for (const std::uint64_t request : {0x8901, 0x8902}) { // FIOSETOWN, SIOCSPGRP
        filter.add(deny, SCMP_SYS(ioctl), {argument_has(1, low_word, request)});
    }
    return filter.load();
}

} // namespace vamhash

#else

namespace vamhash {

const bool has_call_filters = false;

bool filter_decode_calls(bool /*libraries*/) {
    return false;
}

bool filter_compute_calls() {
    return false;
}

} // namespace vamhash

#endif
