// The calling thread reads paths and the openers' threads send what they have opened: so reading
// never waits for an open() nor for writing (protocol/frame.h).
//
// When the conversation breaks, the threads are waited for, which a dead file server may keep. A
// backend that drops its end also kills this process, or has it end by dying (engine/process.h).
#include "engine/open_job.h"

#include "engine/file_openers.h"

#include <cstring>
#include <utility>

namespace vamhash {

namespace {

using protocol::Operation;

/// Sends opened files to the backend.
class OpenedSender {
  public:
    OpenedSender(Channel& channel, std::uint32_t id) : channel_(channel), id_(id) {}

    /// Sends one frame and closes its files.
    void send(std::vector<OpenedFile>&& files) {
        const std::vector<OpenedFile> closed_at_end = std::move(files);
        std::vector<protocol::OpenRecord> records;
        std::vector<int> descriptors;
        for (const OpenedFile& file : closed_at_end) {
            records.push_back(
                {.number = file.number, .error = static_cast<std::uint32_t>(file.error)});
            if (file.error == 0) {
                descriptors.push_back(file.file.number());
            }
        }
        const auto payload = std::as_bytes(std::span(records));
        try {
            channel_.send_with(Operation::result, id_, payload, descriptors);
        } catch (const ChannelError&) {
            failed_ = true; // the reader will find the socket closed
        }
        sent_ += payload.size();
    }

    /// Bytes sent in all, and whether the backend cannot be reached any more; not while send() may
    /// run.
    [[nodiscard]] std::uint64_t sent() const { return sent_; }
    [[nodiscard]] bool failed() const { return failed_; }

  private:
    Channel& channel_;
    std::uint32_t id_;
    std::uint64_t sent_ = 0;
    bool failed_ = false;
};

/// Reads the path of a frame.
OpenTask read_path(Channel& channel, const protocol::FrameHeader& frame) {
    protocol::PathHeader header{};
    if (frame.length < sizeof header || frame.length > sizeof header + protocol::max_path) {
        throw ChannelError("a path has a wrong length");
    }
    channel.read_payload(std::as_writable_bytes(std::span(&header, 1)));
    OpenTask task{.number = header.number,
                  .folder = (header.flags & protocol::open_folder) != 0,
                  .path = std::string(frame.length - sizeof header, '\0')};
    channel.read_payload(std::as_writable_bytes(std::span(task.path)));
    return task;
}

/// Reads paths up to END.
void read_paths(Channel& channel, std::uint32_t id, FileOpeners& openers) {
    for (;;) {
        const auto frame = channel.read_header(std::chrono::seconds(0));
        if (!frame || frame->id != id) {
            throw ChannelError("a request ends without END");
        }
        const auto operation = static_cast<Operation>(frame->operation);
        if (operation == Operation::end && frame->length == 0) {
            return;
        }
        if (operation != Operation::path) {
            throw ChannelError("a request to open files has another frame");
        }
        openers.put(read_path(channel, *frame));
    }
}

} // namespace

void answer_open(Channel& channel, const protocol::FrameHeader& begin) {
    if (begin.length != 0) {
        throw ChannelError("a request's parameters have the wrong size");
    }
    OpenedSender sender(channel, begin.id);
    {
        FileOpeners openers(
            open_file, [&](std::vector<OpenedFile>&& files) { sender.send(std::move(files)); });
        read_paths(channel, begin.id, openers);
        openers.finish();
    }
    if (sender.failed()) {
        throw ChannelError("the backend closed the socket inside a request");
    }
    channel.write_struct(Operation::done, begin.id, protocol::Done{.result_bytes = sender.sent()});
}

} // namespace vamhash
