// The calling thread reads frames, ImageWorkers hash, and one more thread writes the answers: so
// reading never waits for writing, nor writing for reading (protocol/frame.h).
#include "engine/images_job.h"

#include "engine/hash_job.h"
#include "engine/image_workers.h"

#include <array>
#include <cstring>
#include <new>

namespace vamhash {

namespace {

using protocol::Fault;
using protocol::Operation;

/// Writes records to the channel on a thread of its own, many in a frame where they come quickly.
class RecordSender {
  public:
    RecordSender(Channel& channel, std::uint32_t id) : channel_(channel), id_(id) {
        // So many come at most, and to take one must not fail for want of memory.
        waiting_.reserve(protocol::max_images);
        thread_ = std::thread([this] { run(); });
    }
    ~RecordSender() { close(); }
    RecordSender(const RecordSender&) = delete;
    RecordSender& operator=(const RecordSender&) = delete;

    /// Takes what became of an image.
    void take(ImageOutcome outcome) {
        const std::lock_guard lock(mutex_);
        waiting_.push_back(std::move(outcome));
        changed_.notify_one();
    }

    /// Sends what is left and ends the thread. Returns the bytes sent in all.
    std::uint64_t close() {
        if (thread_.joinable()) {
            {
                const std::lock_guard lock(mutex_);
                closing_ = true;
            }
            changed_.notify_one();
            thread_.join();
        }
        return sent_;
    }

    /// Whether the backend cannot be reached any more.
    [[nodiscard]] bool failed() const { return failed_; }

  private:
    /// How long small images are collected. It is a fraction of what one takes.
    static constexpr std::chrono::microseconds pause{100};

    void run();
    void send(std::span<const ImageOutcome> outcomes);
    void append(const ImageOutcome& outcome);
    void send_frame();

    Channel& channel_;
    std::uint32_t id_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<ImageOutcome> waiting_;
    bool closing_ = false;
    bool failed_ = false; // for the thread; for others once it has ended
    std::array<std::byte, protocol::max_image_results> frame_{};
    std::size_t used_ = 0;
    std::uint64_t sent_ = 0;
    std::thread thread_;
};

/// The thread's life.
void RecordSender::run() {
    std::vector<ImageOutcome> outcomes;
    outcomes.reserve(protocol::max_images);
    for (bool closing = false; !closing;) {
        {
            std::unique_lock lock(mutex_);
            changed_.wait(lock, [this] { return closing_ || !waiting_.empty(); });
            outcomes.swap(waiting_);
            closing = closing_;
        }
        try {
            send(outcomes);
        } catch (const ChannelError&) {
            failed_ = true; // the reader will find the socket closed
        }
        outcomes.clear();
        if (!closing) {
            std::this_thread::sleep_for(pause);
        }
    }
}

void RecordSender::send(std::span<const ImageOutcome> outcomes) {
    if (failed_ || outcomes.empty()) {
        return;
    }
    for (const ImageOutcome& outcome : outcomes) {
        append(outcome);
    }
    send_frame();
    channel_.flush();
}

/// Puts a record into the frame.
void RecordSender::append(const ImageOutcome& outcome) {
    const std::string message = printable(outcome.message, protocol::max_image_message);
    const auto length = static_cast<std::uint32_t>(message.size());
    const protocol::ImageRecord record{
        .number = outcome.number,
        .status = static_cast<std::uint16_t>(outcome.status),
        .hashed = outcome.hashed ? std::uint8_t{1} : std::uint8_t{0},
        .unused = 0,
        .message_length = length,
        .unused_too = 0,
        .result = outcome.hashed ? hash_result(outcome.image) : protocol::HashResult{},
    };
    const std::size_t size = protocol::image_record_size(length);
    if (used_ + size > frame_.size()) {
        send_frame();
    }
    std::byte* place = frame_.data() + used_;
    std::memset(place, 0, size);
    std::memcpy(place, &record, sizeof record);
    std::memcpy(place + sizeof record, message.data(), length);
    used_ += size;
}

void RecordSender::send_frame() {
    channel_.write(Operation::result, id_, std::span(frame_).first(used_));
    sent_ += used_;
    used_ = 0;
}

/// The reading side of a request.
class ImagesRequestReader {
  public:
    ImagesRequestReader(Channel& channel, const protocol::FrameHeader& begin,
                        const protocol::ImagesRequest& request, ImageWorkers& workers,
                        RecordSender& sender)
        : channel_(channel), id_(begin.id), max_bytes_(request.max_bytes), workers_(workers),
          sender_(sender) {}

    /// Reads the images up to END.
    void read() {
        for (;;) {
            const protocol::FrameHeader frame = next_frame();
            const auto operation = static_cast<Operation>(frame.operation);
            if (operation == Operation::end && frame.length == 0) {
                return;
            }
            if (operation != Operation::image) {
                throw ChannelError("a request for many images has another frame");
            }
            read_image(frame);
        }
    }

  private:
    protocol::FrameHeader next_frame();
    void read_image(const protocol::FrameHeader& frame);
    bool read_bytes(ImageTask& task, std::size_t in_frame);
    template <typename Action>
    bool with_memory(const Action& action);

    Channel& channel_;
    std::uint32_t id_;
    std::uint64_t max_bytes_;
    ImageWorkers& workers_;
    RecordSender& sender_;
};

protocol::FrameHeader ImagesRequestReader::next_frame() {
    const auto frame = channel_.read_header(std::chrono::seconds(0));
    if (!frame || frame->id != id_) {
        throw ChannelError("a request ends without END");
    }
    return *frame;
}

/// Does what may throw std::bad_alloc. Then it waits until an image is finished and tries again;
/// false if none is left to be waited for.
template <typename Action>
bool ImagesRequestReader::with_memory(const Action& action) {
    for (;;) {
        try {
            action();
            return true;
        } catch (const std::bad_alloc&) {
            if (!workers_.await_one()) {
                return false;
            }
        }
    }
}

/// Reads one image and gives it to the workers.
void ImagesRequestReader::read_image(const protocol::FrameHeader& frame) {
    protocol::ImageHeader header{};
    if (frame.length < sizeof header) {
        throw ChannelError("an image without its header");
    }
    channel_.read_payload(std::as_writable_bytes(std::span(&header, 1)));
    if (header.length > max_bytes_) {
        throw ChannelError("an image has more bytes than are allowed");
    }
    ImageTask task;
    task.number = header.number;
    task.length = header.length;
    bool taken = true;
    if ((header.flags & protocol::image_is_file) != 0) {
        task.file = channel_.take_descriptor();
        if (task.file.number() < 0 || frame.length != sizeof header) {
            throw ChannelError("a file without its descriptor");
        }
    } else {
        taken = read_bytes(task, frame.length - sizeof header);
    }
    taken = taken && with_memory([&] { workers_.put(std::move(task)); });
    if (!taken) {
        sender_.take({.number = header.number,
                      .status = Fault::out_of_memory,
                      .hashed = false,
                      .image = {},
                      .message = "out of memory"});
    }
}

/// Reads an image's bytes, the first of which are in the frame that was begun; false if there is no
/// memory for them: then they are skipped.
bool ImagesRequestReader::read_bytes(ImageTask& task, std::size_t in_frame) {
    const bool have_memory = with_memory([&] { task.bytes = image_memory(task.length); });
    std::size_t have = 0;
    for (;;) {
        if (in_frame > task.length - have) {
            throw ChannelError("an image is longer than its header says");
        }
        if (have_memory) {
            channel_.read_payload(
                std::as_writable_bytes(std::span(task.bytes.get() + have, in_frame)));
        } else {
            channel_.skip_payload(in_frame);
        }
        have += in_frame;
        if (have == task.length) {
            return have_memory;
        }
        const protocol::FrameHeader frame = next_frame();
        if (static_cast<Operation>(frame.operation) != Operation::data || frame.length == 0) {
            throw ChannelError("an image is shorter than its header says");
        }
        in_frame = frame.length;
    }
}

} // namespace

void answer_images(Channel& channel, const protocol::FrameHeader& begin) {
    const auto request = channel.read_struct<protocol::ImagesRequest>(begin);
    DecodeOptions options = decode_options(request.flags, request.max_pixels);
    options.keep_truncated = true;
    RecordSender sender(channel, begin.id);
    ImageWorkersReport report;
    {
        ImageWorkers workers(
            request.threads,
            [&](std::span<const std::uint8_t> image) {
                return hash_image(image, request.wanted, options);
            },
            [&](ImageOutcome outcome) { sender.take(std::move(outcome)); });
        ImagesRequestReader(channel, begin, request, workers, sender).read();
        report = workers.finish();
    }
    const std::uint64_t sent = sender.close();
    if (sender.failed()) {
        throw ChannelError("the backend closed the socket inside a request");
    }
    channel.write_struct(Operation::done, begin.id,
                         protocol::ImagesDone{.done = {.result_bytes = sent},
                                              .images = report.images,
                                              .reading_seconds = report.reading.count(),
                                              .decoding_seconds = report.decoding.count(),
                                              .threads = report.threads,
                                              .unused = 0});
}

} // namespace vamhash
