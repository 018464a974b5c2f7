// The backends that are installed, and the devices that they know.
#include "device/device.h"

#include "plugin/beside_program.h"

#include <array>
#include <cstdio>
#include <dlfcn.h>
#include <map>
#include <mutex>
#include <utility>

namespace vamhash {

namespace {

LoadedBackend load(const std::string& name) {
    const std::string file = path_beside_program("vamhash_" + name + ".so");
    // Local, so that what the library brings stays out of the way of the engine's own.
    void* const library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
        return {nullptr, dlerror()};
    }
    auto* const entry =
        reinterpret_cast<plugin::DeviceBackendEntry*>(dlsym(library, plugin::device_backend_entry));
    if (entry == nullptr) {
        return {nullptr, file + " is not a plugin of vamhash"};
    }
    const plugin::DeviceBackend* const backend = entry();
    if (backend->version != plugin::device_backend_version) {
        return {nullptr, file + " is of version " + std::to_string(backend->version) + ", not " +
                             std::to_string(plugin::device_backend_version)};
    }
    return {backend, {}};
}

DeviceListing no_device(const std::string& backend, const char* reason) {
    DeviceListing listing{.backend = backend};
    std::snprintf(listing.properties.reason, sizeof listing.properties.reason, "%s", reason);
    listing.properties.free_bytes = plugin::unknown_device_bytes;
    return listing;
}

} // namespace

const LoadedBackend& load_device_backend(const std::string& name) {
    static std::mutex mutex;
    static std::map<std::string, LoadedBackend> loaded;
    const std::lock_guard lock(mutex);
    const auto found = loaded.find(name);
    return found != loaded.end() ? found->second : loaded.emplace(name, load(name)).first->second;
}

bool is_used_by_itself(const plugin::DeviceProperties& device) {
    return device.is_gpu != 0;
}

std::vector<DeviceListing> list_devices(const std::string& backend) {
    const LoadedBackend& loaded = load_device_backend(backend);
    if (loaded.backend == nullptr) {
        return {no_device(backend, loaded.reason.c_str())};
    }
    std::array<char, sizeof(plugin::DeviceProperties::reason)> reason{};
    const std::uint32_t count = loaded.backend->count(reason.data(), reason.size());
    if (count == 0) {
        return {no_device(backend, reason.data())};
    }
    std::vector<DeviceListing> devices;
    for (std::uint32_t number = 0; number < count; ++number) {
        DeviceListing& listing = devices.emplace_back(
            DeviceListing{.backend = backend, .number = static_cast<int>(number)});
        loaded.backend->describe(number, &listing.properties);
    }
    return devices;
}

std::vector<DeviceListing> list_devices() {
    std::vector<DeviceListing> devices;
    for (const char* const backend : {"cuda", "opencl"}) {
        for (DeviceListing& listing : list_devices(backend)) {
            devices.push_back(std::move(listing));
        }
    }
    return devices;
}

} // namespace vamhash
