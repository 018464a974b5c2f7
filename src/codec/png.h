// PNG, by libpng.
#pragma once

#include "codec/format.h"

namespace vamhash {

extern const Format png_format;

} // namespace vamhash
