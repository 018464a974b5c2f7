#include "join/workers.h"

#include <pthread.h>
#ifdef __linux__
#include <sched.h>
#endif

#include <algorithm>
#include <csignal>
#include <utility>

namespace vamhash {

namespace {

// So few rows are compared in milliseconds: threads would not help.
constexpr std::size_t largest_join_on_one_thread = 4096;

// Blocks all signals while it lives, so that threads created meanwhile never run a signal handler.
class BlockedSignals {
  public:
    BlockedSignals() {
        sigset_t all;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    ~BlockedSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
    BlockedSignals(const BlockedSignals&) = delete;
    BlockedSignals& operator=(const BlockedSignals&) = delete;

  private:
    sigset_t before_{};
};

// The number of cores this process may use.
unsigned usable_cores() {
#ifdef __linux__
    cpu_set_t cores;
    if (sched_getaffinity(0, sizeof cores, &cores) == 0) {
        return CPU_COUNT(&cores);
    }
    // The machine has more cores than a cpu_set_t.
#endif
    return std::max(1U, std::thread::hardware_concurrency());
}

} // namespace

unsigned thread_count(unsigned wanted, std::size_t rows) {
    if (rows <= largest_join_on_one_thread) {
        return 1;
    }
    return wanted == 0 ? usable_cores() : wanted;
}

Workers::Workers(unsigned count) {
    try {
        const BlockedSignals blocked;
        for (unsigned i = 1; i < count; ++i) {
            others_.emplace_back([this, i] { serve(i); });
        }
    } catch (...) {
        dismiss();
        throw;
    }
}

Workers::~Workers() {
    dismiss();
}

void Workers::run(const Phase& phase) {
    phase_ = &phase;
    working_ = static_cast<std::uint32_t>(others_.size());
    ++generation_;
    generation_.notify_all();
    perform(0);
    for (std::uint32_t working = working_; working != 0; working = working_) {
        working_.wait(working);
    }
    rethrow_failure();
}

void Workers::run_tasks(std::uint64_t tasks,
                        const std::function<void(unsigned, std::uint64_t)>& task) {
    std::atomic<std::uint64_t> next = 0;
    run([&](unsigned worker) {
        while (!stopped()) {
            const std::uint64_t number = next.fetch_add(1, std::memory_order_relaxed);
            if (number >= tasks) {
                break;
            }
            task(worker, number);
        }
    });
}

void Workers::fail(std::exception_ptr reason) noexcept {
    const std::lock_guard lock(mutex_);
    if (!stopped_) {
        failure_ = std::move(reason);
        stopped_ = true;
    }
}

// Takes part in one phase after another.
void Workers::serve(unsigned worker) noexcept {
    for (std::uint32_t generation = 0;; ++generation) {
        generation_.wait(generation);
        if (phase_ == nullptr) {
            return;
        }
        perform(worker);
        if (--working_ == 0) {
            working_.notify_one();
        }
    }
}

void Workers::perform(unsigned worker) noexcept {
    try {
        if (!stopped()) {
            (*phase_)(worker);
        }
    } catch (...) {
        fail(std::current_exception());
    }
}

// Ends the other threads.
void Workers::dismiss() noexcept {
    phase_ = nullptr;
    ++generation_;
    generation_.notify_all();
    others_.clear();
}

} // namespace vamhash
