// TIFF, by libtiff.
#pragma once

#include "codec/format.h"

namespace vamhash {

extern const Format tiff_format;

} // namespace vamhash
