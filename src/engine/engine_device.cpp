#include "engine/engine_device.h"

#include "engine/device_grant.h"

#include <algorithm>
#include <array>
#include <utility>

namespace vamhash {

namespace {

constexpr std::array<const char*, protocol::backend_count + 1> backend_names{"", "cuda", "opencl"};

DeviceChoice choice_of(const DeviceListing& listing) {
    return {listing.backend, static_cast<std::uint32_t>(listing.number)};
}

} // namespace

// The first device that the request may use, by the order of its backends.
DeviceListing RequestDevice::find() const {
    const bool required = settings_.use == static_cast<std::uint32_t>(protocol::DeviceUse::on);
    std::string reasons;
    const auto pass_over = [&](const DeviceListing& listing, const std::string& reason) {
        reasons += reasons.empty() ? "" : "; ";
        reasons += listing.backend;
        if (listing.number >= 0) {
            reasons += " ";
            reasons += std::to_string(listing.number);
        }
        reasons += ": ";
        reasons += reason;
    };
    for (const protocol::Backend backend : settings_.backends) {
        if (backend == protocol::Backend::none) {
            break;
        }
        bool any = false;
        for (const DeviceListing& listing :
             list_devices(backend_names[static_cast<std::size_t>(backend)])) {
            const plugin::DeviceProperties& device = listing.properties;
            if (listing.number >= 0 && settings_.device_id >= 0 &&
                listing.number != settings_.device_id) {
                continue;
            }
            any = true;
            const auto failed = std::find_if(
                engine_.failed.begin(), engine_.failed.end(),
                [&](const FailedDevice& other) { return other.choice == choice_of(listing); });
            if (listing.number < 0 || device.usable == 0) {
                pass_over(listing, device.reason);
            } else if (failed != engine_.failed.end()) {
                pass_over(listing, "it has failed before (" + failed->reason + ")");
            } else if (!required && !is_used_by_itself(device)) {
                pass_over(listing, reason_not_used_by_itself);
            } else {
                return listing;
            }
        }
        if (!any) {
            pass_over({backend_names[static_cast<std::size_t>(backend)]},
                      "no device " + std::to_string(settings_.device_id));
        }
    }
    throw NoDevice("no device can be used", reasons);
}

// The same one for the whole request, unless it fails.
const DeviceListing& RequestDevice::choose() {
    if (!chosen_) {
        chosen_ = find();
    }
    return *chosen_;
}

DeviceOffer RequestDevice::look() {
    const DeviceListing& listing = choose();
    return {listing.properties, engine_.device && engine_.choice == choice_of(listing)};
}

void RequestDevice::ask_leave() {
    if (!std::exchange(has_asked_, true)) {
        engine_.leave = ask_device(channel_, begin_);
    }
    if (!engine_.is_held()) {
        throw NoDevice("as many engines as may have a device have one",
                       "\"vamhash.max_gpu_engines\" says how many may.");
    }
}

Device& RequestDevice::take() {
    const DeviceChoice choice = choice_of(choose());
    if (engine_.device && engine_.choice == choice) {
        return *engine_.device;
    }
    engine_.pinned.reset();
    engine_.device.reset();
    if (!engine_.is_held()) {
        ask_leave();
    }
    try {
        engine_.choice = choice;
        engine_.device =
            std::make_unique<Device>(*load_device_backend(choice.backend).backend, choice.number);
    } catch (const std::runtime_error& error) {
        discard(error.what());
        throw;
    }
    return *engine_.device;
}

void RequestDevice::discard(const char* reason) {
    engine_.failed.push_back({engine_.choice, reason});
    engine_.pinned.reset();
    engine_.device.reset();
    engine_.leave = Descriptor();
    chosen_.reset();
}

} // namespace vamhash
