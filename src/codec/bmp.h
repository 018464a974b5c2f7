// BMP, read by an own decoder.
#pragma once

#include "codec/format.h"

namespace vamhash {

extern const Format bmp_format;

} // namespace vamhash
