// Reads the DATA frames of a request up to its END.
#pragma once

#include "engine/channel.h"

#include <new>

namespace vamhash {

/// Calls `take(length)` for every DATA frame of the request; `take` returns where its bytes go, or
/// an empty span to have them skipped. Returns at END. So that the next request starts at a frame,
/// an allocation that fails in `take` is remembered, the rest skipped, and thrown at the end.
template <typename Take>
void read_data_frames(Channel& channel, const protocol::FrameHeader& begin, Take take) {
    bool out_of_memory = false;
    for (;;) {
        const auto frame = channel.read_header(std::chrono::seconds(0));
        if (!frame || frame->id != begin.id) {
            throw ChannelError("a request ends without END");
        }
        const auto operation = static_cast<protocol::Operation>(frame->operation);
        if (operation == protocol::Operation::end && frame->length == 0) {
            break;
        }
        if (operation != protocol::Operation::data) {
            throw ChannelError("a request has a frame that is not DATA");
        }
        std::span<std::byte> target;
        if (!out_of_memory) {
            try {
                target = take(frame->length);
            } catch (const std::bad_alloc&) {
                out_of_memory = true;
            }
        }
        if (target.empty()) {
            channel.skip_payload(frame->length);
        } else {
            channel.read_payload(target);
        }
    }
    if (out_of_memory) {
        throw std::bad_alloc();
    }
}

} // namespace vamhash
