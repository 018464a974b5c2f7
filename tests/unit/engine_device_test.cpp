// Which device an engine gives a join, and that it keeps it, on PoCL's CPU or a better device.
#include "device/device.h"
#include "engine/engine_device.h"

#include "backend_frames.h"
#include "tested_devices.h"

#include <array>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <string>
#include <unistd.h>

namespace vamhash {
namespace {

using test::BackendFrames;

class EngineDeviceTest : public testing::Test {
  protected:
    void SetUp() override {
        const std::vector<DeviceListing> devices = test::tested_devices();
        if (devices.empty()) {
            GTEST_SKIP() << "there is no device, not even PoCL's";
        }
        backend_ = devices[0].backend;
        settings_.backends[0] =
            backend_ == "cuda" ? protocol::Backend::cuda : protocol::Backend::opencl;
        is_cpu_ = !is_used_by_itself(devices[0].properties);
        ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets_.data()), 0);
        channel_.emplace(sockets_[0]);
    }

    void TearDown() override {
        for (const int socket : sockets_) {
            if (socket >= 0) {
                close(socket);
            }
        }
    }

    void grant() { // any descriptor will do
        const Descriptor leave(open("/dev/null", O_RDONLY | O_CLOEXEC));
        BackendFrames().grant(1).end().send(sockets_[1], leave.number());
    }

    /// A request of its own, which is to have a device of that backend.
    RequestDevice request() { return {engine_, *channel_, begin_, settings_}; }

    static std::string detail_of(RequestDevice&& device) {
        try {
            device.take();
        } catch (const NoDevice& error) {
            return error.detail();
        }
        return "there is one";
    }

    std::string backend_;
    bool is_cpu_ = false;
    std::array<int, 2> sockets_{-1, -1};
    std::optional<Channel> channel_;
    const protocol::FrameHeader begin_ = test::header_of(protocol::Operation::begin_pairs);
    protocol::DeviceSettings settings_{
        .memory_limit = 0,
        .min_rows = 0,
        .use = static_cast<std::uint32_t>(protocol::DeviceUse::on),
        .device_id = -1,
        .backends = {protocol::Backend::opencl, protocol::Backend::none},
        .unused = {}};
    EngineDevice engine_;
};

TEST_F(EngineDeviceTest, IsGrantedOnceAndKept) {
    grant();
    RequestDevice first = request();
    EXPECT_FALSE(first.look().is_open);
    EXPECT_FALSE(engine_.is_held());
    Device& device = first.take();
    EXPECT_TRUE(engine_.is_held());
    EXPECT_EQ(&first.take(), &device);
    RequestDevice second = request(); // nobody is asked
    EXPECT_TRUE(second.look().is_open);
    EXPECT_EQ(&second.take(), &device);
}

TEST_F(EngineDeviceTest, IsRefusedOnceARequest) {
    BackendFrames().grant(0).end().send(sockets_[1], -1);
    RequestDevice refused = request();
    EXPECT_THROW(refused.take(), NoDevice);
    EXPECT_THROW(refused.take(), NoDevice); // without another question
    EXPECT_FALSE(engine_.is_held());
    grant();
    EXPECT_NO_THROW(request().take());
}

TEST_F(EngineDeviceTest, IsNotUsedAgainOnceItHasFailed) {
    grant();
    RequestDevice failing = request();
    failing.take();
    failing.discard("it was lost");
    EXPECT_FALSE(engine_.is_held());
    EXPECT_NE(detail_of(request()).find("it has failed before (it was lost)"), std::string::npos);
}

TEST_F(EngineDeviceTest, SaysWhyThereIsNone) {
    settings_.device_id = 77;
    EXPECT_EQ(detail_of(request()), backend_ + ": no device 77");
    settings_.device_id = -1;
    settings_.use = static_cast<std::uint32_t>(protocol::DeviceUse::automatic);
    if (is_cpu_) {
        EXPECT_NE(detail_of(request()).find(reason_not_used_by_itself), std::string::npos);
    }
    settings_.backends[0] = protocol::Backend::none;
    EXPECT_EQ(detail_of(request()), "");
}

} // namespace
} // namespace vamhash
