// Landlock by its system calls: glibc has no wrappers, and the kernel's header may be older than
// the kernel. The names and numbers below are those of <linux/landlock.h>, a stable interface.
#include "engine/sandbox.h"

#include "engine/descriptor.h"

#include <array>
#include <cstddef>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace vamhash {

namespace {

// The same on every architecture.
constexpr long create_ruleset = 444;
constexpr long add_rule = 445;
constexpr long restrict_self = 446;

constexpr unsigned ask_version = 1;       // LANDLOCK_CREATE_RULESET_VERSION
constexpr unsigned rule_path_beneath = 1; // LANDLOCK_RULE_PATH_BENEATH

constexpr std::uint64_t read_file = 1U << 2;
constexpr std::uint64_t read_directory = 1U << 3;

struct RulesetAttributes {
    std::uint64_t handled_access_fs;
    std::uint64_t handled_access_net;
    std::uint64_t scoped;
};

struct __attribute__((packed)) PathBeneathAttributes {
    std::uint64_t allowed_access;
    std::int32_t parent_fd;
};

/// All that a kernel's Landlock of this version can take away.
RulesetAttributes everything(long version) {
    RulesetAttributes attributes{};
    attributes.handled_access_fs = (1U << 13) - 1; // execute, write, read, list, make, remove
    if (version >= 2) {
        attributes.handled_access_fs |= 1U << 13; // move between directories
    }
    if (version >= 3) {
        attributes.handled_access_fs |= 1U << 14; // truncate
    }
    if (version >= 5) {
        attributes.handled_access_fs |= 1U << 15; // ioctl of devices
    }
    if (version >= 4) {
        attributes.handled_access_net = 3; // bind and connect TCP
    }
    if (version >= 6) {
        attributes.scoped = 3; // connect to abstract Unix sockets, signal, both outside
    }
    return attributes;
}

/// Allows reading a file, or all below a directory. What is not there needs no permission.
void allow_reading(const Descriptor& ruleset, const char* path, std::uint64_t access) {
    const Descriptor parent(open(path, O_PATH | O_CLOEXEC));
    if (parent.number() >= 0) {
        const PathBeneathAttributes rule{.allowed_access = access, .parent_fd = parent.number()};
        syscall(add_rule, ruleset.number(), rule_path_beneath, &rule, 0U);
    }
}

// Where the dynamic linker looks by default, and its cache. Some libraries list a directory of
// plugins, so listing is allowed.
constexpr auto library_directories = std::to_array<const char*>(
    {"/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/local/lib64", "/lib", "/lib64"});
constexpr const char* linker_cache = "/etc/ld.so.cache";

} // namespace

bool restrict_to_libraries(std::span<const std::string> plugins) {
    const long version = syscall(create_ruleset, nullptr, std::size_t{0}, ask_version);
    if (version < 1) {
        return false;
    }
    // An old kernel takes the longer structure as long as what it does not know is 0.
    const RulesetAttributes attributes = everything(version);
    const Descriptor ruleset(
        static_cast<int>(syscall(create_ruleset, &attributes, sizeof attributes, 0U)));
    if (ruleset.number() < 0) {
        return false;
    }
    for (const char* directory : library_directories) {
        allow_reading(ruleset, directory, read_file | read_directory);
    }
    allow_reading(ruleset, linker_cache, read_file);
    for (const std::string& plugin : plugins) {
        allow_reading(ruleset, plugin.c_str(), read_file);
    }
    return syscall(restrict_self, ruleset.number(), 0U) == 0;
}

} // namespace vamhash
