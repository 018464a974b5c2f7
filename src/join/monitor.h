// Counts what a join does, times its phases, and tells of both while it runs.
//
// Threads add to the counters once a task, not once a pair. Progress is told under the lock of the
// pair sink, by whichever thread finds that it is due.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include "join/report.h"
#include "join/workers.h"

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <utility>

namespace vamhash {

class Monitor {
  public:
    /// What `progress` throws stops the workers. It may be empty.
    Monitor(const ProgressSink& progress, Workers& workers)
        : progress_(progress), workers_(workers) {}

    /// Ends the present phase and begins another, of `total` tables or tiles. By the calling thread
    /// of the join, while the others sleep.
    void begin(JoinPhase phase, std::uint64_t total = 0);

    /// Ends the last phase and tells of the totals. Throws what the progress sink throws.
    void end();

    /// The pairs to expect in all.
    void expect_pairs(double pairs) { estimated_pairs_ = pairs; }
    [[nodiscard]] bool wants_progress() const { return static_cast<bool>(progress_); }

    /// While it lives, a join within groups runs: its phases, tables and tiles do not count.
    class Nested {
      public:
        explicit Nested(Monitor& monitor) : monitor_(monitor) { ++monitor_.nested_; }
        ~Nested() { --monitor_.nested_; }
        Nested(const Nested&) = delete;
        Nested& operator=(const Nested&) = delete;

      private:
        Monitor& monitor_;
    };

    /// Adds to the counters. By any thread that does not hold the mutex.
    void add(std::uint64_t candidates, std::uint64_t done = 0) {
        candidates_.fetch_add(candidates, std::memory_order_relaxed);
        if (nested_ == 0) {
            done_.fetch_add(done, std::memory_order_relaxed);
        }
        if (due()) {
            try_to_tell();
        }
    }

    /// Guards the pair sink and the progress sink: each is called by one thread at a time, and not
    /// after a failure.
    [[nodiscard]] std::mutex& mutex() { return mutex_; }

    /// Adds pairs that were found and tells of the progress if that is due. By a thread that holds
    /// the mutex.
    void add_pairs(std::uint64_t pairs) {
        pairs_.fetch_add(pairs, std::memory_order_relaxed);
        if (due()) {
            tell();
        }
    }

    [[nodiscard]] std::uint64_t pairs() const { return pairs_; }

    /// What a device does in this join. By the calling thread, while the others sleep.
    [[nodiscard]] DeviceReport& device() { return device_; }

    /// The device of this name computes from now on, until the phase ends; none: the CPU. By the
    /// calling thread, while the others sleep.
    void device_computes(std::string name) { device_name_ = std::move(name); }

    /// Writes the counters and the seconds of the phases so far. By the calling thread of the join.
    void write(JoinReport& report) const;

  private:
    using Clock = std::chrono::steady_clock;

    [[nodiscard]] bool due() const {
        return progress_ &&
               Clock::now().time_since_epoch().count() >= next_.load(std::memory_order_relaxed);
    }
    void stop_clock();
    void try_to_tell();
    void tell();

    const ProgressSink& progress_;
    Workers& workers_;
    std::mutex mutex_;
    std::atomic<JoinPhase> phase_ = JoinPhase::grouping;
    std::atomic<std::uint64_t> total_ = 0;
    std::atomic<std::uint64_t> done_ = 0;
    std::atomic<std::uint64_t> candidates_ = 0;
    std::atomic<std::uint64_t> pairs_ = 0;
    std::atomic<double> estimated_pairs_ = -1;
    std::atomic<Clock::rep> next_ = 0; // when progress is due, since the clock's epoch
    int nested_ = 0;                   // changes while the other threads sleep
    DeviceReport device_;
    std::string device_name_; // of the one that computes
    bool running_ = false;    // a phase is
    Clock::time_point phase_start_;
    std::array<double, 5> seconds_{}; // by phase
};

} // namespace vamhash
