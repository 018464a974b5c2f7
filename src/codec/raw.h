// Camera RAW, by LibRaw.
#pragma once

#include "codec/format.h"

namespace vamhash {

extern const Format raw_format;

} // namespace vamhash
