// Opens many files at once, for a backend: each takes a file server milliseconds, and a dead one
// holds whoever asks it.
#pragma once

#include "engine/channel.h"

namespace vamhash {

/// Answers BEGIN_OPEN: reads paths up to END and passes on what they lead to, as files get open.
/// Nothing is looked at or read: whether a file may be used is for the backend to say.
void answer_open(Channel& channel, const protocol::FrameHeader& begin);

} // namespace vamhash
