#include "join/range_search_plugin.h"

#include "join/similar_pairs.h"

#include <dlfcn.h>

namespace vamhash {

namespace {

[[noreturn]] void missing(const std::string& method, const std::string& reason) {
    throw JoinMethodMissing("the join method " + method + " is not installed: " + reason);
}

} // namespace

const plugin::RangeSearch& load_range_search(const std::string& file, const std::string& method) {
    // Local, so that what the library brings stays out of the way of the engine's own.
    void* const library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
        missing(method, dlerror());
    }
    auto* const entry =
        reinterpret_cast<plugin::RangeSearchEntry*>(dlsym(library, plugin::range_search_entry));
    if (entry == nullptr) {
        missing(method, file + " is not a plugin of vamhash");
    }
    const plugin::RangeSearch& loaded = *entry();
    if (loaded.version != plugin::range_search_version) {
        missing(method, file + " is of version " + std::to_string(loaded.version) + ", not " +
                            std::to_string(plugin::range_search_version));
    }
    return loaded;
}

} // namespace vamhash
