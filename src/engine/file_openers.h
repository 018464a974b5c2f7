// The threads that open files.
//
// Each open() may take milliseconds, or never end, so that every path that waits must find a
// thread: one that takes a path and sees another waiting calls one more. But of local files an
// open() takes a fraction of what it costs to call a thread. While the last ones were quick one
// thread opens all, and the one that it calls watches: it takes a path only where some still wait
// after a moment.
//
// Answers are handed on many at once where they come quickly, but none waits for an open().
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include "engine/descriptor.h"
#include "protocol/frame.h"

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace vamhash {

/// A path to be opened.
struct OpenTask {
    std::uint32_t number = 0;
    bool folder = false; // only to know where it is
    std::string path;
};

/// What became of it.
struct OpenedFile {
    std::uint32_t number = 0;
    int error = 0; // errno; else `file` is open
    Descriptor file;
};

/// Opens a file, or the folder that it is.
OpenedFile open_file(const OpenTask& task);

class FileOpeners {
  public:
    /// Opens one, on any thread, beside others; must not throw.
    using Open = std::function<OpenedFile(const OpenTask& task)>;
    /// Takes some opened files, max_opened at most. Calls come one after the other, on any thread;
    /// must not throw.
    using Take = std::function<void(std::vector<OpenedFile>&& files)>;

    FileOpeners(Open open, Take take);
    /// Waits for files that are being opened; paths that wait are dropped.
    ~FileOpeners();
    FileOpeners(const FileOpeners&) = delete;
    FileOpeners& operator=(const FileOpeners&) = delete;

    /// Gives a path. Calls come from one thread.
    void put(OpenTask task);

    /// Waits until all are opened and taken.
    void finish();

  private:
    using Lock = std::unique_lock<std::mutex>;
    using Seconds = std::chrono::duration<double>;

    enum class Watcher { none, called, there };

    void call_thread();
    void open_files();
    void watch(Lock& lock);
    void open_next(Lock& lock);
    void hand_on(Lock& lock);

    const Open open_;
    const Take take_;
    std::mutex mutex_;
    std::condition_variable path_waits_;
    std::condition_variable all_taken_;
    std::deque<OpenTask> tasks_;
    std::vector<OpenedFile> opened_;
    bool handing_on_ = false; // a thread is
    bool stopping_ = false;
    Watcher watcher_ = Watcher::none;
    Seconds mean_{}; // time of an open(), the last ones counting most
    unsigned idle_ = 0;
    std::uint64_t put_ = 0;
    std::uint64_t taken_ = 0;
    std::vector<std::thread> threads_;
};

} // namespace vamhash
