// What a backend answers an engine that asks for a device.
#pragma once

#include "engine/channel.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <gtest/gtest.h>
#include <span>
#include <sys/socket.h>
#include <vector>

namespace vamhash::test {

/// The id of the request that is answered.
constexpr std::uint32_t request = 7;

/// Frames of a backend's answer.
class Answer {
  public:
    Answer& frame(protocol::Operation operation, const std::vector<std::byte>& payload = {}) {
        const protocol::FrameHeader header{.magic = protocol::magic,
                                           .length = static_cast<std::uint32_t>(payload.size()),
                                           .operation = static_cast<std::uint16_t>(operation),
                                           .status = 0,
                                           .id = request};
        const auto bytes = std::as_bytes(std::span(&header, 1));
        bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
        bytes_.insert(bytes_.end(), payload.begin(), payload.end());
        return *this;
    }

    Answer& grant(std::uint32_t granted) {
        const protocol::DeviceGrant grant{.granted = granted, .unused = 0};
        const auto bytes = std::as_bytes(std::span(&grant, 1));
        return frame(protocol::Operation::data, {bytes.begin(), bytes.end()});
    }

    Answer& end() { return frame(protocol::Operation::end); }

    /// Sends the frames, with a descriptor or -1 by the first byte.
    void send(int socket, int descriptor) {
        iovec piece{.iov_base = bytes_.data(), .iov_len = bytes_.size()};
        alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(int))> control{};
        msghdr message{};
        message.msg_iov = &piece;
        message.msg_iovlen = 1;
        if (descriptor >= 0) {
            message.msg_control = control.data();
            message.msg_controllen = control.size();
            cmsghdr* rights = CMSG_FIRSTHDR(&message);
            rights->cmsg_level = SOL_SOCKET;
            rights->cmsg_type = SCM_RIGHTS;
            rights->cmsg_len = CMSG_LEN(sizeof(int));
            std::memcpy(CMSG_DATA(rights), &descriptor, sizeof descriptor);
        }
        ASSERT_EQ(sendmsg(socket, &message, 0), static_cast<ssize_t>(bytes_.size()));
    }

  private:
    std::vector<std::byte> bytes_;
};

} // namespace vamhash::test
