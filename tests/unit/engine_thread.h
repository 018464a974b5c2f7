// An engine on a thread of the test, and the backend's end of their socket.
#pragma once

#include "backend_frames.h"
#include "engine/channel.h"

#include <array>
#include <chrono>
#include <exception>
#include <functional>
#include <gtest/gtest.h>
#include <optional>
#include <string>
#include <sys/socket.h>
#include <thread>
#include <vector>

namespace vamhash::test {

/// A frame that an engine has sent.
struct EngineFrame {
    protocol::Operation operation;
    std::vector<std::byte> payload;
};

class EngineThread {
  public:
    /// Answers one request, of which the first header was read.
    using Answer = std::function<void(Channel& channel, const protocol::FrameHeader& begin)>;

    explicit EngineThread(Answer answer) : answer_(std::move(answer)) {
        std::array<int, 2> pair{-1, -1};
        EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()), 0);
        backend_ = Descriptor(pair[0]);
        engine_ = Descriptor(pair[1]);
        channel_.emplace(backend_.number());
        thread_ = std::thread([this] { run(); });
    }
    ~EngineThread() {
        close();
        if (thread_.joinable()) {
            thread_.join();
        }
    }
    EngineThread(const EngineThread&) = delete;
    EngineThread& operator=(const EngineThread&) = delete;

    /// The backend's end.
    [[nodiscard]] int socket() const { return backend_.number(); }

    /// Sends a frame, with a descriptor or -1.
    void send(protocol::Operation operation, const std::vector<std::byte>& payload = {},
              int descriptor = -1) const {
        BackendFrames().frame(operation, payload).send(socket(), descriptor);
    }

    /// The next frame that the engine sends; nothing once it has ended, or where none comes.
    std::optional<EngineFrame> receive() {
        const auto header = channel_->read_header(std::chrono::minutes(2));
        if (!header) {
            return std::nullopt;
        }
        EngineFrame frame{.operation = static_cast<protocol::Operation>(header->operation),
                          .payload = std::vector<std::byte>(header->length)};
        channel_->read_payload(frame.payload);
        return frame;
    }

    /// Ends the conversation as a backend does that goes.
    void close() const { shutdown(socket(), SHUT_RDWR); }

    /// Waits for the engine to end; returns what was wrong.
    std::string fault() {
        thread_.join();
        return fault_;
    }

  private:
    void run() {
        try {
            Channel channel(engine_.number());
            while (const auto begin = channel.read_header(std::chrono::seconds(0))) {
                answer_(channel, *begin);
                channel.flush(); // of DONE
            }
        } catch (const std::exception& error) {
            fault_ = error.what();
        }
        shutdown(engine_.number(), SHUT_RDWR);
    }

    const Answer answer_;
    Descriptor backend_;
    Descriptor engine_;
    std::optional<Channel> channel_; // the backend's
    std::string fault_;
    std::thread thread_;
};

} // namespace vamhash::test
