#include "engine/pictures_job.h"

#include "engine/arena_picture.h"
#include "engine/memory.h"
#include "hash/device_hasher.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace vamhash {

namespace {

using protocol::Operation;
using protocol::PictureStatus;

using Hashes = std::vector<std::optional<ImageHashes>>;

template <std::size_t size>
void copy_words(char (&target)[size], const std::string& text) {
    const std::string words = printable(text, size - 1);
    words.copy(target, size - 1);
}

/// One request.
class PicturesRequest {
  public:
    PicturesRequest(Channel& channel, const protocol::FrameHeader& begin, EngineDevice& device,
                    std::unique_ptr<MappedArena>& held)
        : channel_(channel), id_(begin.id), engine_(device), held_(held),
          request_(channel.read_struct<protocol::PicturesRequest>(begin)),
          source_(device, channel, begin, request_.device) {}
    PicturesRequest(const PicturesRequest&) = delete;
    PicturesRequest& operator=(const PicturesRequest&) = delete;
    ~PicturesRequest() {
        hasher_.reset();
        if (held_ && held_->arena().kept == 0) {
            drop_arena();
        }
    }

    void answer();

  private:
    [[nodiscard]] bool must_use_device() const {
        return request_.device.use == static_cast<std::uint32_t>(protocol::DeviceUse::on);
    }
    void take_device();
    void load_jpeg_decoder(Device& device, protocol::DeviceReady& ready);
    void note_failure(const std::exception& error);
    void take_new_arena(const protocol::FrameHeader& frame);
    void drop_arena();
    void read_batch(const protocol::FrameHeader& frame);
    std::optional<Hashes> hash(std::span<const DevicePicture> pictures);
    void send(std::span<const protocol::PictureHashes> records);

    Channel& channel_;
    const std::uint32_t id_;
    EngineDevice& engine_;
    std::unique_ptr<MappedArena>& held_;
    const protocol::PicturesRequest request_;
    RequestDevice source_;
    std::optional<DeviceHasher> hasher_;
    bool takes_files_ = false; // of JPEGs
    protocol::PicturesDone report_{};
    std::chrono::duration<double> hashing_{};
};

/// Gets ready for JPEG files, or says why they are not for this device.
void PicturesRequest::load_jpeg_decoder(Device& device, protocol::DeviceReady& ready) {
    if (request_.jpeg_files == 0) {
        copy_words(ready.no_jpeg_files, "nobody has asked for that");
        return;
    }
    try {
        device.load_jpeg_decoder();
        takes_files_ = true;
    } catch (const NoJpegDecoder& error) {
        copy_words(ready.no_jpeg_files, error.what());
    }
}

/// Takes the device, if there is one, and tells of it.
void PicturesRequest::take_device() {
    protocol::DeviceReady ready{};
    try {
        Device& device = source_.take();
        device.take_peak_bytes();
        load_jpeg_decoder(device, ready);
        hasher_.emplace(device, request_.wanted, request_.device.memory_limit);
        copy_words(ready.device, device.name());
    } catch (const NoDevice& error) {
        if (must_use_device()) {
            throw;
        }
        copy_words(ready.reason, error.what() + std::string(": ") + error.detail());
    } catch (const std::runtime_error& error) {
        note_failure(error);
        copy_words(ready.reason, error.what());
    }
    ready.memory_bytes = available_memory();
    report_.done.result_bytes += sizeof ready;
    channel_.write_struct(Operation::result, id_, ready);
    channel_.flush();
}

/// The device is not used any more. Called while its exception is handled, which it throws again
/// where the device must be used.
void PicturesRequest::note_failure(const std::exception& error) {
    hasher_.reset();
    if (engine_.device) {
        report_.device_bytes = engine_.device->take_peak_bytes();
        source_.discard(error.what());
    }
    if (must_use_device()) {
        throw;
    }
    report_.failures++;
    copy_words(report_.failure, error.what());
}

void PicturesRequest::drop_arena() {
    engine_.pinned.reset();
    held_.reset();
}

void PicturesRequest::take_new_arena(const protocol::FrameHeader& frame) {
    take_arena(channel_, frame, held_, [this] { engine_.pinned.reset(); });
    if (engine_.device && !engine_.pinned) {
        engine_.pinned.emplace(*engine_.device, std::as_bytes(held_->bytes()));
    }
}

std::optional<Hashes> PicturesRequest::hash(std::span<const DevicePicture> pictures) {
    if (!hasher_) {
        return std::nullopt;
    }
    try {
        return hasher_->hash(pictures);
    } catch (const std::exception& error) { // of the device, or want of the host's memory
        note_failure(error);
    }
    return std::nullopt;
}

/// Reads a batch and answers it.
void PicturesRequest::read_batch(const protocol::FrameHeader& frame) {
    const auto arrived = std::chrono::steady_clock::now();
    protocol::PictureBatch batch{};
    if (frame.length < sizeof batch) {
        throw ChannelError("a batch without its header");
    }
    channel_.read_payload(std::as_writable_bytes(std::span(&batch, 1)));
    if (!held_ || batch.part >= held_->arena().parts || batch.pictures < 1 ||
        batch.pictures > protocol::max_images ||
        frame.length != sizeof batch + batch.pictures * sizeof(protocol::Picture)) {
        throw ChannelError("a batch that cannot be");
    }
    std::vector<protocol::Picture> records(batch.pictures);
    channel_.read_payload(std::as_writable_bytes(std::span(records)));
    std::vector<DevicePicture> pictures;
    std::vector<protocol::PictureHashes> answers(records.size());
    auto answer = answers.begin();
    for (const auto& picture : pictures_of(records, held_->part(batch.part), takes_files_)) {
        answer++->status =
            static_cast<std::uint32_t>(picture ? PictureStatus::failed : PictureStatus::impossible);
        if (picture) {
            pictures.push_back(*picture);
        }
    }
    if (const std::optional<Hashes> hashes = hash(pictures)) {
        auto own = hashes->begin();
        for (protocol::PictureHashes& answer : answers) {
            if (answer.status == static_cast<std::uint32_t>(PictureStatus::impossible)) {
                continue;
            }
            answer.status = static_cast<std::uint32_t>(PictureStatus::left);
            if (const std::optional<ImageHashes>& image = *own++) {
                answer = {.status = static_cast<std::uint32_t>(PictureStatus::hashed),
                          .unused = 0,
                          .dhash = image->dhash,
                          .ahash = image->ahash,
                          .whash = image->whash,
                          .phash = image->phash,
                          .whash16 = image->whash16};
                ++report_.pictures;
            }
        }
    }
    ++report_.batches;
    send(answers);
    hashing_ += std::chrono::steady_clock::now() - arrived;
}

/// Sends the answers of a batch.
void PicturesRequest::send(std::span<const protocol::PictureHashes> records) {
    constexpr std::size_t most = protocol::max_image_results / sizeof(protocol::PictureHashes);
    report_.done.result_bytes += records.size_bytes();
    for (; !records.empty(); records = records.subspan(std::min(most, records.size()))) {
        channel_.write(Operation::result, id_,
                       std::as_bytes(records.first(std::min(most, records.size()))));
    }
    channel_.flush();
}

void PicturesRequest::answer() {
    take_device();
    for (;;) {
        const auto frame = channel_.read_header(std::chrono::seconds(0));
        if (!frame || frame->id != id_) {
            throw ChannelError("a request ends without END");
        }
        const auto operation = static_cast<Operation>(frame->operation);
        if (operation == Operation::end && frame->length == 0) {
            break;
        }
        if (operation == Operation::arena) {
            take_new_arena(*frame);
        } else if (operation == Operation::pictures) {
            read_batch(*frame);
        } else {
            throw ChannelError("a request to hash pictures has another frame");
        }
    }
    if (engine_.device) {
        report_.device_bytes = engine_.device->take_peak_bytes();
    }
    report_.device_seconds = hashing_.count();
    report_.holds_device = engine_.is_held() ? 1 : 0;
    hasher_.reset();
    channel_.write_struct(Operation::done, id_, report_);
}

} // namespace

void answer_pictures(Channel& channel, const protocol::FrameHeader& begin, EngineDevice& device,
                     std::unique_ptr<MappedArena>& held) {
    PicturesRequest(channel, begin, device, held).answer();
}

} // namespace vamhash
