// The threads of one join.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace vamhash {

/// The number of threads for a join of `rows` rows: `wanted`, or all cores this process may use if
/// that is 0; one for so few rows that threads would not help.
unsigned thread_count(unsigned wanted, std::size_t rows);

/// Thrown by a thread that finds the others stopped, so as to leave its work from anywhere.
struct Stopped {};

/// The calling thread and count - 1 others, which sleep between phases. The others block all
/// signals. The first failure of any thread stops all of them: each looks at stopped() often.
class Workers {
  public:
    using Phase = std::function<void(unsigned worker)>;

    explicit Workers(unsigned count);
    ~Workers();
    Workers(const Workers&) = delete;
    Workers& operator=(const Workers&) = delete;

    [[nodiscard]] unsigned count() const { return static_cast<unsigned>(others_.size()) + 1; }

    /// Runs phase(i) on every thread, i = 0 on the calling one, and waits for all. Throws the first
    /// failure.
    void run(const Phase& phase);

    /// Runs task(worker, number) for the numbers 0 .. tasks - 1, in this order, each on the next
    /// free thread. Throws the first failure.
    void run_tasks(std::uint64_t tasks,
                   const std::function<void(unsigned worker, std::uint64_t number)>& task);

    [[nodiscard]] bool stopped() const { return stopped_.load(std::memory_order_relaxed); }

    /// Throws Stopped where the threads are stopped.
    void check() const {
        if (stopped()) {
            throw Stopped();
        }
    }

    /// Throws the first failure, if there is one. By the calling thread, while the others sleep.
    void rethrow_failure() const {
        if (failure_) {
            std::rethrow_exception(failure_);
        }
    }

    /// Stops all threads; the first reason is kept.
    void fail(std::exception_ptr reason) noexcept;

  private:
    void serve(unsigned worker) noexcept;
    void perform(unsigned worker) noexcept;
    void dismiss() noexcept;

    std::vector<std::jthread> others_;
    const Phase* phase_ = nullptr; // null: the threads end
    std::atomic<std::uint32_t> generation_ = 0;
    std::atomic<std::uint32_t> working_ = 0;
    std::atomic<bool> stopped_ = false;
    std::mutex mutex_; // guards failure_
    std::exception_ptr failure_;
};

} // namespace vamhash
