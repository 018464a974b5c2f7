#include "engine/channel.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <poll.h>
#include <string>
#include <sys/uio.h>
#include <thread>
#include <utility>

namespace vamhash {

namespace {

// Small, so that little of a large payload takes the way through the buffer.
constexpr std::size_t input_buffer_size = 4096;
constexpr std::size_t output_flush_size = 64 * 1024;
constexpr std::size_t max_error_line = 499; // bytes; a sentence is enough

[[noreturn]] void fail(const char* action) {
    throw ChannelError(std::string(action) + ": " + std::strerror(errno));
}

} // namespace

std::string printable(std::string_view text, std::size_t max_length) {
    std::string line(text.substr(0, max_length));
    std::ranges::replace_if(
        line, [](char c) { return c < ' ' || c > '~'; }, '?');
    return line;
}

Channel::Channel(int socket) : socket_(socket), input_(input_buffer_size) {}

// A message with a descriptor ends what one call receives, so there is room for one message's.
std::size_t Channel::receive(std::span<std::byte> bytes) {
    for (;;) {
        alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(int))> control;
        iovec piece{.iov_base = bytes.data(), .iov_len = bytes.size()};
        msghdr message{};
        message.msg_iov = &piece;
        message.msg_iovlen = 1;
        message.msg_control = control.data();
        message.msg_controllen = control.size();
        const ssize_t got = recvmsg(socket_, &message, MSG_CMSG_CLOEXEC);
        if (got >= 0) {
            keep_descriptors(message);
            return static_cast<std::size_t>(got);
        }
        if (errno != EINTR) {
            fail("receiving from the backend");
        }
    }
}

/// Keeps the descriptor that a message brought.
void Channel::keep_descriptors(msghdr& message) {
    for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr;
         part = CMSG_NXTHDR(&message, part)) {
        if (part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_RIGHTS &&
            part->cmsg_len == CMSG_LEN(sizeof(int))) {
            int number = -1;
            std::memcpy(&number, CMSG_DATA(part), sizeof number);
            descriptors_.emplace_back(number);
        }
    }
    if ((message.msg_flags & MSG_CTRUNC) != 0) {
        throw ChannelError("a descriptor was sent that could not be received");
    }
}

Descriptor Channel::take_descriptor() {
    Descriptor taken;
    if (!descriptors_.empty()) {
        taken = std::move(descriptors_.front());
        descriptors_.pop_front();
    }
    return taken;
}

std::optional<protocol::FrameHeader> Channel::read_header(std::chrono::seconds idle) {
    if (input_begin_ == input_end_ && idle.count() > 0) {
        pollfd waiting{.fd = socket_, .events = POLLIN, .revents = 0};
        const int ready =
            poll(&waiting, 1, static_cast<int>(std::chrono::milliseconds(idle).count()));
        if (ready == 0) {
            return std::nullopt;
        }
    }
    // Compact, then fill until a whole header is there.
    if (input_begin_ > 0) {
        std::memmove(input_.data(), input_.data() + input_begin_, input_end_ - input_begin_);
        input_end_ -= input_begin_;
        input_begin_ = 0;
    }
    while (input_end_ < sizeof(protocol::FrameHeader)) {
        const std::size_t got = receive(std::span(input_).subspan(input_end_));
        if (got == 0) {
            if (input_end_ == 0) {
                return std::nullopt;
            }
            throw ChannelError("the backend closed the socket inside a frame");
        }
        input_end_ += got;
    }
    protocol::FrameHeader header{};
    std::memcpy(&header, input_.data(), sizeof header);
    input_begin_ = sizeof header;
    if (header.magic != protocol::magic || header.length > protocol::max_payload) {
        throw ChannelError("a frame has a bad header");
    }
    return header;
}

void Channel::read_payload(std::span<std::byte> bytes) {
    const std::size_t buffered = std::min(bytes.size(), input_end_ - input_begin_);
    if (buffered > 0) {
        std::memcpy(bytes.data(), input_.data() + input_begin_, buffered);
        input_begin_ += buffered;
    }
    for (std::size_t have = buffered; have < bytes.size();) {
        const std::size_t got = receive(bytes.subspan(have));
        if (got == 0) {
            throw ChannelError("the backend closed the socket inside a frame");
        }
        have += got;
    }
}

void Channel::skip_payload(std::size_t length) {
    const std::size_t buffered = std::min(length, input_end_ - input_begin_);
    input_begin_ += buffered;
    // If that was not all, the buffer is empty and can take what is dropped.
    for (std::size_t rest = length - buffered; rest > 0;) {
        const std::size_t got = receive(std::span(input_).first(std::min(rest, input_.size())));
        if (got == 0) {
            throw ChannelError("the backend closed the socket inside a frame");
        }
        rest -= got;
    }
}

void Channel::send_all(std::span<const std::byte> bytes) const {
    while (!bytes.empty()) {
        const ssize_t sent = send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno == EINTR) {
                continue;
            }
            fail("sending to the backend");
        }
        bytes = bytes.subspan(static_cast<std::size_t>(sent));
    }
}

void Channel::write(protocol::Operation operation, std::uint32_t id,
                    std::span<const std::byte> payload, protocol::Fault status) {
    const protocol::FrameHeader header{
        .magic = protocol::magic,
        .length = static_cast<std::uint32_t>(payload.size()),
        .operation = static_cast<std::uint16_t>(operation),
        .status = static_cast<std::uint16_t>(status),
        .id = id,
    };
    const auto head = std::as_bytes(std::span(&header, 1));
    output_.insert(output_.end(), head.begin(), head.end());
    if (output_.size() + payload.size() > output_flush_size) {
        flush();
        send_all(payload);
    } else {
        output_.insert(output_.end(), payload.begin(), payload.end());
    }
}

void Channel::write_error(std::uint32_t id, protocol::Fault fault, std::string_view message,
                          std::string_view detail) {
    std::string text = printable(message, max_error_line);
    if (!detail.empty()) {
        text += '\n' + printable(detail, max_error_line);
    }
    write(protocol::Operation::error, id, std::as_bytes(std::span(text.data(), text.size())),
          fault);
}

/// Sends some of these bytes, with descriptors; returns how many.
std::size_t Channel::send_descriptors(std::span<const std::byte> bytes,
                                      std::span<const int> descriptors) const {
    alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(int) * protocol::max_opened)>
        control{};
    iovec piece{.iov_base = const_cast<std::byte*>(bytes.data()), // NOLINT: sendmsg's
                .iov_len = bytes.size()};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
    cmsghdr* part = CMSG_FIRSTHDR(&message);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(descriptors.size_bytes());
    std::memcpy(CMSG_DATA(part), descriptors.data(), descriptors.size_bytes());
    for (;;) {
        const ssize_t sent = sendmsg(socket_, &message, MSG_NOSIGNAL);
        if (sent >= 0) {
            return static_cast<std::size_t>(sent);
        }
        if (errno == ETOOMANYREFS) {
            // The server's user has too many files under way in all: others end.
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        } else if (errno != EINTR) {
            fail("sending to the backend");
        }
    }
}

void Channel::send_with(protocol::Operation operation, std::uint32_t id,
                        std::span<const std::byte> payload, std::span<const int> descriptors) {
    flush();
    write(operation, id, payload);
    if (!descriptors.empty()) {
        const std::size_t sent = send_descriptors(output_, descriptors);
        output_.erase(output_.begin(), output_.begin() + static_cast<std::ptrdiff_t>(sent));
    }
    flush();
}

void Channel::flush() {
    send_all(output_);
    output_.clear();
}

} // namespace vamhash
