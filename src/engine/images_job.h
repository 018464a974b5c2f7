// Answers BEGIN_IMAGES: many encoded images in, a record for each out, both at the same time.
#pragma once

#include "engine/arena.h"

namespace vamhash {

/// Reads the request's images and writes their RESULTs as they are known, and DONE. What is wrong
/// with an image is in its record; it throws ChannelError alone, since it has no end otherwise.
/// `held` is the arena that the engine has mapped, if any.
void answer_images(Channel& channel, const protocol::FrameHeader& begin,
                   std::unique_ptr<MappedArena>& held);

} // namespace vamhash
