#include "join/monitor.h"

namespace vamhash {

namespace {

constexpr std::chrono::milliseconds interval{100};

} // namespace

void Monitor::begin(JoinPhase phase, std::uint64_t total) {
    if (nested_ > 0) {
        return;
    }
    stop_clock();
    running_ = true;
    phase_start_ = Clock::now();
    if (next_ == 0) {
        next_ = (phase_start_ + interval).time_since_epoch().count();
    }
    phase_ = phase;
    device_name_.clear();
    done_ = 0;
    total_ = total;
    if (due()) {
        try_to_tell();
    }
}

void Monitor::end() {
    stop_clock();
    if (progress_) {
        const std::lock_guard lock(mutex_);
        done_.store(total_);
        tell();
    }
    workers_.rethrow_failure();
}

// Adds the time since the phase began to it, if one runs.
void Monitor::stop_clock() {
    if (running_) {
        seconds_[static_cast<std::size_t>(phase_.load())] +=
            std::chrono::duration<double>(Clock::now() - phase_start_).count();
    }
    running_ = false;
}

void Monitor::write(JoinReport& report) const {
    const auto seconds = [&](JoinPhase phase) { return seconds_[static_cast<std::size_t>(phase)]; };
    report.pairs = pairs_;
    report.candidates = candidates_;
    report.grouping_seconds = seconds(JoinPhase::grouping);
    report.planning_seconds = seconds(JoinPhase::planning);
    report.comparing_seconds = seconds(JoinPhase::comparing);
    report.forming_seconds = seconds(JoinPhase::forming);
    report.device = device_;
}

// Waits for no other: whoever holds the mutex tells, too.
void Monitor::try_to_tell() {
    const std::unique_lock lock(mutex_, std::try_to_lock);
    if (lock.owns_lock() && due()) {
        tell();
    }
}

void Monitor::tell() {
    if (workers_.stopped()) {
        return;
    }
    next_ = (Clock::now() + interval).time_since_epoch().count();
    try {
        progress_({.phase = phase_,
                   .done = done_,
                   .total = total_,
                   .candidates = candidates_,
                   .pairs = pairs_,
                   .estimated_pairs = estimated_pairs_,
                   .device = device_name_});
    } catch (...) {
        workers_.fail(std::current_exception());
    }
}

} // namespace vamhash
