// Reads the DATA frames of a request up to their END.
#pragma once

#include "engine/channel.h"

#include <exception>

namespace vamhash {

/// Calls `take(length)` for every DATA frame of the request; `take` returns where its bytes go, or
/// an empty span to have them skipped. Returns at END. So that the next request starts at a frame,
/// what `take` throws is kept, the rest skipped, and the first exception returned for the caller to
/// throw once the whole request has been read.
template <typename Take>
[[nodiscard]] std::exception_ptr read_data_frames(Channel& channel,
                                                  const protocol::FrameHeader& begin, Take take) {
    std::exception_ptr failure;
    for (;;) {
        const auto frame = channel.read_header(std::chrono::seconds(0));
        if (!frame || frame->id != begin.id) {
            throw ChannelError("a request ends without END");
        }
        const auto operation = static_cast<protocol::Operation>(frame->operation);
        if (operation == protocol::Operation::end && frame->length == 0) {
            return failure;
        }
        if (operation != protocol::Operation::data) {
            throw ChannelError("a request has a frame that is not DATA");
        }
        std::span<std::byte> target;
        if (!failure) {
            try {
                target = take(frame->length);
            } catch (const ChannelError&) {
                throw;
            } catch (...) {
                failure = std::current_exception();
            }
        }
        if (target.empty()) {
            channel.skip_payload(frame->length);
        } else {
            channel.read_payload(target);
        }
    }
}

/// Throws what went wrong while a request was read, if anything did.
inline void throw_if(const std::exception_ptr& failure) {
    if (failure) {
        std::rethrow_exception(failure);
    }
}

} // namespace vamhash
