// WebP, by libwebp.
#pragma once

#include "codec/format.h"

namespace vamhash {

extern const Format webp_format;

} // namespace vamhash
