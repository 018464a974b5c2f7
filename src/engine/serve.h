// The engine's main loop: requests from one backend, one after the other.
#pragma once

#include "engine/channel.h"

#include <chrono>

namespace vamhash {

/// What an engine process does: `decode` sees untrusted image bytes, `compute` arrays only, and
/// `open` paths only, which it opens.
enum class Role { decode, compute, open };

/// Says HELLO, with what stands of the `sandbox`, and answers requests until the backend closes the
/// socket or `idle` passes without one. Throws ChannelError when the backend breaks the protocol.
void serve(Channel& channel, Role role, std::chrono::seconds idle, std::uint32_t sandbox);

} // namespace vamhash
