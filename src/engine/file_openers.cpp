#include "engine/file_openers.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <iterator>
#include <new>
#include <system_error>
#include <utility>

namespace vamhash {

using protocol::max_opened;
using protocol::max_opening;

namespace {

/// A thread is called for a path only where opening takes longer. Files in memory take 5 to 20 us.
constexpr std::chrono::microseconds quick{100};

constexpr std::chrono::microseconds watched_for{500};

} // namespace

OpenedFile open_file(const OpenTask& task) {
    // Not to hang on a FIFO before it is known to be one.
    const int flags =
        O_CLOEXEC | (task.folder ? O_PATH | O_DIRECTORY : O_RDONLY | O_NONBLOCK | O_NOCTTY);
    for (;;) {
        const int file = open(task.path.c_str(), flags);
        if (file >= 0) {
            return {.number = task.number, .error = 0, .file = Descriptor(file)};
        }
        if (errno != EINTR) {
            return {.number = task.number, .error = errno, .file = Descriptor()};
        }
    }
}

FileOpeners::FileOpeners(Open open, Take take) : open_(std::move(open)), take_(std::move(take)) {
    opened_.reserve(max_opening);
    threads_.reserve(max_opening);
}

FileOpeners::~FileOpeners() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    path_waits_.notify_all();
    for (std::thread& thread : threads_) {
        thread.join();
    }
}

/// Has one more thread look for paths, if there may be one. Where the system refuses it, those that
/// are there must do.
void FileOpeners::call_thread() {
    if (idle_ > 0) {
        path_waits_.notify_one();
    } else if (threads_.size() < max_opening) {
        try {
            threads_.emplace_back([this] { open_files(); });
        } catch (const std::system_error&) {
            if (threads_.empty()) {
                throw std::bad_alloc();
            }
        }
    }
}

void FileOpeners::put(OpenTask task) {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
    ++put_;
    // Where others wait already, one of the threads will call the next.
    if (tasks_.size() == 1) {
        call_thread();
    }
}

void FileOpeners::finish() {
    Lock lock(mutex_);
    all_taken_.wait(lock, [this] { return taken_ == put_; });
}

/// A thread's life.
void FileOpeners::open_files() {
    Lock lock(mutex_);
    while (!stopping_) {
        ++idle_;
        path_waits_.wait(lock, [this] { return stopping_ || !tasks_.empty(); });
        --idle_;
        if (watcher_ == Watcher::called) {
            watch(lock);
        }
        while (!stopping_ && !tasks_.empty()) {
            open_next(lock);
        }
    }
}

/// Lets another thread open the paths that wait, for a moment.
void FileOpeners::watch(Lock& lock) {
    watcher_ = Watcher::there;
    lock.unlock();
    std::this_thread::sleep_for(watched_for);
    lock.lock();
    watcher_ = Watcher::none;
    if (!tasks_.empty()) {
        mean_ = std::max<Seconds>(mean_, watched_for);
    }
}

/// Opens the path that has waited longest.
void FileOpeners::open_next(Lock& lock) {
    const OpenTask task = std::move(tasks_.front());
    tasks_.pop_front();
    if (tasks_.empty()) {
        watcher_ = watcher_ == Watcher::called ? Watcher::none : watcher_;
    } else if (mean_ > quick) {
        call_thread();
    } else if (watcher_ == Watcher::none) {
        watcher_ = Watcher::called;
        call_thread();
    }
    hand_on(lock);
    lock.unlock();
    const auto begin = std::chrono::steady_clock::now();
    OpenedFile opened = open_(task);
    const Seconds took = std::chrono::steady_clock::now() - begin;
    lock.lock();
    mean_ += (took - mean_) / 8;
    opened_.push_back(std::move(opened));
    hand_on(lock);
}

/// Hands on what is opened, unless it is few and a thread is about to open more. So it is called
/// before a thread opens, and after.
void FileOpeners::hand_on(Lock& lock) {
    while (!handing_on_ && !opened_.empty() && (tasks_.empty() || opened_.size() >= max_opened)) {
        const auto count =
            static_cast<std::ptrdiff_t>(std::min<std::size_t>(opened_.size(), max_opened));
        std::vector<OpenedFile> files(std::make_move_iterator(opened_.begin()),
                                      std::make_move_iterator(opened_.begin() + count));
        opened_.erase(opened_.begin(), opened_.begin() + count);
        handing_on_ = true;
        lock.unlock();
        take_(std::move(files));
        lock.lock();
        handing_on_ = false;
        taken_ += static_cast<std::uint64_t>(count);
        all_taken_.notify_all();
    }
}

} // namespace vamhash
