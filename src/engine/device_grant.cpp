#include "engine/device_grant.h"

#include "engine/request.h"

namespace vamhash {

Descriptor ask_device(Channel& channel, const protocol::FrameHeader& begin) {
    channel.write(protocol::Operation::ask_device, begin.id, {});
    channel.flush();
    protocol::DeviceGrant grant{};
    bool answered = false;
    throw_if(read_data_frames(channel, begin, [&](std::uint32_t length) -> std::span<std::byte> {
        if (answered || length != sizeof grant) {
            throw ChannelError("a device is neither granted nor refused");
        }
        answered = true;
        return std::as_writable_bytes(std::span(&grant, 1));
    }));
    Descriptor slot = channel.take_descriptor();
    if (!answered || (grant.granted == 1) != (slot.number() >= 0)) {
        throw ChannelError("a device is granted without a slot, or refused with one");
    }
    return slot;
}

} // namespace vamhash
