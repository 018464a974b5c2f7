#include "engine/sandbox.h"

#include "codec/format.h"
#include "protocol/frame.h"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <sys/resource.h>
#include <unistd.h>

namespace vamhash {

namespace {

/// Descriptors of `decode`: it is born with four, loading a library takes one for a moment, and
/// the backend gives it files to read.
constexpr rlim_t decode_files = 16 + protocol::max_files;

/// Descriptors of `compute`: a device driver opens some dozens.
constexpr rlim_t compute_files = 1024;

/// The process's address space in bytes; 0 where the kernel does not tell.
std::uint64_t address_space() {
    std::FILE* file = std::fopen("/proc/self/statm", "re");
    if (file == nullptr) {
        return 0;
    }
    unsigned long pages = 0;
    const bool read = std::fscanf(file, "%lu", &pages) == 1; // NOLINT(cert-err34-c): the kernel's
    static_cast<void>(std::fclose(file));
    return read ? pages * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE)) : 0;
}

/// Lowers a limit for good. One that is lower already stays.
void lower_limit(__rlimit_resource resource, rlim_t value) {
    rlimit limit{};
    if (getrlimit(resource, &limit) == 0) {
        limit.rlim_max = std::min(limit.rlim_max, value);
        limit.rlim_cur = std::min(limit.rlim_cur, limit.rlim_max);
        setrlimit(resource, &limit);
    }
}

/// What a build without filters says instead of a filter's bit.
std::uint32_t filter_bits(bool stands) {
    if (!has_call_filters) {
        return protocol::sandbox_without_libseccomp;
    }
    return stands ? protocol::sandbox_seccomp : 0;
}

} // namespace

std::uint32_t enter_decode_sandbox(std::uint64_t memory, void (*load)()) {
    const std::uint64_t begun_with = address_space(); // which Landlock would hide
    const bool libraries = restrict_to_libraries(codec_plugins());
    if (!libraries) {
        load();
    }
    if (memory > 0) {
        // Not RLIMIT_DATA, which shared memory and growing stacks escape.
        lower_limit(RLIMIT_AS, begun_with + memory);
    }
    lower_limit(RLIMIT_NOFILE, decode_files);
    // To write into a file is then an error, not a signal.
    static_cast<void>(std::signal(SIGXFSZ, SIG_IGN));
    lower_limit(RLIMIT_FSIZE, 0);
    return (libraries ? protocol::sandbox_landlock : 0) |
           filter_bits(filter_decode_calls(libraries));
}

std::uint32_t enter_compute_sandbox() {
    lower_limit(RLIMIT_NOFILE, compute_files);
    return filter_bits(filter_compute_calls());
}

} // namespace vamhash
