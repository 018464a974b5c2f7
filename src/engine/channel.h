// The engine's end of the socketpair: whole frames in, whole frames out, blocking.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include "engine/descriptor.h"
#include "protocol/frame.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <vector>

namespace vamhash {

/// The peer broke the protocol or the socket failed: the engine cannot go on.
class ChannelError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// The first bytes of a text, such as a library's message that quotes an image: ASCII only, so that
/// they may be cut anywhere, and others as question marks.
std::string printable(std::string_view text, std::size_t max_length);

class Channel {
  public:
    explicit Channel(int socket);

    /// Waits for the next frame's header. Gives nothing at end of file, or when `idle` passes
    /// without a byte (zero: no limit).
    std::optional<protocol::FrameHeader> read_header(std::chrono::seconds idle);

    /// Reads exactly `bytes.size()` bytes of payload.
    void read_payload(std::span<std::byte> bytes);

    /// Reads `length` bytes of payload and drops them. Allocates nothing.
    void skip_payload(std::size_t length);

    /// The descriptor that came with the frame whose header was read last, or with an earlier one
    /// that nobody took; without a number where there is none.
    Descriptor take_descriptor();

    /// Reads a payload that must have exactly the size of T.
    template <typename T>
    T read_struct(const protocol::FrameHeader& header) {
        T value{};
        if (header.length != sizeof(T)) {
            throw ChannelError("a request's parameters have the wrong size");
        }
        read_payload(std::as_writable_bytes(std::span(&value, 1)));
        return value;
    }

    /// Queues a frame; flush() or a full buffer sends it.
    void write(protocol::Operation operation, std::uint32_t id, std::span<const std::byte> payload,
               protocol::Fault status = protocol::Fault::none);
    template <typename T>
    void write_struct(protocol::Operation operation, std::uint32_t id, const T& value) {
        write(operation, id, std::as_bytes(std::span(&value, 1)));
    }
    void write_error(std::uint32_t id, protocol::Fault fault, std::string_view message,
                     std::string_view detail = {});
    void flush();

    /// Sends a frame at once, and with its first byte these descriptors, max_opened at most, which
    /// remain the caller's.
    void send_with(protocol::Operation operation, std::uint32_t id,
                   std::span<const std::byte> payload, std::span<const int> descriptors);

  private:
    [[nodiscard]] std::size_t receive(std::span<std::byte> bytes);
    void keep_descriptors(msghdr& message);
    [[nodiscard]] std::size_t send_descriptors(std::span<const std::byte> bytes,
                                               std::span<const int> descriptors) const;
    void send_all(std::span<const std::byte> bytes) const;

    int socket_;
    std::vector<std::byte> input_;
    std::size_t input_begin_ = 0;
    std::size_t input_end_ = 0;
    std::deque<Descriptor> descriptors_; // received, not taken
    std::vector<std::byte> output_;
};

} // namespace vamhash
