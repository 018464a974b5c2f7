// The threads that read and hash many images.
//
// Decoders hash images, the one that was put first before others. Readers, of whom there are more,
// fetch those that are files, ahead of the decoders: a file server answers each in milliseconds,
// but many at once. What they hold is bounded: they begin a file when it and what was read and not
// hashed yet stay within kept_image_bytes() together, or alone if it is larger.
//
// Memory. The process's limit (sandbox.h) is for one image as large as may be, and N of them want N
// times as much. What an image needs is known only by decoding it: most give their rows one by one
// and hold nothing, the same picture in a progressive file holds gigabytes. So decoders run into
// the limit, which holds whatever they do, and an image for which there was no memory is hashed
// again while no other one is. Only if it then fails is it too large for the limit.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include "engine/descriptor.h"
#include "engine/place_image.h"
#include "protocol/frame.h"

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace vamhash {

/// An encoded image, or the file that holds it.
struct ImageTask {
    std::uint32_t number = 0;
    std::size_t length = 0;
    std::unique_ptr<std::uint8_t[]> bytes; // of this length, where there is no file
    Descriptor file;
    bool to_arena = false; // its picture may be put there

    [[nodiscard]] std::span<const std::uint8_t> image() const { return {bytes.get(), length}; }
};

/// What became of it.
struct ImageOutcome {
    std::uint32_t number = 0;
    protocol::Fault status = protocol::Fault::none;
    bool hashed = false; // none, or truncated but with a picture; or it is in the arena
    HashedImage image;
    std::optional<PlacedPicture> picture;
    std::string message; // what is wrong
};

/// What was done in all, with time summed over the threads.
struct ImageWorkersReport {
    unsigned threads = 0; // that hash
    std::uint64_t images = 0;
    std::chrono::duration<double> reading{};
    std::chrono::duration<double> decoding{};
};

/// Memory for so many bytes that are not cleared.
std::unique_ptr<std::uint8_t[]> image_memory(std::size_t length);

class ImageWorkers {
  public:
    /// Hashes one image, or puts its picture into the arena if it may; throws what hash_image()
    /// does.
    using Hash = std::function<PlacedImage(std::span<const std::uint8_t> image, bool to_arena)>;
    /// Takes an outcome, on any thread; must not throw.
    using Take = std::function<void(ImageOutcome outcome)>;
    /// Told, on any thread, that all images that were put are finished; must not throw.
    using Idle = std::function<void()>;

    /// `threads` is the number of decoders; they begin as they are needed.
    ImageWorkers(unsigned threads, Hash hash, Take take, Idle idle = {});
    /// Waits for images in the middle of being hashed; others are dropped.
    ~ImageWorkers();
    ImageWorkers(const ImageWorkers&) = delete;
    ImageWorkers& operator=(const ImageWorkers&) = delete;

    /// Gives an image, which is left as it was if this throws. Calls come from one thread.
    void put(ImageTask&& task);

    /// Waits until one more image is finished, so that its memory is free; false if there is none.
    bool await_one();

    /// Waits until all are finished.
    ImageWorkersReport finish();

  private:
    using Tasks = std::map<std::uint64_t, ImageTask>; // in the order in which they were put
    using Lock = std::unique_lock<std::mutex>;
    using Clock = std::chrono::steady_clock;

    void start_thread(void (ImageWorkers::*work)());
    void read_files();
    void hash_images();
    [[nodiscard]] bool may_read() const;
    [[nodiscard]] Tasks::node_type next_image(bool& alone);
    void read(Lock& lock, Tasks::node_type task);
    void hash(Lock& lock, Tasks::node_type task, bool alone);
    void end(Lock& lock, Tasks::node_type task, ImageOutcome outcome);

    const unsigned max_decoders_;
    const unsigned max_readers_;
    const std::size_t max_held_bytes_;
    const Hash hash_;
    const Take take_;
    const Idle idle_;

    std::mutex mutex_;
    std::condition_variable file_waits_;  // for readers
    std::condition_variable image_waits_; // for decoders
    std::condition_variable image_ended_;
    Tasks files_;     // to be read
    Tasks images_;    // to be hashed
    Tasks remaining_; // to be hashed alone
    std::uint64_t put_ = 0;
    std::uint64_t ended_ = 0;
    std::size_t held_bytes_ = 0; // of files, being read or read, not ended
    unsigned hashing_ = 0;       // images
    bool alone_ = false;         // the one that is being hashed
    bool stopping_ = false;
    unsigned idle_readers_ = 0;
    unsigned idle_decoders_ = 0;
    unsigned readers_ = 0;
    unsigned decoders_ = 0;
    ImageWorkersReport report_;
    std::vector<std::thread> threads_;
};

} // namespace vamhash
