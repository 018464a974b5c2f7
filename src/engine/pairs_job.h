// Answers BEGIN_PAIRS: rows of hashes in, pairs of row numbers out.
#pragma once

#include "engine/channel.h"
#include "engine/engine_device.h"

namespace vamhash {

/// Reads the request's rows and writes RESULT frames as pairs are found, then DONE. Throws
/// std::bad_alloc with the request wholly read.
void answer_pairs(Channel& channel, const protocol::FrameHeader& begin, EngineDevice& device);

} // namespace vamhash
