// Answers BEGIN_PICTURES: hashes the pictures that another engine has put into the arena, on a
// device.
#pragma once

#include "engine/arena.h"
#include "engine/engine_device.h"

namespace vamhash {

/// Reads the request's batches and writes the hashes of each, and DONE. A device that fails is told
/// of in the answers; only where one must be used it throws NoDevice, DeviceFailed or
/// DeviceMemoryExceeded. `held` is the arena that the engine has mapped, if any.
void answer_pictures(Channel& channel, const protocol::FrameHeader& begin, EngineDevice& device,
                     std::unique_ptr<MappedArena>& held);

} // namespace vamhash
