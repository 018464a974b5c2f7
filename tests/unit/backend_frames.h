// Frames as a backend sends them.
#pragma once

#include "protocol/frame.h"
#include "send_descriptor.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <gtest/gtest.h>
#include <span>
#include <vector>

namespace vamhash::test {

/// The id of the request that all frames belong to.
constexpr std::uint32_t request = 7;

/// A payload: a struct, and what follows it.
template <typename Item>
std::vector<std::byte> bytes_of(const Item& item, std::span<const std::byte> rest = {}) {
    std::vector<std::byte> bytes(sizeof item + rest.size());
    std::memcpy(bytes.data(), &item, sizeof item);
    std::ranges::copy(rest, bytes.begin() + sizeof item);
    return bytes;
}

inline protocol::FrameHeader header_of(protocol::Operation operation, std::size_t length = 0) {
    return {.magic = protocol::magic,
            .length = static_cast<std::uint32_t>(length),
            .operation = static_cast<std::uint16_t>(operation),
            .status = 0,
            .id = request};
}

/// Frames that are sent together.
class BackendFrames {
  public:
    BackendFrames& frame(protocol::Operation operation,
                         const std::vector<std::byte>& payload = {}) {
        const auto frame = bytes_of(header_of(operation, payload.size()), payload);
        bytes_.insert(bytes_.end(), frame.begin(), frame.end());
        return *this;
    }

    /// The answer to an engine that asks for a device.
    BackendFrames& grant(std::uint32_t granted) {
        return frame(protocol::Operation::data,
                     bytes_of(protocol::DeviceGrant{.granted = granted, .unused = 0}));
    }

    BackendFrames& end() { return frame(protocol::Operation::end); }

    /// Sends the frames, with a descriptor or -1 by the first byte.
    void send(int socket, int descriptor) const {
        EXPECT_TRUE(send_with_descriptor(socket, bytes_, descriptor));
    }

  private:
    std::vector<std::byte> bytes_;
};

} // namespace vamhash::test
