// JPEG, by libjpeg-turbo.
#pragma once

#include "codec/format.h"

namespace vamhash {

extern const Format jpeg_format;

} // namespace vamhash
