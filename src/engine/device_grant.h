// Leave to hold a device, of which an engine needs one: only so many engines of a cluster may.
#pragma once

#include "engine/channel.h"

namespace vamhash {

/// Asks the backend for leave to hold a device, in a request that has been read and has no RESULT
/// yet. Returns the descriptor that this engine counts by for as long as it is open, or one without
/// a number where the cluster has as many engines with a device as it may. May take as long as
/// another engine holds one.
Descriptor ask_device(Channel& channel, const protocol::FrameHeader& begin);

} // namespace vamhash
