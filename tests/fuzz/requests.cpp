// An engine with the stream of a backend that may say anything: the first byte is the role, the
// rest goes into the socket. The engine answers, or ends by a ChannelError; whatever it sends on
// the way is what its backend believes (backend.h).
//
// A backend decides how much work an engine does, so the numbers in requests are brought down to
// what takes milliseconds.
#include "backend.h"
#include "engine/channel.h"
#include "engine/serve.h"
#include "unit/send_descriptor.h"

#include <array>
#include <sys/mman.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

namespace vamhash {
namespace {

using namespace fuzz;
using protocol::Operation;

constexpr std::size_t largest_input = 32 * 1024;

/// The requests that are in a stream, frame by frame.
class Requests {
  public:
    explicit Requests(std::span<std::uint8_t> stream) : rest_(stream) {}

    struct Frame {
        protocol::FrameHeader header;
        std::span<std::uint8_t> payload;
        [[nodiscard]] Operation operation() const {
            return static_cast<Operation>(header.operation);
        }
    };

    /// The next whole frame; nothing where there is none that makes sense.
    std::optional<Frame> next() {
        Frame frame{};
        if (rest_.size() < sizeof frame.header) {
            return std::nullopt;
        }
        std::memcpy(&frame.header, rest_.data(), sizeof frame.header);
        const std::size_t length = frame.header.length;
        if (frame.header.magic != protocol::magic || length > rest_.size() - sizeof frame.header) {
            return std::nullopt;
        }
        frame.payload = rest_.subspan(sizeof frame.header, length);
        rest_ = rest_.subspan(sizeof frame.header + length);
        return frame;
    }

    /// The payload of the DATA frames up to END; nothing where another frame, or the end, comes.
    std::optional<Bytes> data(std::uint32_t id) {
        Bytes bytes;
        for (;;) {
            const auto frame = next();
            if (!frame || frame->header.id != id) {
                return std::nullopt;
            }
            if (frame->operation() == Operation::end && frame->payload.empty()) {
                return bytes;
            }
            if (frame->operation() != Operation::data) {
                return std::nullopt;
            }
            bytes.insert(bytes.end(), frame->payload.begin(), frame->payload.end());
        }
    }

  private:
    std::span<std::uint8_t> rest_;
};

/// No device is used: that the engine which has the stream looks for one is for another target.
void bound(protocol::JoinSettings& settings) {
    constexpr std::uint64_t most_memory = std::uint64_t{64} << 20;
    settings.device.use = static_cast<std::uint32_t>(protocol::DeviceUse::off);
    settings.memory_limit = 1 + settings.memory_limit % most_memory;
    settings.max_pairs = 1 + settings.max_pairs % 10'000;
    settings.threads = 1 + settings.threads % 2;
}

void bound(protocol::PairsRequest& request) {
    bound(request.settings);
}

void bound(protocol::GroupsRequest& request) {
    bound(request.settings);
}

void bound(protocol::HashRequest& request) {
    request.max_bytes %= 1 << 20;
    request.max_pixels %= 20'000;
}

void bound(protocol::ImagesRequest& request) {
    request.threads = 1 + request.threads % 2;
    request.max_bytes %= 1 << 20;
    request.max_pixels %= 20'000;
}

/// There is no device, which is for another target.
void bound(protocol::PicturesRequest& request) {
    std::fill(std::begin(request.device.backends), std::end(request.device.backends),
              protocol::Backend::none);
}

void bound(protocol::Arena& arena) {
    arena.bytes %= 1 << 18;
}

/// Bounds the parameters of a request, where they are all there.
template <typename Request>
void bound_payload(std::span<std::uint8_t> payload) {
    Request request{};
    if (payload.size() == sizeof request) {
        std::memcpy(&request, payload.data(), sizeof request);
        bound(request);
        std::memcpy(payload.data(), &request, sizeof request);
    }
}

void bound_requests(std::span<std::uint8_t> stream) {
    Requests requests(stream);
    while (const auto frame = requests.next()) {
        switch (frame->operation()) {
        case Operation::begin_hash:
            bound_payload<protocol::HashRequest>(frame->payload);
            break;
        case Operation::begin_pairs:
            bound_payload<protocol::PairsRequest>(frame->payload);
            break;
        case Operation::begin_groups:
            bound_payload<protocol::GroupsRequest>(frame->payload);
            break;
        case Operation::begin_images:
            bound_payload<protocol::ImagesRequest>(frame->payload);
            break;
        case Operation::begin_pictures:
            bound_payload<protocol::PicturesRequest>(frame->payload);
            break;
        case Operation::arena:
            bound_payload<protocol::Arena>(frame->payload);
            break;
        default:
            break;
        }
    }
}

/// Sends a stream, and with each ARENA memory for it: as much as it says, unless `kept` is above 1.
void send_stream(int socket, std::span<std::uint8_t> stream) {
    Requests requests(stream);
    std::size_t sent = 0;
    int memory = -1;
    const auto send_until = [&](std::size_t end) {
        if (end > sent) {
            const auto bytes = std::as_bytes(stream.subspan(sent, end - sent));
            require(test::send_with_descriptor(socket, bytes, memory),
                    "the stream does not fit the socket");
        }
        sent = end;
        if (memory >= 0) {
            close(memory);
        }
        memory = -1;
    };
    while (const auto frame = requests.next()) {
        protocol::Arena arena{};
        if (frame->operation() != Operation::arena || frame->payload.size() != sizeof arena) {
            continue;
        }
        std::memcpy(&arena, frame->payload.data(), sizeof arena);
        send_until(static_cast<std::size_t>(frame->payload.data() - stream.data()) -
                   sizeof frame->header);
        memory = memfd_create("arena", MFD_CLOEXEC);
        require(memory >= 0 && ftruncate(memory, static_cast<off_t>(arena.bytes /
                                                                    (arena.kept > 1 ? 2 : 1))) == 0,
                "no memory is to be had");
    }
    send_until(stream.size());
}

/// What an engine sent, and whether it came to the end of the stream.
struct Served {
    Bytes replies;
    bool to_the_end;
};

Served serve_stream(Role role, std::span<std::uint8_t> stream) {
    std::array<int, 2> pair{};
    require(socketpair(AF_UNIX, SOCK_STREAM, 0, pair.data()) == 0, "no socket is to be had");
    const auto [backend, engine] = pair;
    send_stream(backend, stream);
    shutdown(backend, SHUT_WR);
    Served served{.replies = {}, .to_the_end = true};
    std::thread reader([&served, socket = backend] {
        std::array<std::uint8_t, 16384> part{};
        for (ssize_t got = 0; (got = recv(socket, part.data(), part.size(), 0)) > 0;) {
            served.replies.insert(served.replies.end(), part.begin(), part.begin() + got);
        }
    });
    try {
        Channel channel(engine);
        serve(channel, role, std::chrono::seconds(0), 0);
    } catch (const ChannelError&) {
        served.to_the_end = false;
    }
    close(engine);
    reader.join();
    close(backend);
    return served;
}

/// The parameters of a request.
template <typename Request>
std::optional<Request> params_of(const Requests::Frame& frame) {
    Request request{};
    if (frame.payload.size() != sizeof request) {
        return std::nullopt;
    }
    std::memcpy(&request, frame.payload.data(), sizeof request);
    return request;
}

/// A conversation between an engine and its backend, looked at afterwards.
class Conversation {
  public:
    Conversation(std::span<std::uint8_t> requests, std::span<const std::uint8_t> replies)
        : requests_(requests), backend_(replies, [] {
              require(false, "an engine asks for a device that it may not use");
              return std::optional<bool>();
          }) {}

    /// Follows the next request and its answer. Nothing where there is no whole request, or the
    /// answer leaves nothing to follow.
    std::optional<Ending> follow() {
        const auto begin = requests_.next();
        if (!begin) {
            return std::nullopt;
        }
        switch (begin->operation()) {
        case Operation::begin_hash:
            return follow_hash(*begin);
        case Operation::begin_pairs:
            return follow_pairs(*begin);
        case Operation::begin_groups:
            return follow_groups(*begin);
        case Operation::begin_devices:
            return follow_devices(*begin);
        case Operation::begin_images:
            return follow_images(*begin);
        case Operation::begin_pictures:
            return follow_pictures(*begin);
        default:
            return std::nullopt;
        }
    }

    Backend& backend() { return backend_; }

  private:
    std::optional<Ending> follow_hash(const Requests::Frame& begin) {
        if (!requests_.data(begin.header.id)) {
            return std::nullopt;
        }
        return backend_.receive_hash(begin.header.id);
    }

    std::optional<Ending> follow_pairs(const Requests::Frame& begin) {
        const auto params = params_of<protocol::PairsRequest>(begin);
        if (!params || params->columns < 1 || params->columns > protocol::max_columns) {
            return std::nullopt;
        }
        const std::size_t row = params->columns * sizeof(std::uint64_t);
        PairsJob job{.params = *params, .left_rows = 0, .right_rows = 0};
        const auto left = requests_.data(begin.header.id);
        if (!left) {
            return std::nullopt;
        }
        job.left_rows = left->size() / row;
        if (params->sets == 2) {
            const auto right = requests_.data(begin.header.id);
            if (!right) {
                return std::nullopt;
            }
            job.right_rows = right->size() / row;
        }
        return backend_.receive_pairs(begin.header.id, job);
    }

    std::optional<Ending> follow_groups(const Requests::Frame& begin) {
        const auto params = params_of<protocol::GroupsRequest>(begin);
        const auto hashes = requests_.data(begin.header.id);
        if (!params || !hashes) {
            return std::nullopt;
        }
        GroupsJob job{.params = *params,
                      .rows = hashes->size() / sizeof(std::uint64_t),
                      .rank_of = [&](std::span<const protocol::GroupedRow> rows) {
                          return take_ranks(begin.header.id, rows.size());
                      }};
        return backend_.receive_groups(begin.header.id, job);
    }

    std::optional<Ending> follow_devices(const Requests::Frame& begin) {
        if (!begin.payload.empty() || !requests_.data(begin.header.id)) {
            return std::nullopt;
        }
        return backend_.receive_devices(begin.header.id);
    }

    /// What a stream asks for in a request for many images; nothing where it is none. What has more
    /// to be wrong with it ends the engine.
    std::optional<ImagesJob> take_images(std::uint32_t id) {
        ImagesJob job{};
        std::vector<protocol::ImageHeader> images;
        for (;;) {
            const auto frame = requests_.next();
            if (!frame || frame->header.id != id) {
                return std::nullopt;
            }
            if (frame->operation() == Operation::end) {
                break;
            }
            protocol::ImageHeader image{};
            protocol::Arena arena{};
            if (frame->operation() == Operation::image && frame->payload.size() >= sizeof image) {
                std::memcpy(&image, frame->payload.data(), sizeof image);
                images.push_back(image);
            } else if (frame->operation() == Operation::arena &&
                       frame->payload.size() == sizeof arena) {
                std::memcpy(&arena, frame->payload.data(), sizeof arena);
                job.parts = std::min(arena.parts, protocol::max_parts);
            }
        }
        for (const protocol::ImageHeader& image : images) {
            auto& asked = job.images[image.number];
            asked.count++;
            // An image that was sent before the arena may be decoded after it.
            if ((image.flags & protocol::image_to_arena) != 0) {
                asked.asked.parts = job.parts;
            }
        }
        return job;
    }

    std::optional<Ending> follow_images(const Requests::Frame& begin) {
        const auto params = params_of<protocol::ImagesRequest>(begin);
        const auto job = take_images(begin.header.id);
        if (!params || !job) {
            return std::nullopt;
        }
        return backend_.receive_images(begin.header.id, *job);
    }

    std::optional<Ending> follow_pictures(const Requests::Frame& begin) {
        const auto params = params_of<protocol::PicturesRequest>(begin);
        if (!params) {
            return std::nullopt;
        }
        if (params->device.use == static_cast<std::uint32_t>(protocol::DeviceUse::on)) {
            return backend_.receive_pictures(begin.header.id, 0); // an ERROR at once
        }
        std::uint64_t pictures = 0;
        for (;;) {
            const auto frame = requests_.next();
            protocol::PictureBatch batch{};
            if (!frame || frame->header.id != begin.header.id) {
                return std::nullopt;
            }
            if (frame->operation() == Operation::end) {
                return backend_.receive_pictures(begin.header.id, pictures);
            }
            if (frame->operation() == Operation::pictures &&
                frame->payload.size() >= sizeof batch) {
                std::memcpy(&batch, frame->payload.data(), sizeof batch);
                pictures += batch.pictures;
            }
        }
    }

    /// The ranks that the stream has; nothing where they are none that a backend would send.
    std::optional<std::vector<std::uint32_t>> take_ranks(std::uint32_t id, std::size_t count) {
        const auto data = requests_.data(id);
        if (!data || data->size() != count * sizeof(std::uint32_t)) {
            return std::nullopt;
        }
        std::vector<std::uint32_t> ranks(count);
        std::memcpy(ranks.data(), data->data(), data->size());
        if (std::find(ranks.begin(), ranks.end(), 0) != ranks.end()) {
            return std::nullopt;
        }
        return ranks;
    }

    Requests requests_;
    Backend backend_;
};

void check_replies(std::span<std::uint8_t> stream, const Served& served) {
    Conversation conversation(stream, served.replies);
    require(conversation.backend().receive_hello() == Ending::done, "HELLO is not as expected");
    for (;;) {
        const auto ending = conversation.follow();
        if (!ending || ending == Ending::refused) {
            break; // and what follows is for no backend to read
        }
        if (ending == Ending::violation) {
            require(false, conversation.backend().violation());
        }
        if (ending == Ending::cut) {
            require(!served.to_the_end, "a request is not answered");
            break;
        }
    }
}

} // namespace
} // namespace vamhash

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 1 || size > vamhash::largest_input) {
        return 0;
    }
    const auto role = data[0] % 2 == 0 ? vamhash::Role::decode : vamhash::Role::compute;
    vamhash::fuzz::Bytes stream(data + 1, data + size);
    vamhash::bound_requests(stream);
    vamhash::check_replies(stream, vamhash::serve_stream(role, stream));
    return 0;
}
