#include "engine/groups_job.h"

#include "engine/join_request.h"
#include "engine/request.h"
#include "join/similar_groups.h"

#include <cstring>

namespace vamhash {

namespace {

static_assert(static_cast<int>(protocol::GroupMethod::connected) ==
              static_cast<int>(GroupMethod::connected));

/// Reads as many ranks as rows were asked about.
std::vector<std::uint32_t> read_ranks(Channel& channel, const protocol::FrameHeader& begin,
                                      std::size_t count) {
    std::vector<std::uint32_t> ranks;
    std::size_t read = 0;
    throw_if(read_data_frames(channel, begin, [&](std::uint32_t length) -> std::span<std::byte> {
        if (length % sizeof(std::uint32_t) != 0) {
            throw ChannelError("a DATA frame does not hold whole ranks");
        }
        ranks.resize(count);
        const auto rest = std::as_writable_bytes(std::span(ranks)).subspan(read);
        if (length > rest.size()) {
            throw ChannelError("there are more ranks than rows asked about");
        }
        read += length;
        return rest.first(length);
    }));
    if (read != count * sizeof(std::uint32_t)) {
        throw ChannelError("there are fewer ranks than rows asked about");
    }
    return ranks;
}

/// The two halves of the engine's answer, and the question between them.
class GroupConversation {
  public:
    GroupConversation(Channel& channel, const protocol::FrameHeader& begin)
        : channel_(channel), begin_(begin) {}

    std::vector<std::uint32_t> ask_ranks(std::span<const GroupedRow> rows) {
        RecordWriter records(channel_, begin_.id, sizeof(protocol::GroupedRow));
        for (const GroupedRow& row : rows) {
            const protocol::GroupedRow record{.row = row.row, .value = row.value};
            std::memcpy(records.next(), &record, sizeof record);
        }
        records.send();
        asked_bytes_ = records.sent();
        channel_.write(protocol::Operation::ask, begin_.id, {});
        channel_.flush();
        return read_ranks(channel_, begin_, rows.size());
    }

    void write(std::span<const Member> members) {
        for (const Member& member : members) {
            const protocol::GroupMember record{
                .row = member.row,
                .group = member.group,
                .size = member.size,
                .distance = member.distance,
                .diameter = member.diameter,
                .is_center = static_cast<std::uint8_t>(member.is_center ? 1 : 0),
                .unused = 0,
            };
            std::memcpy(members_.next(), &record, sizeof record);
        }
    }

    /// Sends what is left; returns the bytes sent in all.
    std::uint64_t finish() {
        members_.send();
        return asked_bytes_ + members_.sent();
    }

  private:
    Channel& channel_;
    const protocol::FrameHeader& begin_;
    RecordWriter members_{channel_, begin_.id, sizeof(protocol::GroupMember)};
    std::uint64_t asked_bytes_ = 0;
};

} // namespace

void answer_groups(Channel& channel, const protocol::FrameHeader& begin, EngineDevice& device) {
    const auto request = channel.read_struct<protocol::GroupsRequest>(begin);
    if (request.method > static_cast<std::uint32_t>(protocol::GroupMethod::connected)) {
        throw ChannelError("a method of grouping is not known");
    }
    RequestDevice request_device(device, channel, begin, request.settings.device);
    const JoinOptions options = join_options(channel, begin.id, request.settings, request_device);
    RowSet rows(1);
    throw_if(rows.read(channel, begin, options.memory_limit));

    GroupConversation conversation(channel, begin);
    const JoinReport report = similar_groups(
        rows.columns()[0], static_cast<int>(request.threshold),
        static_cast<GroupMethod>(request.method), options,
        [&](std::span<const GroupedRow> asked) { return conversation.ask_ranks(asked); },
        [&](std::span<const Member> members) { conversation.write(members); });
    write_join_done(channel, begin.id, report, conversation.finish(), device.is_held());
}

} // namespace vamhash
