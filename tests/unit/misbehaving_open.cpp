// Opening files as a file server does that is slow or dead, and as an engine that ends: for tests
// of the role `open`. A path whose last part begins with SLOW-n takes n milliseconds, one with HANG
// never ends, and one with CRASH ends the engine. It is linked into vamhash-engine-misbehaving by
// the linker's
// --wrap: calls of open() come here first.
#include <chrono>
#include <cstdarg>
#include <cstdlib>
#include <fcntl.h>
#include <string_view>
#include <thread>
#include <unistd.h>

extern "C" int __real_open(const char* path, int flags, ...);

extern "C" int __wrap_open(const char* path, int flags, ...) {
    std::va_list rest;
    va_start(rest, flags);
    const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    std::string_view name(path);
    name.remove_prefix(name.rfind('/') + 1);
    if (name.starts_with("SLOW-")) {
        std::this_thread::sleep_for(
            std::chrono::milliseconds(std::strtol(name.data() + 5, nullptr, 10)));
    } else if (name.starts_with("HANG")) {
        for (;;) {
            pause();
        }
    } else if (name.starts_with("CRASH")) {
        std::abort();
    }
    return __real_open(path, flags, mode);
}
