#include "engine/memory.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <unistd.h>

namespace vamhash {

namespace {

std::uint64_t machine_memory() {
    return static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES)) *
           static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

// The least number that a file of this name holds in `group` or a group around it, below `root`; at
// most `limit`. A file that is not there, or says "max", limits nothing.
std::uint64_t group_limit(const std::filesystem::path& root, const std::filesystem::path& group,
                          const char* name, std::uint64_t limit) {
    for (std::filesystem::path inner = group.relative_path();; inner = inner.parent_path()) {
        std::uint64_t bytes = 0;
        if (std::ifstream(root / inner / name) >> bytes) {
            limit = std::min(limit, bytes);
        }
        if (inner.empty()) {
            return limit;
        }
    }
}

} // namespace

std::uint64_t available_memory() {
    std::uint64_t limit = machine_memory();
    // Lines "number:controllers:path"; of version 2 of the control groups "0::path".
    std::ifstream groups("/proc/self/cgroup");
    for (std::string line; std::getline(groups, line);) {
        const std::size_t controllers = line.find(':') + 1;
        const std::size_t path = line.find(':', controllers) + 1;
        if (line.compare(controllers, path - controllers, ":") == 0) {
            limit = group_limit("/sys/fs/cgroup", line.substr(path), "memory.max", limit);
        } else if (line.compare(controllers, path - controllers, "memory:") == 0) {
            limit = group_limit("/sys/fs/cgroup/memory", line.substr(path), "memory.limit_in_bytes",
                                limit);
        }
    }
    return limit;
}

std::uint64_t peak_memory() {
    // getrusage() would give the backend's peak where that is greater: the kernel keeps it over
    // exec.
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);) {
        constexpr std::string_view field = "VmHWM:";
        if (line.starts_with(field)) {
            return std::stoull(line.substr(field.size())) * 1024; // "  1234 kB"
        }
    }
    return 0;
}

} // namespace vamhash
