// Loads join methods that are libraries of their own (plugin/range_search.h).
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include "plugin/beside_program.h"
#include "plugin/range_search.h"

#include <string>

namespace vamhash {

/// Loads the plugin in a file, for as long as the process lives: a runtime that has had threads is
/// not unloaded. Throws JoinMethodMissing, with the reason, if it cannot be loaded or is of another
/// version; `method` is its name in the message.
const plugin::RangeSearch& load_range_search(const std::string& file, const std::string& method);

} // namespace vamhash
