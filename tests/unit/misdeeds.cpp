#include "misdeeds.h"

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <fcntl.h>
#include <functional>
#include <map>
#include <memory>
#include <netinet/in.h>
#include <sched.h>
#include <sstream>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace {

using Arguments = std::vector<std::string>;

/// A misdeed's outcome as system calls tell it: negative with errno set, or not.
using Misdeed = std::function<long(const Arguments&)>;

int number(const std::string& text) {
    return std::stoi(text);
}

/// Opens a file and, as asked, reads or writes a byte.
long use_file(const std::string& path, int flags) {
    const int file = open(path.c_str(), flags | O_CLOEXEC, 0600);
    if (file < 0) {
        return -1;
    }
    char byte = 'x';
    const bool reads = (flags & O_ACCMODE) == O_RDONLY;
    const long result = (flags & O_DIRECTORY) != 0 ? syscall(SYS_getdents64, file, &byte, 1)
                        : reads                    ? read(file, &byte, 1)
                                                   : write(file, &byte, 1);
    const int error = errno;
    close(file);
    errno = error;
    // A directory's entry does not fit into a byte: that it was looked for is enough.
    return (flags & O_DIRECTORY) != 0 && error == EINVAL ? 0 : result;
}

/// Opens the linker's cache, which may be read, until that is refused or 1,000 times.
long open_many() {
    for (int i = 0; i < 1000; i++) {
        if (open("/etc/ld.so.cache", O_RDONLY | O_CLOEXEC) < 0) {
            return -1;
        }
    }
    return 0;
}

long load_library(const std::string& name) {
    // dlerror() has words only.
    errno = 0;
    if (dlopen(name.c_str(), RTLD_NOW) != nullptr) {
        return 0;
    }
    errno = errno == 0 ? ENOENT : errno;
    return -1;
}

long connect_tcp(int port) {
    const int connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return connection < 0
               ? -1
               : connect(connection, reinterpret_cast<const sockaddr*>(&address), sizeof address);
}

/// Connects to a Unix socket by its path, or where that begins with @ in the abstract namespace.
long connect_unix(const std::string& path) {
    const int connection = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    if (path.starts_with('@')) {
        address.sun_path[0] = '\0';
    }
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
    return connection < 0
               ? -1
               : connect(connection, reinterpret_cast<const sockaddr*>(&address), length);
}

long make_socket_pair() {
    std::array<int, 2> pair{};
    return socketpair(AF_UNIX, SOCK_STREAM, 0, pair.data());
}

long start_program() {
    static std::array<char, 5> program = {"echo"};
    static std::array<char, 5> word = {"done"};
    std::array<char*, 3> arguments = {program.data(), word.data(), nullptr};
    return execv("/bin/echo", arguments.data());
}

/// Ends the new process at once, or reaps it.
long finish_fork(long pid) {
    if (pid == 0) {
        _exit(0);
    }
    return pid < 0 ? -1 : waitpid(static_cast<pid_t>(pid), nullptr, 0);
}

long fork_by_clone3() {
    struct {
        std::uint64_t flags = 0, pidfd = 0, child_tid = 0, parent_tid = 0, exit_signal = SIGCHLD;
        std::uint64_t stack = 0, stack_size = 0, tls = 0;
    } arguments;
    return finish_fork(syscall(SYS_clone3, &arguments, sizeof arguments));
}

long read_memory(pid_t pid, const std::string& address) {
    char byte = 0;
    const iovec mine{.iov_base = &byte, .iov_len = 1};
    const iovec theirs{.iov_base = reinterpret_cast<void*>(std::stoull(address)), .iov_len = 1};
    return process_vm_readv(pid, &mine, 1, &theirs, 1, 0);
}

long signal_by_descriptor(pid_t pid) {
    const auto descriptor = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
    return descriptor < 0 ? -1 : syscall(SYS_pidfd_send_signal, descriptor, SIGCONT, nullptr, 0);
}

long queue_signal(pid_t pid) {
    siginfo_t info{};
    info.si_signo = SIGCONT;
    info.si_code = SI_QUEUE;
    info.si_pid = getpid();
    return syscall(SYS_rt_sigqueueinfo, pid, SIGCONT, &info);
}

/// Sets a limit to what it is.
long set_limit(pid_t pid) {
    rlimit limit{.rlim_cur = 0, .rlim_max = 0};
    getrlimit(RLIMIT_NOFILE, &limit);
    return prlimit(pid, RLIMIT_NOFILE, &limit, nullptr);
}

/// Takes so many megabytes as a library does, and writes to them.
long take_memory(std::size_t megabytes) {
    const std::size_t size = megabytes << 20;
    const auto memory = std::make_unique_for_overwrite<char[]>(size);
    std::memset(memory.get(), 1, size);
    return memory[size / 2] - 1;
}

long map_memory(std::size_t megabytes, int flags) {
    void* memory =
        mmap(nullptr, megabytes << 20, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? -1 : munmap(memory, megabytes << 20);
}

long make_shared_memory() {
    const int segment = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
    return segment < 0 ? -1 : shmctl(segment, IPC_RMID, nullptr);
}

long set_up_ring() {
    std::array<std::uint32_t, 30> parameters{}; // struct io_uring_params
    return syscall(SYS_io_uring_setup, 1, parameters.data());
}

long run_thread() {
    long result = -1;
    std::thread([&] { result = 0; }).join();
    return result;
}

/// A system call by the 32-bit numbers: getpid().
long call_foreign() {
#ifdef __x86_64__
    long result = 20;
    asm volatile("int $0x80" : "+a"(result) : : "memory", "r8", "r9", "r10", "r11");
    return result;
#else
    errno = ENOSYS;
    return -1;
#endif
}

[[noreturn]] long take_forever() {
    for (;;) {
        std::this_thread::sleep_for(std::chrono::seconds(1));
    }
}

long crash() {
    return raise(SIGSEGV);
}

const std::map<std::string_view, Misdeed>& misdeeds() {
    static const std::map<std::string_view, Misdeed> all = {
        {"read", [](const auto& a) { return use_file(a[0], O_RDONLY); }},
        {"write", [](const auto& a) { return use_file(a[0], O_WRONLY); }},
        {"open", [](const auto& a) { return open(a[0].c_str(), O_RDWR | O_CLOEXEC); }},
        {"create", [](const auto& a) { return use_file(a[0], O_WRONLY | O_CREAT | O_EXCL); }},
        {"list", [](const auto& a) { return use_file(a[0], O_RDONLY | O_DIRECTORY); }},
        {"truncate", [](const auto& a) { return truncate(a[0].c_str(), 0); }},
        {"chmod", [](const auto& a) { return chmod(a[0].c_str(), 0700); }},
        {"remove", [](const auto& a) { return unlink(a[0].c_str()); }},
        {"stat",
         [](const auto& a) {
             struct stat status {};
             return stat(a[0].c_str(), &status);
         }},
        {"descriptors", [](const auto&) { return open_many(); }},
        {"library", [](const auto& a) { return load_library(a[0]); }},
        {"tcp", [](const auto& a) { return connect_tcp(number(a[0])); }},
        {"udp", [](const auto&) { return socket(AF_INET, SOCK_DGRAM, 0); }},
        {"unix", [](const auto& a) { return connect_unix(a[0]); }},
        {"socketpair", [](const auto&) { return make_socket_pair(); }},
        {"ring", [](const auto&) { return set_up_ring(); }},
        {"exec", [](const auto&) { return start_program(); }},
        {"fork", [](const auto&) { return finish_fork(fork()); }},
        {"clone3", [](const auto&) { return fork_by_clone3(); }},
        {"unshare", [](const auto&) { return unshare(CLONE_NEWUSER); }},
        {"ptrace",
         [](const auto& a) { return ptrace(PTRACE_SEIZE, number(a[0]), nullptr, nullptr); }},
        {"vm-read", [](const auto& a) { return read_memory(number(a[0]), a[1]); }},
        {"kill", [](const auto& a) { return kill(number(a[0]), SIGCONT); }},
        {"tgkill",
         [](const auto& a) { return syscall(SYS_tgkill, number(a[0]), number(a[0]), SIGCONT); }},
        {"tkill", [](const auto& a) { return syscall(SYS_tkill, number(a[0]), SIGCONT); }},
        {"pidfd", [](const auto& a) { return signal_by_descriptor(number(a[0])); }},
        {"sigqueue", [](const auto& a) { return queue_signal(number(a[0])); }},
        {"own", [](const auto& a) { return fcntl(0, F_SETOWN, number(a[0])); }},
        {"limit", [](const auto&) { return set_limit(0); }},
        {"limit-other", [](const auto& a) { return set_limit(number(a[0])); }},
        {"priority", [](const auto&) { return setpriority(PRIO_PROCESS, 0, 19); }},
        {"memfd", [](const auto&) { return memfd_create("misdeed", 0); }},
        {"shm", [](const auto&) { return make_shared_memory(); }},
        {"memory", [](const auto& a) { return take_memory(std::stoul(a[0])); }},
        {"map-shared", [](const auto& a) { return map_memory(std::stoul(a[0]), MAP_SHARED); }},
        {"map-stack",
         [](const auto& a) { return map_memory(std::stoul(a[0]), MAP_PRIVATE | MAP_GROWSDOWN); }},
        {"thread", [](const auto&) { return run_thread(); }},
        {"foreign", [](const auto&) { return call_foreign(); }},
        {"slow", [](const auto&) { return take_forever(); }},
        {"crash", [](const auto&) { return crash(); }},
        {"abort", [](const auto&) -> long { std::abort(); }},
    };
    return all;
}

} // namespace

std::string try_misdeed(std::string_view command) {
    std::istringstream words{std::string(command)};
    std::string verb;
    words >> verb;
    Arguments arguments;
    for (std::string word; words >> word;) {
        arguments.push_back(word);
    }
    const auto found = misdeeds().find(verb);
    if (found == misdeeds().end()) {
        return "no such misdeed";
    }
    if (found->second(arguments) >= 0) {
        return "done";
    }
    const char* error = strerrorname_np(errno);
    return error == nullptr ? "unknown error" : error;
}
