// Answers BEGIN_GROUPS: rows of hashes in, groups of row numbers out.
#pragma once

#include "engine/channel.h"
#include "engine/engine_device.h"

namespace vamhash {

/// Reads the request's rows; writes those that are in a group and ASK; reads their ranks; writes
/// the groups, and DONE. Throws std::bad_alloc with the request wholly read.
void answer_groups(Channel& channel, const protocol::FrameHeader& begin, EngineDevice& device);

} // namespace vamhash
