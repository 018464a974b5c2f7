#include "join/join_device.h"

#include <optional>

namespace vamhash {

namespace {

// To open a device takes about so long. Not measured on a GPU.
constexpr double seconds_to_start = 0.3;

} // namespace

bool JoinDevice::is_wanted(double cpu_seconds) const {
    return options_.source != nullptr && !is_refused_ &&
           (options_.is_required ||
            (rows_ >= options_.min_rows && cpu_seconds >= options_.least_seconds));
}

void JoinDevice::note(const std::string& reason) {
    ++monitor_.device().fallbacks;
    monitor_.device().fallback = reason;
}

void JoinDevice::discard(const std::string& reason) {
    device_ = nullptr;
    is_refused_ = true;
    options_.source->discard(reason.c_str());
    note(reason);
}

void JoinDevice::refuse(const NoDevice& error) {
    if (options_.is_required) {
        throw error;
    }
    is_refused_ = true;
    note(std::string(error.what()) + ": " + error.detail());
}

bool JoinDevice::take() {
    try {
        device_ = &options_.source->take();
        return true;
    } catch (const NoDevice& error) {
        refuse(error);
    } catch (const std::runtime_error& error) { // DeviceFailed, DeviceMemoryExceeded
        if (options_.is_required) {
            throw;
        }
        is_refused_ = true;
        note(error.what());
    }
    return false;
}

Plan JoinDevice::choose(const Plan& on_cpu, PlanRequest request, unsigned threads, bool brute) {
    const double cpu_seconds = on_cpu.seconds / threads;
    if (!is_wanted(cpu_seconds)) {
        return on_cpu;
    }
    std::optional<DeviceOffer> offer;
    try {
        offer = options_.source->look();
    } catch (const NoDevice& error) {
        refuse(error);
        return on_cpu;
    }
    request.allow_one_bucket = request.allow_one_bucket && !request.in_passes;
    request.device = device_costs(offer->properties, options_.memory_limit, request.threshold);
    const Plan plan = brute ? plan_brute_force(request) : plan_join(request);
    const double start = offer->is_open ? 0 : seconds_to_start;
    if ((request.in_passes && plan.one_bucket) ||
        (!options_.is_required && plan.seconds + start >= cpu_seconds)) {
        is_refused_ = true;
        return on_cpu;
    }
    return device_ != nullptr || take() ? plan : on_cpu;
}

} // namespace vamhash
