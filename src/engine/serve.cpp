#include "engine/serve.h"

#include "engine/devices_job.h"
#include "engine/engine_device.h"
#include "engine/groups_job.h"
#include "engine/hash_job.h"
#include "engine/images_job.h"
#include "engine/open_job.h"
#include "engine/pairs_job.h"
#include "engine/pictures_job.h"
#include "join/similar_pairs.h"

#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <new>
#include <string>

namespace vamhash {

using protocol::Fault;
using protocol::Operation;

static void say_hello(Channel& channel, std::uint32_t sandbox) {
    protocol::Hello hello{.protocol_version = protocol::version, .build = {}, .sandbox = sandbox};
    std::strncpy(hello.build, VAMHASH_VERSION, sizeof hello.build - 1);
    channel.write_struct(Operation::hello, 0, hello);
    channel.flush();
}

/// Reads the whole request, so that an error found now leaves the socket between two frames, and
/// does its work, then or meanwhile.
static void answer(Channel& channel, Role role, const protocol::FrameHeader& begin,
                   EngineDevice& device, std::unique_ptr<MappedArena>& arena) {
    switch (static_cast<Operation>(begin.operation)) {
    case Operation::begin_hash:
        if (role == Role::decode) {
            return answer_hash(channel, begin);
        }
        break;
    case Operation::begin_images:
        if (role == Role::decode) {
            return answer_images(channel, begin, arena);
        }
        break;
    case Operation::begin_open:
        if (role == Role::open) {
            return answer_open(channel, begin);
        }
        break;
    case Operation::begin_pairs:
        if (role == Role::compute) {
            return answer_pairs(channel, begin, device);
        }
        break;
    case Operation::begin_groups:
        if (role == Role::compute) {
            return answer_groups(channel, begin, device);
        }
        break;
    case Operation::begin_pictures:
        if (role == Role::compute) {
            return answer_pictures(channel, begin, device, arena);
        }
        break;
    case Operation::begin_devices:
        if (role == Role::compute) {
            return answer_devices(channel, begin);
        }
        break;
    default:
        break;
    }
    throw ChannelError("a frame's operation is not one this engine serves");
}

/// What a user who is told of too many pairs looks at first: the hashes that make most of them.
static std::string heaviest_hashes(const TooManyPairs& error) {
    std::string text;
    for (const TooManyPairs::Heavy& heavy : error.heaviest()) {
        char words[64];
        std::snprintf(words, sizeof words, "%016" PRIx64 " (%" PRIu64 " rows)", heavy.hash,
                      heavy.rows);
        text += (text.empty() ? "The heaviest hashes: " : ", ") + std::string(words);
    }
    return text.empty() ? text : text + ".";
}

void serve(Channel& channel, Role role, std::chrono::seconds idle, std::uint32_t sandbox) {
    std::unique_ptr<MappedArena> arena;
    EngineDevice device; // which may have the arena pinned
    say_hello(channel, sandbox);
    while (const auto begin = channel.read_header(idle)) {
        try {
            answer(channel, role, *begin, device, arena);
        } catch (const ImageError& error) {
            channel.write_error(begin->id, static_cast<Fault>(error.status()), error.what());
        } catch (const TooManyPairs& error) {
            channel.write_error(begin->id, Fault::too_many_pairs, error.what(),
                                heaviest_hashes(error));
        } catch (const JoinMemoryExceeded& error) {
            channel.write_error(begin->id, Fault::memory_limit, error.what());
        } catch (const JoinMethodMissing& error) {
            channel.write_error(begin->id, Fault::method_missing, error.what());
        } catch (const NoDevice& error) {
            channel.write_error(begin->id, Fault::no_device, error.what(), error.detail());
        } catch (const DeviceFailed& error) {
            channel.write_error(begin->id, Fault::device_failed, "the device failed", error.what());
        } catch (const DeviceMemoryExceeded& error) {
            channel.write_error(begin->id, Fault::device_failed, "the device has too little memory",
                                error.what());
        } catch (const std::bad_alloc&) {
            channel.write_error(begin->id, Fault::out_of_memory, "out of memory");
        } catch (const ChannelError&) {
            throw;
        } catch (const std::exception& error) {
            channel.write_error(begin->id, Fault::internal, error.what());
        }
        channel.flush();
    }
}

} // namespace vamhash
