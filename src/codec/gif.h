// GIF, by giflib.
#pragma once

#include "codec/format.h"

namespace vamhash {

extern const Format gif_format;

} // namespace vamhash
