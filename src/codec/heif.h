// HEIC and AVIF, by libheif.
#pragma once

#include "codec/format.h"

namespace vamhash {

extern const Format heic_format;
extern const Format avif_format;

} // namespace vamhash
