#include "engine/serve.h"

#include "engine/hash_job.h"
#include "engine/pairs_job.h"

#include <cstring>
#include <new>

namespace vamhash {

using protocol::Fault;
using protocol::Operation;

static void say_hello(Channel& channel, std::uint32_t sandbox) {
    protocol::Hello hello{.protocol_version = protocol::version, .build = {}, .sandbox = sandbox};
    std::strncpy(hello.build, VAMHASH_VERSION, sizeof hello.build - 1);
    channel.write_struct(Operation::hello, 0, hello);
    channel.flush();
}

/// Reads the whole request, so that an error found now leaves the socket between two frames, then
/// does its work.
static void answer(Channel& channel, Role role, const protocol::FrameHeader& begin) {
    switch (static_cast<Operation>(begin.operation)) {
    case Operation::begin_hash:
        if (role == Role::decode) {
            return answer_hash(channel, begin);
        }
        break;
    case Operation::begin_pairs:
        if (role == Role::compute) {
            return answer_pairs(channel, begin);
        }
        break;
    default:
        break;
    }
    throw ChannelError("a frame's operation is not one this engine serves");
}

void serve(Channel& channel, Role role, std::chrono::seconds idle, std::uint32_t sandbox) {
    say_hello(channel, sandbox);
    while (const auto begin = channel.read_header(idle)) {
        try {
            answer(channel, role, *begin);
        } catch (const ImageError& error) {
            channel.write_error(begin->id, static_cast<Fault>(error.status()), error.what());
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
