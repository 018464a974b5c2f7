// The calling thread reads frames, ImageWorkers hash, and one more thread writes the answers: so
// reading never waits for writing, nor writing for reading (protocol/frame.h).
#include "engine/images_job.h"

#include "engine/hash_job.h"
#include "engine/image_workers.h"

#include <array>
#include <atomic>
#include <cstring>
#include <functional>
#include <new>
#include <optional>

namespace vamhash {

namespace {

using protocol::Fault;
using protocol::Operation;

/// A part of the arena that is complete.
struct ClosedPart {
    std::size_t place; // in the outcomes: it is told of before that one
    protocol::ArenaPart part;
};

/// Writes records to the channel on a thread of its own, many in a frame where they come quickly.
class RecordSender {
  public:
    RecordSender(Channel& channel, std::uint32_t id) : channel_(channel), id_(id) {
        // So many come at most, and to take one must not fail for want of memory.
        waiting_.reserve(protocol::max_images);
        closed_.reserve(protocol::max_parts);
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

    /// Takes a part of the arena, all of whose pictures have been taken.
    void take(protocol::ArenaPart part) {
        const std::lock_guard lock(mutex_);
        closed_.push_back({waiting_.size(), part});
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
    void send(std::span<const ImageOutcome> outcomes, std::span<const ClosedPart> closed);
    void append(const ImageOutcome& outcome);
    void send_frame();

    Channel& channel_;
    std::uint32_t id_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<ImageOutcome> waiting_;
    std::vector<ClosedPart> closed_;
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
    std::vector<ClosedPart> closed;
    outcomes.reserve(protocol::max_images);
    closed.reserve(protocol::max_parts);
    for (bool closing = false; !closing;) {
        {
            std::unique_lock lock(mutex_);
            changed_.wait(lock,
                          [this] { return closing_ || !waiting_.empty() || !closed_.empty(); });
            outcomes.swap(waiting_);
            closed.swap(closed_);
            closing = closing_;
        }
        try {
            send(outcomes, closed);
        } catch (const ChannelError&) {
            failed_ = true; // the reader will find the socket closed
        }
        outcomes.clear();
        closed.clear();
        if (!closing) {
            std::this_thread::sleep_for(pause);
        }
    }
}

void RecordSender::send(std::span<const ImageOutcome> outcomes,
                        std::span<const ClosedPart> closed) {
    if (failed_) {
        return;
    }
    for (std::size_t i = 0; i <= outcomes.size(); ++i) {
        for (; !closed.empty() && closed.front().place == i; closed = closed.subspan(1)) {
            send_frame();
            channel_.write_struct(Operation::batch, id_, closed.front().part);
        }
        if (i < outcomes.size()) {
            append(outcomes[i]);
        }
    }
    send_frame();
    channel_.flush();
}

/// What a record says is there of an image.
protocol::ImageHashed hashed_of(const ImageOutcome& outcome) {
    if (outcome.picture) {
        return protocol::ImageHashed::placed;
    }
    return outcome.hashed ? protocol::ImageHashed::yes : protocol::ImageHashed::no;
}

/// Puts a record into the frame.
void RecordSender::append(const ImageOutcome& outcome) {
    const std::string message = printable(outcome.message, protocol::max_image_message);
    const auto length = static_cast<std::uint32_t>(message.size());
    const protocol::ImageRecord record{
        .number = outcome.number,
        .status = static_cast<std::uint16_t>(outcome.status),
        .hashed = static_cast<std::uint8_t>(hashed_of(outcome)),
        .part = static_cast<std::uint8_t>(outcome.picture ? outcome.picture->place.part : 0),
        .message_length = length,
        .unused = 0,
        .result = outcome.hashed ? hash_result(outcome.image) : protocol::HashResult{},
        .picture = outcome.picture ? outcome.picture->picture : protocol::Picture{},
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
    if (used_ == 0) {
        return;
    }
    channel_.write(Operation::result, id_, std::span(frame_).first(used_));
    sent_ += used_;
    used_ = 0;
}

/// The arena of a request, from the moment it comes.
class RequestArena {
  public:
    RequestArena(std::unique_ptr<MappedArena>& held, RecordSender& sender)
        : held_(held), sender_(sender) {}
    RequestArena(const RequestArena&) = delete;
    RequestArena& operator=(const RequestArena&) = delete;
    ~RequestArena() {
        const bool goes = places_ && held_->arena().kept == 0;
        places_.reset();
        if (goes) {
            held_.reset();
        }
    }

    /// Reads ARENA. Where there is no room for it, images are hashed as without one.
    void read(Channel& channel, const protocol::FrameHeader& frame) {
        if (places_) {
            throw ChannelError("a request with two arenas");
        }
        try {
            take_arena(channel, frame, held_);
            places_.emplace(*held_, [this](std::uint32_t part, std::uint32_t pictures) {
                sender_.take(protocol::ArenaPart{part, pictures});
            });
        } catch (const std::bad_alloc&) {
            return;
        }
        shown_ = &*places_;
    }

    /// None before ARENA. On any thread.
    [[nodiscard]] PicturePlaces* places() const { return shown_; }

    /// Does something with the places, if there are any.
    template <typename Action>
    void with_places(const Action& action) const {
        if (PicturePlaces* const there = places()) {
            std::invoke(action, *there);
        }
    }

  private:
    std::unique_ptr<MappedArena>& held_;
    RecordSender& sender_;
    std::optional<PicturePlaces> places_;
    std::atomic<PicturePlaces*> shown_ = nullptr;
};

/// The reading side of a request.
class ImagesRequestReader {
  public:
    ImagesRequestReader(Channel& channel, const protocol::FrameHeader& begin,
                        const protocol::ImagesRequest& request, ImageWorkers& workers,
                        RecordSender& sender, RequestArena& arena)
        : channel_(channel), id_(begin.id), max_bytes_(request.max_bytes), workers_(workers),
          sender_(sender), arena_(arena) {}
    ImagesRequestReader(const ImagesRequestReader&) = delete;
    ImagesRequestReader& operator=(const ImagesRequestReader&) = delete;
    /// Workers may wait for room in the arena, of which only the reader would hear.
    ~ImagesRequestReader() { arena_.with_places(&PicturePlaces::let_go); }

    /// Reads the images up to END.
    void read() {
        for (;;) {
            const protocol::FrameHeader frame = next_frame();
            const auto operation = static_cast<Operation>(frame.operation);
            if (operation == Operation::end && frame.length == 0) {
                return;
            }
            read_frame(operation, frame);
        }
    }

  private:
    protocol::FrameHeader next_frame();
    void read_frame(Operation operation, const protocol::FrameHeader& frame);
    void read_image(const protocol::FrameHeader& frame);
    bool read_bytes(ImageTask& task, std::size_t in_frame);
    template <typename Action>
    bool with_memory(const Action& action);

    Channel& channel_;
    std::uint32_t id_;
    std::uint64_t max_bytes_;
    ImageWorkers& workers_;
    RecordSender& sender_;
    RequestArena& arena_;
};

void ImagesRequestReader::read_frame(Operation operation, const protocol::FrameHeader& frame) {
    if (operation == Operation::image) {
        read_image(frame);
    } else if (operation == Operation::arena) {
        arena_.read(channel_, frame);
    } else if (operation == Operation::free_part) {
        const auto part = channel_.read_struct<protocol::ArenaPart>(frame);
        arena_.with_places([&](PicturePlaces& places) { places.free(part.part); });
    } else {
        throw ChannelError("a request for many images has another frame");
    }
}

protocol::FrameHeader ImagesRequestReader::next_frame() {
    const auto frame = channel_.read_header(std::chrono::seconds(0));
    if (!frame || frame->id != id_) {
        throw ChannelError("a request ends without END");
    }
    return *frame;
}

/// Does what may throw std::bad_alloc. Then it waits until an image is finished and tries again;
/// false if none is left to be waited for. Meanwhile no image can wait for room in the arena.
template <typename Action>
bool ImagesRequestReader::with_memory(const Action& action) {
    for (;;) {
        try {
            action();
            return true;
        } catch (const std::bad_alloc&) {
            arena_.with_places(&PicturePlaces::let_go);
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
    task.to_arena = (header.flags & protocol::image_to_arena) != 0;
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
                      .picture = {},
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

void answer_images(Channel& channel, const protocol::FrameHeader& begin,
                   std::unique_ptr<MappedArena>& held) {
    const auto request = channel.read_struct<protocol::ImagesRequest>(begin);
    DecodeOptions options = decode_options(request.flags, request.max_pixels);
    options.keep_truncated = true;
    RecordSender sender(channel, begin.id);
    RequestArena arena(held, sender);
    const auto hash = [&](std::span<const std::uint8_t> image, bool to_arena) {
        if (to_arena && arena.places() != nullptr) {
            return place_image(image, request.wanted, options, *arena.places());
        }
        return PlacedImage{.image = hash_image(image, request.wanted, options), .picture = {}};
    };
    const auto take = [&](ImageOutcome outcome) {
        const std::optional<PlacedPicture> picture = outcome.picture;
        sender.take(std::move(outcome));
        if (picture) {
            arena.places()->put(picture->place);
        }
    };
    const auto note_idle = [&] { arena.with_places(&PicturePlaces::note_idle); };
    ImageWorkersReport report;
    {
        ImageWorkers workers(request.threads, hash, take, note_idle);
        ImagesRequestReader(channel, begin, request, workers, sender, arena).read();
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
