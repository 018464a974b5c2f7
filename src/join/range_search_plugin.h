// Loads join methods that are libraries of their own (plugin/range_search.h).
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include "plugin/range_search.h"

#include <string>

namespace vamhash {

/// Loads the plugin in a file, for as long as the process lives: a runtime that has had threads is
/// not unloaded. Throws JoinMethodMissing, with the reason, if it cannot be loaded or is of another
/// version; `method` is its name in the message.
const plugin::RangeSearch& load_range_search(const std::string& file, const std::string& method);

/// The path of a library that is installed beside this program, found by /proc/self/exe. Without
/// that, the library's name alone: the system's linker then looks for it in its own folders.
std::string path_beside_program(const std::string& library);

} // namespace vamhash
