#include "engine/image_workers.h"

#include <algorithm>
#include <cerrno>
#include <new>
#include <system_error>
#include <utility>

namespace vamhash {

namespace {

using protocol::Fault;

/// Readers for each decoder: where a file takes 4 times as long to fetch as to hash, decoders do
/// not wait for one.
constexpr unsigned readers_per_decoder = 4;
constexpr unsigned most_readers = 64;

/// A file could not be read.
class ReadError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// Reads at an offset; returns fewer bytes only at the end of the file.
std::size_t read_at(int file, std::span<std::uint8_t> bytes, std::size_t offset) {
    std::size_t have = 0;
    while (have < bytes.size()) {
        const ssize_t got = pread(file, bytes.data() + have, bytes.size() - have,
                                  static_cast<off_t>(offset + have));
        if (got == 0) {
            break;
        }
        if (got < 0 && errno != EINTR) {
            throw ReadError("could not be read: " + std::generic_category().message(errno));
        }
        have += static_cast<std::size_t>(std::max<ssize_t>(got, 0));
    }
    return have;
}

/// Reads a file that must have exactly this length.
std::unique_ptr<std::uint8_t[]> read_file(int file, std::size_t length) {
    auto bytes = image_memory(length);
    std::uint8_t beyond = 0;
    if (read_at(file, {bytes.get(), length}, 0) != length ||
        read_at(file, {&beyond, 1}, length) != 0) {
        throw ReadError("changed while it was read");
    }
    return bytes;
}

ImageOutcome failure(Fault status, std::string message) {
    return {.number = 0,
            .status = status,
            .hashed = false,
            .image = {},
            .picture = {},
            .message = std::move(message)};
}

/// Hashes an image; throws std::bad_alloc where there was no memory for it.
ImageOutcome outcome_of(const ImageWorkers::Hash& hash, std::span<const std::uint8_t> image,
                        bool to_arena) {
    try {
        PlacedImage placed = hash(image, to_arena);
        // Nothing may throw any more: a picture that is placed must be put.
        std::string message = std::move(placed.image.info.truncated);
        const bool truncated = !message.empty();
        return {.number = 0,
                .status = truncated ? Fault::image_truncated : Fault::none,
                .hashed = true,
                .image = std::move(placed.image),
                .picture = placed.picture,
                .message = std::move(message)};
    } catch (const ImageError& error) {
        if (error.status() == ImageStatus::out_of_memory) {
            throw std::bad_alloc();
        }
        return failure(static_cast<Fault>(error.status()), error.what());
    } catch (const std::bad_alloc&) {
        throw;
    } catch (const std::exception& error) {
        return failure(Fault::internal, error.what());
    }
}

} // namespace

std::unique_ptr<std::uint8_t[]> image_memory(std::size_t length) {
    return std::make_unique_for_overwrite<std::uint8_t[]>(length);
}

ImageWorkers::ImageWorkers(unsigned threads, Hash hash, Take take, Idle idle)
    : max_decoders_(std::max(threads, 1U)),
      max_readers_(std::min(max_decoders_ * readers_per_decoder, most_readers)),
      max_held_bytes_(protocol::kept_image_bytes(max_decoders_)), hash_(std::move(hash)),
      take_(std::move(take)), idle_(std::move(idle)) {
    threads_.reserve(max_decoders_ + max_readers_);
}

ImageWorkers::~ImageWorkers() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    file_waits_.notify_all();
    image_waits_.notify_all();
    for (std::thread& thread : threads_) {
        thread.join();
    }
}

/// Begins a thread. One that the system refuses is done without, unless it is the first of its
/// kind.
void ImageWorkers::start_thread(void (ImageWorkers::*work)()) {
    unsigned& count = work == &ImageWorkers::read_files ? readers_ : decoders_;
    try {
        threads_.emplace_back(work, this);
        ++count;
    } catch (const std::system_error&) {
        if (count == 0) {
            throw std::bad_alloc();
        }
    }
}

void ImageWorkers::put(ImageTask&& task) {
    const bool is_file = task.file.number() >= 0;
    const std::lock_guard lock(mutex_);
    // A thread first: if that fails, nothing has happened yet.
    if (is_file && idle_readers_ <= files_.size() && readers_ < max_readers_) {
        start_thread(&ImageWorkers::read_files);
    }
    if (idle_decoders_ <= images_.size() && decoders_ < max_decoders_) {
        start_thread(&ImageWorkers::hash_images);
    }
    Tasks& tasks = is_file ? files_ : images_;
    tasks.try_emplace(put_, std::move(task));
    ++put_;
    (is_file ? file_waits_ : image_waits_).notify_one();
}

bool ImageWorkers::await_one() {
    Lock lock(mutex_);
    if (put_ == ended_) {
        return false;
    }
    image_ended_.wait(lock, [this, before = ended_] { return ended_ > before; });
    return true;
}

ImageWorkersReport ImageWorkers::finish() {
    Lock lock(mutex_);
    image_ended_.wait(lock, [this] { return ended_ == put_; });
    report_.images = ended_;
    report_.threads = std::max(decoders_, 1U);
    return report_;
}

/// Whether the next file may be read now.
bool ImageWorkers::may_read() const {
    return !files_.empty() &&
           (held_bytes_ == 0 || held_bytes_ + files_.begin()->second.length <= max_held_bytes_);
}

/// A reader's life.
void ImageWorkers::read_files() {
    Lock lock(mutex_);
    for (;;) {
        ++idle_readers_;
        file_waits_.wait(lock, [this] { return stopping_ || may_read(); });
        --idle_readers_;
        if (stopping_) {
            return;
        }
        auto task = files_.extract(files_.begin());
        held_bytes_ += task.mapped().length;
        if (may_read()) {
            file_waits_.notify_one();
        }
        read(lock, std::move(task));
    }
}

/// Reads one file and passes it on to the decoders.
void ImageWorkers::read(Lock& lock, Tasks::node_type task) {
    ImageOutcome failed;
    lock.unlock();
    const auto begin = Clock::now();
    try {
        task.mapped().bytes = read_file(task.mapped().file.number(), task.mapped().length);
    } catch (const ReadError& error) {
        failed = failure(Fault::image_unreadable, error.what());
    } catch (const std::bad_alloc&) {
        // It is read when it is hashed alone.
    }
    const auto took = Clock::now() - begin;
    lock.lock();
    report_.reading += took;
    if (failed.status != Fault::none) {
        end(lock, std::move(task), std::move(failed));
        return;
    }
    (task.mapped().bytes ? images_ : remaining_).insert(std::move(task));
    image_waits_.notify_one();
}

/// The next image to be hashed; empty where there is none, or none may be begun now.
ImageWorkers::Tasks::node_type ImageWorkers::next_image(bool& alone) {
    alone = !remaining_.empty();
    if (alone_ || (alone && hashing_ > 0)) {
        return {};
    }
    Tasks& tasks = alone ? remaining_ : images_;
    return tasks.empty() ? Tasks::node_type() : tasks.extract(tasks.begin());
}

/// A decoder's life.
void ImageWorkers::hash_images() {
    Lock lock(mutex_);
    for (;;) {
        Tasks::node_type task;
        bool alone = false;
        ++idle_decoders_;
        image_waits_.wait(lock, [&] {
            task = next_image(alone);
            return stopping_ || !task.empty();
        });
        --idle_decoders_;
        if (stopping_) {
            return;
        }
        hash(lock, std::move(task), alone);
    }
}

/// Hashes one image. One for which there was no memory remains, to be hashed alone.
void ImageWorkers::hash(Lock& lock, Tasks::node_type task, bool alone) {
    ImageTask& image = task.mapped();
    ImageOutcome outcome;
    bool out_of_memory = false;
    ++hashing_;
    alone_ = alone;
    lock.unlock();
    const auto begin = Clock::now();
    try {
        if (!image.bytes) {
            image.bytes = read_file(image.file.number(), image.length);
        }
        outcome = outcome_of(hash_, image.image(), image.to_arena && !alone);
    } catch (const ReadError& error) {
        outcome = failure(Fault::image_unreadable, error.what());
    } catch (const std::bad_alloc&) {
        out_of_memory = true;
    }
    const auto took = Clock::now() - begin;
    lock.lock();
    report_.decoding += took;
    --hashing_;
    alone_ = false;
    if (out_of_memory && !alone) {
        remaining_.insert(std::move(task));
    } else {
        if (out_of_memory) {
            outcome = failure(Fault::out_of_memory, "out of memory");
        }
        end(lock, std::move(task), std::move(outcome));
    }
    if (alone || !remaining_.empty()) {
        image_waits_.notify_all();
    }
}

/// Frees an image and gives its outcome away.
void ImageWorkers::end(Lock& lock, Tasks::node_type task, ImageOutcome outcome) {
    const std::size_t held = task.mapped().file.number() >= 0 ? task.mapped().length : 0;
    outcome.number = task.mapped().number;
    lock.unlock();
    task = {};
    take_(std::move(outcome));
    lock.lock();
    held_bytes_ -= held;
    ++ended_;
    if (idle_ && ended_ == put_) {
        idle_();
    }
    if (held > 0 && may_read()) {
        file_waits_.notify_one();
    }
    image_ended_.notify_all();
}

} // namespace vamhash
