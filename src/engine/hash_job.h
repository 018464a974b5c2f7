// Answers BEGIN_HASH: one encoded image in, its hashes out.
#pragma once

#include "codec/image.h"
#include "engine/channel.h"

namespace vamhash {

/// Reads the request's image and writes its RESULT and DONE. Throws ImageError and std::bad_alloc
/// with the request wholly read.
void answer_hash(Channel& channel, const protocol::FrameHeader& begin);

} // namespace vamhash
