// Leave to hold a device: what an engine asks, and what of a backend's answer it takes.
#include "engine/device_grant.h"

#include "backend_frames.h"

#include <array>
#include <cstring>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace vamhash {
namespace {

using protocol::Operation;
using test::BackendFrames;
using test::request;

class DeviceGrantTest : public testing::Test {
  protected:
    void SetUp() override {
        ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets_.data()), 0);
        ASSERT_EQ(pipe2(pipe_.data(), O_CLOEXEC), 0);
    }

    void TearDown() override {
        for (const int descriptor : {sockets_[0], sockets_[1], pipe_[0], pipe_[1]}) {
            if (descriptor >= 0) {
                close(descriptor);
            }
        }
    }

    Descriptor ask() { return ask_device(channel(), test::header_of(Operation::begin_pairs)); }

    Channel& channel() {
        if (!channel_) {
            channel_.emplace(sockets_[0]);
        }
        return *channel_;
    }

    /// Whether the engine is all that has the pipe's end for writing open, and so holds its slot.
    bool slot_is_held() {
        if (pipe_[1] >= 0) {
            close(std::exchange(pipe_[1], -1));
        }
        char byte = 0;
        fcntl(pipe_[0], F_SETFL, O_NONBLOCK);
        return read(pipe_[0], &byte, 1) < 0; // and not the end of file
    }

    std::array<int, 2> sockets_{-1, -1};
    std::array<int, 2> pipe_{-1, -1}; // of which the end for writing is a slot
    std::optional<Channel> channel_;
};

TEST_F(DeviceGrantTest, AsksInOneEmptyFrame) {
    BackendFrames().grant(0).end().send(sockets_[1], -1);
    ask();
    protocol::FrameHeader asked{};
    ASSERT_EQ(recv(sockets_[1], &asked, sizeof asked, 0), static_cast<ssize_t>(sizeof asked));
    EXPECT_EQ(asked.operation, static_cast<std::uint16_t>(Operation::ask_device));
    EXPECT_EQ(asked.id, request);
    EXPECT_EQ(asked.length, 0);
    EXPECT_LT(recv(sockets_[1], &asked, sizeof asked, MSG_DONTWAIT), 0);
}

TEST_F(DeviceGrantTest, HoldsASlotForAsLongAsItIsKept) {
    BackendFrames().grant(1).end().send(sockets_[1], pipe_[1]);
    {
        const Descriptor slot = ask();
        ASSERT_GE(slot.number(), 0);
        EXPECT_NE(fcntl(slot.number(), F_GETFD) & FD_CLOEXEC, 0)
            << "a program that a driver starts must not keep it";
        EXPECT_TRUE(slot_is_held());
    }
    EXPECT_FALSE(slot_is_held());
}

TEST_F(DeviceGrantTest, IsRefused) {
    BackendFrames().grant(0).end().send(sockets_[1], -1);
    EXPECT_LT(ask().number(), 0);
}

TEST_F(DeviceGrantTest, WaitsForItsAnswer) {
    std::thread backend([this] {
        protocol::FrameHeader asked{};
        recv(sockets_[1], &asked, sizeof asked, 0);
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
        BackendFrames().grant(1).end().send(sockets_[1], pipe_[1]);
    });
    EXPECT_GE(ask().number(), 0);
    backend.join();
}

TEST_F(DeviceGrantTest, RefusesOtherAnswers) {
    const std::vector<std::byte> four(4);
    const std::array answers = {
        BackendFrames().end(),                              // no answer
        BackendFrames().grant(1).end(),                     // granted without a slot
        BackendFrames().grant(0).grant(0).end(),            // two answers
        BackendFrames().frame(Operation::data, four).end(), // half an answer
        BackendFrames().frame(Operation::begin_pairs),
    };
    for (const BackendFrames& answer : answers) {
        answer.send(sockets_[1], -1);
        EXPECT_THROW(ask(), ChannelError);
        TearDown();
        channel_.reset();
        SetUp();
    }
    BackendFrames().grant(0).end().send(sockets_[1], pipe_[1]); // refused, with a slot
    EXPECT_THROW(ask(), ChannelError);
    channel_.reset();
    EXPECT_FALSE(slot_is_held());
}

} // namespace
} // namespace vamhash
