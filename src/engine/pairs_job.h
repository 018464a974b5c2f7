// Answers BEGIN_PAIRS: rows of hashes in, pairs of row numbers out.
#pragma once

#include "engine/channel.h"

namespace vamhash {

/// Reads the request's rows and writes RESULT frames as pairs are found, then DONE. Throws
/// std::bad_alloc with the request wholly read.
void answer_pairs(Channel& channel, const protocol::FrameHeader& begin);

} // namespace vamhash
