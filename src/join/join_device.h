// The device of one join, if it has one: whether it pays, and the CPU's part where it fails.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include "join/device_source.h"
#include "join/monitor.h"
#include "join/plan.h"

#include <cstdint>
#include <string>

namespace vamhash {

/// Asks for a device at most once. Where one is required, everything that goes wrong is thrown;
/// otherwise it is noted in the monitor's report, and the CPU does the work.
class JoinDevice {
  public:
    /// For a join of so many rows.
    JoinDevice(const DeviceOptions& options, std::uint64_t rows, Monitor& monitor)
        : options_(options), rows_(rows), monitor_(monitor) {}

    [[nodiscard]] bool is_required() const {
        return options_.source != nullptr && options_.is_required;
    }

    /// Takes a device if one is required.
    void take_required() {
        if (is_required() && device_ == nullptr) {
            take();
        }
    }

    /// Whether a device is to be thought of for what takes the CPU so many seconds.
    [[nodiscard]] bool is_wanted(double cpu_seconds) const;

    /// Plans the join for a device, and takes it, if one is required or expected to be faster than
    /// the CPU by its plan on so many threads; otherwise returns the CPU's plan. `brute` allows
    /// brute force only.
    Plan choose(const Plan& on_cpu, PlanRequest request, unsigned threads, bool brute = false);

    /// The device, of a join whose plan is for one, as long as it works; or null.
    [[nodiscard]] Device* device() const { return device_; }
    [[nodiscard]] std::uint64_t memory_limit() const { return options_.memory_limit; }

    /// Notes why the CPU does what was a device's to do.
    void note(const std::string& reason);

    /// Gives up the device, which has failed.
    void discard(const std::string& reason);

  private:
    bool take();
    void refuse(const NoDevice& error);

    const DeviceOptions& options_;
    const std::uint64_t rows_;
    Monitor& monitor_;
    Device* device_ = nullptr;
    bool is_refused_ = false; // or not worth it: the CPU does all
};

} // namespace vamhash
