// vamhash-engine: started by vamhash.so in the roles decode, compute and open; `hash` and `devices`
// are for people.
#include "codec/format.h"
#include "device/device.h"
#include "engine/arena.h"
#include "engine/hash_image.h"
#include "engine/process.h"
#include "engine/sandbox.h"
#include "engine/serve.h"

#include <charconv>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>
#include <string_view>
#include <vector>

using namespace vamhash;

static constexpr const char* usage =
    "usage: vamhash-engine hash [--fast] [--orient] FILE...\n"
    "           prints dhash, ahash, whash, phash, whash16, width, height, format and name of "
    "each\n"
    "       vamhash-engine devices\n"
    "           prints the devices that there are, or why there are none\n"
    "       vamhash-engine --version\n"
    "       vamhash-engine decode|compute|open BACKEND_PID IDLE_SECONDS [MEMORY_MB]\n"
    "           serves the backend on descriptor 3 (started by the extension, not by hand)\n";

/// Reads a whole non-negative decimal number.
static std::optional<int> parse_number(std::string_view text) {
    int value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value < 0) {
        return std::nullopt;
    }
    return value;
}

/// Reads the name of a role.
static std::optional<Role> parse_role(std::string_view text) {
    if (text == "decode") {
        return Role::decode;
    }
    if (text == "compute") {
        return Role::compute;
    }
    return text == "open" ? std::optional(Role::open) : std::nullopt;
}

/// Puts a role's sandbox around the process; returns what stands. There is none around `open`: it
/// has its backend's right to every file, which is what it is for, and reads nobody's bytes but
/// names.
static std::uint32_t enter_sandbox(Role role, std::uint64_t memory) {
    switch (role) {
    case Role::decode:
        return enter_decode_sandbox(memory, load_codecs);
    case Role::compute:
        return enter_compute_sandbox();
    default:
        return 0;
    }
}

/// Serves one backend; the exit status is 0 but for a broken protocol, which is 1. `memory` bounds
/// what decoding may take, in bytes; 0 does not.
static int serve_backend(Role role, pid_t backend, std::chrono::seconds idle,
                         std::uint64_t memory) {
    settle_beside_backend(backend);
    keep_memory_between_requests();
    if (role != Role::compute) {
        keep_threads_small();
    }
    if (role == Role::decode) {
        reserve_arena_room();
    }
    const std::uint32_t sandbox = enter_sandbox(role, memory);
    try {
        Channel channel(protocol::engine_socket);
        serve(channel, role, idle, sandbox);
        return 0;
    } catch (const std::exception&) {
        return 1; // the backend sees the socket close, kills, reaps and reports
    }
}

/// Hashes files and prints a line for each; the exit status is 1 if any failed.
static int hash_files(std::span<char*> arguments) {
    DecodeOptions options;
    int status = 0;
    for (const char* argument : arguments) {
        if (std::strcmp(argument, "--fast") == 0) {
            options.fast = true;
            continue;
        }
        if (std::strcmp(argument, "--orient") == 0) {
            options.orient = true;
            continue;
        }
        std::ifstream file(argument, std::ios::binary);
        if (!file) {
            std::fprintf(stderr, "%s: cannot be opened\n", argument);
            status = 1;
            continue;
        }
        const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
        try {
            const HashedImage image = hash_image(
                std::span(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()),
                hash_all, options);
            std::printf("%016" PRIx64 " %016" PRIx64 " %016" PRIx64 " %016" PRIx64 " %016" PRIx64
                        " %u %u %.*s %s\n",
                        image.hashes.dhash, image.hashes.ahash, image.hashes.whash,
                        image.hashes.phash, image.hashes.whash16, image.info.width,
                        image.info.height, static_cast<int>(image.info.format.size()),
                        image.info.format.data(), argument);
        } catch (const std::exception& error) {
            std::fprintf(stderr, "%s: %s\n", argument, error.what());
            status = 1;
        }
    }
    return status;
}

/// Prints a line for each device, and one for each backend that has none.
static void print_devices() {
    for (const DeviceListing& listing : list_devices()) {
        const plugin::DeviceProperties& device = listing.properties;
        if (listing.number < 0) {
            std::printf("%s: none: %s\n", listing.backend.c_str(), device.reason);
            continue;
        }
        std::printf("%s %d: %s, %" PRIu64 " MB, capability %s, driver %s%s%s\n",
                    listing.backend.c_str(), listing.number, device.name, device.memory_bytes >> 20,
                    device.capability, device.driver,
                    device.usable != 0 ? "" : "; not usable: ", device.reason);
    }
}

int main(int argc, char** argv) {
    const std::string_view command = argc > 1 ? argv[1] : "";
    if (command == "--version" && argc == 2) {
        std::puts("vamhash-engine " VAMHASH_VERSION);
        return 0;
    }
    if (command == "devices" && argc == 2) {
        print_devices();
        return 0;
    }
    if (command == "hash" && argc > 2) {
        return hash_files(std::span(argv + 2, static_cast<std::size_t>(argc - 2)));
    }
    const std::optional<Role> role = parse_role(command);
    if (role && (argc == 4 || argc == 5)) {
        const auto backend = parse_number(argv[2]);
        const auto idle = parse_number(argv[3]);
        const auto memory = parse_number(argc == 5 ? argv[4] : "0");
        if (backend && idle && memory) {
            return serve_backend(*role, *backend, std::chrono::seconds(*idle),
                                 std::uint64_t(*memory) << 20);
        }
    }
    std::fputs(usage, stderr);
    return 2;
}
