// The device of an engine, which it keeps from one request to the next.
#pragma once

#include "engine/channel.h"
#include "join/device_source.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace vamhash {

/// A device of a backend.
struct DeviceChoice {
    std::string backend;
    std::uint32_t number;

    bool operator==(const DeviceChoice&) const = default;
};

struct FailedDevice {
    DeviceChoice choice;
    std::string reason;
};

/// What outlives a request. An engine has at most one device, and needs leave for it, which is the
/// descriptor that came with a DeviceGrant.
struct EngineDevice {
    [[nodiscard]] bool is_held() const { return leave.number() >= 0; }

    Descriptor leave;
    std::unique_ptr<Device> device;
    std::optional<PinnedMemory> pinned; // the arena's, for this device
    DeviceChoice choice;
    std::vector<FailedDevice> failed; // which are not used again
};

/// Gives a request the engine's device, or first makes it one that the request asks for.
class RequestDevice final : public DeviceSource {
  public:
    /// For a request that will have been read, without any RESULT yet, when a device is first
    /// taken.
    RequestDevice(EngineDevice& engine, Channel& channel, const protocol::FrameHeader& begin,
                  const protocol::DeviceSettings& settings)
        : engine_(engine), channel_(channel), begin_(begin), settings_(settings) {}

    DeviceOffer look() override;
    Device& take() override;
    void discard(const char* reason) override;

  private:
    const DeviceListing& choose();
    [[nodiscard]] DeviceListing find() const;
    void ask_leave();

    EngineDevice& engine_;
    Channel& channel_;
    const protocol::FrameHeader& begin_;
    const protocol::DeviceSettings& settings_;
    std::optional<DeviceListing> chosen_; // to list devices takes their drivers a while
    bool has_asked_ = false;
};

} // namespace vamhash
