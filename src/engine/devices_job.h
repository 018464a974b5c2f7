// Answers BEGIN_DEVICES: which devices there are.
#pragma once

#include "engine/channel.h"

namespace vamhash {

/// Writes a record of the CPU and one of each device, then DONE.
void answer_devices(Channel& channel, const protocol::FrameHeader& begin);

} // namespace vamhash
