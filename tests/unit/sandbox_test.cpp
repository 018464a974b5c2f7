// The sandbox, by an engine with a codec that misbehaves (misbehaving_codec.cpp): every misdeed is
// refused by the layers that claim it, also where a layer is missing, and what decoding needs is
// left. A misdeed counts only where a process without a sandbox succeeds with it.
#include "engine/sandbox.h"
#include "misdeeds.h"
#include "protocol/frame.h"

#include <algorithm>
#include <array>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <ostream>
#include <sched.h>
#include <span>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

namespace {

using namespace vamhash;
using namespace std::string_literals;

// Not what a sanitizer's own reservations of memory, files and system calls are made for.
#ifndef __has_feature // clang's way to ask
#define __has_feature(feature) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) ||                               \
    __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr bool sanitized = true;
#else
constexpr bool sanitized = false;
#endif

/// A system call that a container's filter takes away: its number, and the error.
struct Denied {
    std::uint32_t call;
    std::uint32_t error;
};

/// Makes a system call fail from now on, in this process and those it becomes.
void deny(const Denied& denied) {
    std::array<sock_filter, 4> program = {
        sock_filter{BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)},
        sock_filter{BPF_JMP | BPF_JEQ | BPF_K, 0, 1, denied.call},
        sock_filter{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | denied.error},
        sock_filter{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
    };
    const sock_fprog filter{.len = program.size(), .filter = program.data()};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0) != 0) {
        _exit(99);
    }
}

/// Which layers a machine has: the kernel, and what a container leaves of it.
struct Machine {
    const char* name;
    bool seccomp;
    bool landlock;
};

void PrintTo(const Machine& machine, std::ostream* out) {
    *out << machine.name;
}

/// Makes this process's kernel one without the layers that a machine does not have.
void become(const Machine& machine) {
    if (!machine.seccomp) {
        deny({SYS_seccomp, ENOSYS});
    }
    if (!machine.landlock) {
        deny({444, ENOSYS}); // landlock_create_ruleset, in every architecture
    }
}

/// The version of the kernel's Landlock; 0 without.
long landlock_version() {
    return std::max(0L, syscall(444, nullptr, 0, 1));
}

/// The frames of one engine process, from the backend's end.
class TestEngine {
  public:
    explicit TestEngine(const Machine& machine, int memory_mb = 0) {
        std::array<int, 2> pair{};
        EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair.data()), 0);
        const auto backend = std::to_string(getpid());
        const auto memory = std::to_string(memory_mb);
        pid_ = fork();
        if (pid_ == 0) {
            close(pair[0]);
            if (pair[1] != protocol::engine_socket) {
                dup2(pair[1], protocol::engine_socket);
                close(pair[1]);
            }
            become(machine);
            execl(VAMHASH_MISBEHAVING_ENGINE, VAMHASH_MISBEHAVING_ENGINE, "decode", backend.c_str(),
                  "0", memory.c_str(), nullptr);
            _exit(99);
        }
        close(pair[1]);
        socket_ = pair[0];
        hello_ = receive<protocol::Hello>();
    }
    ~TestEngine() {
        if (socket_ >= 0) {
            static_cast<void>(end());
        }
    }
    TestEngine(const TestEngine&) = delete;
    TestEngine& operator=(const TestEngine&) = delete;

    [[nodiscard]] std::uint32_t sandbox() const { return hello_.sandbox; }

    /// Sends an image; returns the error's message, a RESULT's hash, or how the engine ended.
    std::string ask(std::string_view image) {
        const protocol::HashRequest request{
            .wanted = 1, .flags = 0, .max_bytes = 1 << 30, .max_pixels = 1 << 30};
        send(protocol::Operation::begin_hash, std::as_bytes(std::span(&request, 1)));
        send(protocol::Operation::data, std::as_bytes(std::span(image)));
        send(protocol::Operation::end, {});
        protocol::FrameHeader header{};
        if (!receive_bytes(std::as_writable_bytes(std::span(&header, 1)))) {
            return end();
        }
        std::string payload(header.length, '\0');
        receive_bytes(std::as_writable_bytes(std::span(payload)));
        fault_ = static_cast<protocol::Fault>(header.status);
        if (header.operation == static_cast<std::uint16_t>(protocol::Operation::error)) {
            return payload;
        }
        receive<protocol::Done>();
        return "hashed";
    }

    std::string misbehave(const std::string& command) { return ask("MISBEHAVE\n" + command); }

    /// Of the last answer.
    [[nodiscard]] protocol::Fault fault() const { return fault_; }

    /// Closes the socket and waits; how the engine ended.
    std::string end() {
        close(socket_);
        socket_ = -1;
        int status = 0;
        waitpid(pid_, &status, 0);
        return WIFSIGNALED(status) ? "signal "s + sigabbrev_np(WTERMSIG(status))
                                   : "exit " + std::to_string(WEXITSTATUS(status));
    }

  private:
    void send(protocol::Operation operation, std::span<const std::byte> payload) {
        const protocol::FrameHeader header{.magic = protocol::magic,
                                           .length = static_cast<std::uint32_t>(payload.size()),
                                           .operation = static_cast<std::uint16_t>(operation),
                                           .status = 0,
                                           .id = 1};
        send_bytes(std::as_bytes(std::span(&header, 1)));
        send_bytes(payload);
    }

    // Nothing, once the engine has all that it answers to, and may have ended.
    void send_bytes(std::span<const std::byte> bytes) {
        if (!bytes.empty()) {
            EXPECT_EQ(::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL),
                      static_cast<ssize_t>(bytes.size()));
        }
    }

    bool receive_bytes(std::span<std::byte> bytes) {
        return bytes.empty() || recv(socket_, bytes.data(), bytes.size(), MSG_WAITALL) ==
                                    static_cast<ssize_t>(bytes.size());
    }

    template <typename Payload>
    Payload receive() {
        protocol::FrameHeader header{};
        Payload payload{};
        EXPECT_TRUE(receive_bytes(std::as_writable_bytes(std::span(&header, 1))));
        EXPECT_EQ(header.length, sizeof payload);
        EXPECT_TRUE(receive_bytes(std::as_writable_bytes(std::span(&payload, 1))));
        return payload;
    }

    int socket_ = -1;
    pid_t pid_ = -1;
    protocol::Hello hello_{};
    protocol::Fault fault_{};
};

/// Tries a misdeed in a process of its own, after `prepare`; what became of it.
std::string try_apart(
    const std::string& command, const std::function<void()>& prepare = [] {}) {
    std::array<int, 2> ends{};
    EXPECT_EQ(pipe(ends.data()), 0);
    const pid_t pid = fork();
    if (pid == 0) {
        // What a program started in its place says goes the same way.
        dup2(ends[1], 1);
        close(ends[0]);
        close(ends[1]);
        prepare();
        const std::string outcome = try_misdeed(command);
        static_cast<void>(!write(1, outcome.data(), outcome.size()));
        _exit(0);
    }
    close(ends[1]);
    std::string outcome(64, '\0');
    const ssize_t got = read(ends[0], outcome.data(), outcome.size());
    close(ends[0]);
    waitpid(pid, nullptr, 0);
    outcome.resize(got > 0 ? got : 0);
    return outcome.starts_with("done") ? "done" : outcome;
}

/// What a misdeed is aimed at: a file, sockets, and a process of the same user.
class Victims {
  public:
    Victims() {
        std::string name = (std::filesystem::temp_directory_path() / "sandbox.XXXXXX").string();
        folder_ = mkdtemp(name.data());
        make_file();
        listen_tcp();
        listen_unix(path("socket"));
        listen_unix("@vamhash-sandbox-test-" + std::to_string(getpid()));
        pid_ = fork();
        if (pid_ == 0) {
            for (;;) {
                pause();
            }
        }
    }
    ~Victims() {
        kill(pid_, SIGKILL);
        waitpid(pid_, nullptr, 0);
        std::filesystem::remove_all(folder_);
    }
    Victims(const Victims&) = delete;
    Victims& operator=(const Victims&) = delete;

    [[nodiscard]] std::string path(const std::string& name) const { return folder_ + "/" + name; }
    void make_file() const { std::ofstream(path("file")) << "secret"; }
    [[nodiscard]] bool file_is_whole() const {
        std::ifstream file(path("file"));
        return std::string(std::istreambuf_iterator<char>(file), {}) == "secret";
    }

    /// A command with the names of victims replaced by what they are.
    [[nodiscard]] std::string aim(std::string command) const {
        for (const auto& [name, value] : std::vector<std::pair<std::string, std::string>>{
                 {"$file", path("file")},
                 {"$new", path("new")},
                 {"$folder", folder_},
                 {"$port", std::to_string(port_)},
                 {"$socket", path("socket")},
                 {"$abstract", "@vamhash-sandbox-test-" + std::to_string(getpid())},
                 {"$address", std::to_string(reinterpret_cast<std::uintptr_t>(&secret))},
                 {"$pid", std::to_string(pid_)}}) {
            const auto at = command.find(name);
            if (at != std::string::npos) {
                command.replace(at, name.size(), value);
            }
        }
        return command;
    }

  private:
    static constexpr char secret = 's';

    void listen_tcp() {
        const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t length = sizeof address;
        bind(listener, reinterpret_cast<sockaddr*>(&address), length);
        listen(listener, 8);
        getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length);
        port_ = ntohs(address.sin_port);
    }

    static void listen_unix(const std::string& path) {
        const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path.copy(address.sun_path, sizeof address.sun_path - 1);
        if (path.starts_with('@')) {
            address.sun_path[0] = '\0';
        }
        bind(listener, reinterpret_cast<sockaddr*>(&address),
             static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size()));
        listen(listener, 8);
    }

    std::string folder_;
    int port_ = 0;
    pid_t pid_ = -1;
};

/// Which layers refuse a misdeed. Landlock: from which version on; 0 is never.
struct Misdeed {
    const char* command;
    bool seccomp;
    int landlock;
    bool limits;
};

void PrintTo(const Misdeed& misdeed, std::ostream* out) {
    *out << misdeed.command;
}

constexpr Misdeed decode_misdeeds[] = {
    {"read $file", true, 1, false},
    {"read /etc/passwd", true, 1, false},
    {"read /proc/self/environ", true, 1, false},
    {"write $file", true, 1, true},
    {"open /proc/$pid/mem", true, 1, false},
    {"create $new", true, 1, true},
    {"list $folder", true, 1, false},
    {"truncate $file", true, 3, false},
    {"chmod $file", true, 0, false},
    {"remove $file", true, 1, false},
    {"descriptors", true, 0, true},
    {"exec", true, 1, false},
    {"fork", true, 0, false},
    {"clone3", true, 0, false},
    {"unshare", true, 0, false},
    {"tcp $port", true, 4, false},
    {"udp", true, 0, false},
    {"unix $socket", true, 0, false},
    {"unix $abstract", true, 6, false},
    {"socketpair", true, 0, false},
    {"ring", true, 0, false},
    {"ptrace $pid", true, 1, false},
    {"vm-read $pid $address", true, 1, false},
    {"kill $pid", true, 6, false},
    {"tgkill $pid", true, 6, false},
    {"tkill $pid", true, 6, false},
    {"pidfd $pid", true, 6, false},
    {"sigqueue $pid", true, 6, false},
    {"own $pid", true, 0, false},
    {"limit", true, 0, false},
    {"limit-other $pid", true, 0, false},
    {"priority", true, 0, false},
    {"memfd", true, 0, false},
    {"shm", true, 0, false},
    {"map-shared 300", false, 0, true},
    {"map-stack 300", false, 0, true},
};

constexpr Machine machines[] = {
    {"both", true, true},
    {"seccomp_only", true, false},
    {"landlock_only", false, true},
    {"neither", false, false},
};

/// What an engine on a machine says of its sandbox, as far as this kernel and build have it.
std::uint32_t expected_sandbox(const Machine& machine) {
    std::uint32_t bits = has_call_filters ? 0 : protocol::sandbox_without_libseccomp;
    bits |= machine.seccomp && has_call_filters ? protocol::sandbox_seccomp : 0;
    bits |= machine.landlock && landlock_version() > 0 ? protocol::sandbox_landlock : 0;
    return bits;
}

/// Skips where a machine is not to be had here.
bool is_missing(const Machine& machine) {
    return (machine.seccomp && !has_call_filters) || (machine.landlock && landlock_version() == 0);
}

class SandboxTest : public testing::TestWithParam<Machine> {
  protected:
    void SetUp() override {
        if (sanitized) {
            GTEST_SKIP() << "not with sanitizers";
        }
        if (is_missing(GetParam())) {
            GTEST_SKIP() << "this kernel or build has no such machine";
        }
    }
    static std::string picture() {
        std::ifstream file(VAMHASH_TEST_DATA "/images/jpeg-size_8x8.jpg", std::ios::binary);
        return {std::istreambuf_iterator<char>(file), {}};
    }
};

TEST_P(SandboxTest, SaysWhatStands) {
    EXPECT_EQ(TestEngine(GetParam()).sandbox(), expected_sandbox(GetParam()));
}

TEST_P(SandboxTest, LeavesWhatDecodingNeeds) {
    TestEngine engine(GetParam());
    EXPECT_EQ(engine.ask(picture()), "hashed");
    EXPECT_EQ(engine.misbehave("thread"), "done");
    EXPECT_EQ(engine.misbehave("memory 100"), "done");
    EXPECT_EQ(engine.ask(picture()), "hashed");
    EXPECT_EQ(engine.end(), "exit 0");
}

// Where Landlock stands, it is loaded in the sandbox; where not, it was loaded before.
TEST_P(SandboxTest, LoadsTheLibraryOfACodec) {
    TestEngine engine(GetParam());
    EXPECT_EQ(engine.misbehave("library libresolv.so.2"), "done");
    const bool can_open = GetParam().landlock || !GetParam().seccomp;
    EXPECT_EQ(engine.misbehave("library libanl.so.1") == "done", can_open);
}

// Their plugins and these plugins' libraries are loaded inside or before; they start threads.
TEST_P(SandboxTest, DecodesByPlugins) {
    TestEngine engine(GetParam(), 300);
    for (const char* name : {"heic-grid_3x2.heic", "avif-grid_3x2.avif", "raw-levels.dng"}) {
        std::ifstream file(std::string(VAMHASH_TEST_DATA "/plugin_images/") + name,
                           std::ios::binary);
        const std::string image{std::istreambuf_iterator<char>(file), {}};
        const std::string answer = engine.ask(image);
        if (answer.find("it was made without") == std::string::npos) {
            EXPECT_EQ(answer, "hashed") << name;
        }
    }
    EXPECT_EQ(engine.end(), "exit 0");
}

TEST_P(SandboxTest, ReadsLibrariesOnlyByLandlock) {
    TestEngine engine(GetParam());
    EXPECT_EQ(engine.misbehave("read /etc/ld.so.cache"),
              GetParam().landlock || !GetParam().seccomp ? "done" : "EPERM");
}

TEST_P(SandboxTest, LimitsMemory) {
    TestEngine engine(GetParam(), 200);
    EXPECT_EQ(engine.misbehave("memory 100"), "done");
    EXPECT_EQ(engine.misbehave("memory 300"),
              "misbehaving image could not be decoded: out of memory");
    EXPECT_EQ(engine.fault(), protocol::Fault::out_of_memory);
    EXPECT_EQ(engine.ask(picture()), "hashed") << "the engine goes on";
}

TEST_P(SandboxTest, EndsBySignal) {
    EXPECT_EQ(TestEngine(GetParam()).misbehave("abort"), "signal ABRT");
    EXPECT_EQ(TestEngine(GetParam()).misbehave("crash"), "signal SEGV");
}

TEST_P(SandboxTest, KillsAtForeignSystemCalls) {
    if (!GetParam().seccomp) {
        GTEST_SKIP() << "only a filter sees them";
    }
    if (try_apart("foreign") != "done") {
        GTEST_SKIP() << "this machine has no 32-bit system calls";
    }
    EXPECT_EQ(TestEngine(GetParam()).misbehave("foreign"), "signal SYS");
}

INSTANTIATE_TEST_SUITE_P(Machines, SandboxTest, testing::ValuesIn(machines),
                         [](const auto& tested) { return tested.param.name; });

std::string test_name(std::string command) {
    std::ranges::replace_if(
        command, [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
    return command;
}

class MisdeedTest : public testing::TestWithParam<Misdeed> {
  protected:
    void SetUp() override {
        if (sanitized) {
            GTEST_SKIP() << "not with sanitizers";
        }
        const std::string freely = try_apart(victims_.aim(GetParam().command));
        victims_.make_file();
        std::filesystem::remove(victims_.path("new"));
        if (freely != "done") {
            GTEST_SKIP() << "refused to every process here: " << freely;
        }
    }

    /// Whether a machine's layers, or the limits that all have, claim to refuse it.
    static bool is_refused_by(const Machine& machine) {
        const Misdeed& misdeed = GetParam();
        const bool by_landlock =
            machine.landlock && misdeed.landlock > 0 && landlock_version() >= misdeed.landlock;
        return misdeed.limits || by_landlock || (machine.seccomp && misdeed.seccomp);
    }

    Victims victims_;
};

/// The errors by which a layer refuses something.
bool is_refusal(std::string_view outcome) {
    constexpr std::string_view refusals[] = {"EPERM",  "EACCES", "ENOSYS",
                                             "EMFILE", "EFBIG",  "ENOMEM"};
    return std::ranges::find(refusals, outcome) != std::end(refusals);
}

TEST_P(MisdeedTest, IsRefused) {
    for (const Machine& machine : machines) {
        if (is_missing(machine) || !is_refused_by(machine)) {
            continue;
        }
        TestEngine engine(machine, 200);
        const std::string outcome = engine.misbehave(victims_.aim(GetParam().command));
        EXPECT_TRUE(is_refusal(outcome)) << machine.name << ": " << outcome;
        EXPECT_TRUE(victims_.file_is_whole()) << machine.name;
        RecordProperty(machine.name, outcome);
    }
}

INSTANTIATE_TEST_SUITE_P(Decode, MisdeedTest, testing::ValuesIn(decode_misdeeds),
                         [](const auto& tested) { return test_name(tested.param.command); });

// What compute may not, and what drivers need.
class ComputeTest : public testing::TestWithParam<const char*> {};

TEST_P(ComputeTest, IsRefused) {
    if (sanitized || !has_call_filters) {
        GTEST_SKIP() << "not with sanitizers, or not in this build";
    }
    const Victims victims;
    const std::string command = victims.aim(GetParam());
    const std::string freely = try_apart(command);
    if (freely != "done") {
        GTEST_SKIP() << "refused to every process here: " << freely;
    }
    EXPECT_EQ(try_apart(command,
                        [] {
                            if (enter_compute_sandbox() != protocol::sandbox_seccomp) {
                                _exit(99);
                            }
                        }),
              "EPERM");
}

INSTANTIATE_TEST_SUITE_P(Misdeeds, ComputeTest,
                         testing::Values("tcp $port", "udp", "unix $socket", "unix $abstract",
                                         "ring", "ptrace $pid", "vm-read $pid $address",
                                         "kill $pid", "tgkill $pid", "tkill $pid", "pidfd $pid",
                                         "sigqueue $pid", "own $pid"),
                         [](const auto& tested) { return test_name(tested.param); });

TEST(Compute, KeepsWhatDriversNeed) {
    for (const char* command : {"exec", "fork", "thread", "read /etc/passwd", "memfd"}) {
        EXPECT_EQ(try_apart(command, [] { enter_compute_sandbox(); }), "done") << command;
    }
}

} // namespace
