#include "engine/pairs_job.h"

#include "engine/join_request.h"
#include "engine/request.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

namespace vamhash {

namespace {

/// Writes pairs, with their distance in every column, as RESULT frames.
class PairWriter {
  public:
    PairWriter(Channel& channel, std::uint32_t id, Columns left, Columns right)
        : left_(left), right_(right),
          records_(channel, id,
                   protocol::pair_record_size(static_cast<std::uint32_t>(left.size()))) {}

    void write(std::span<const Pair> pairs) {
        for (const Pair& pair : pairs) {
            std::byte* record = records_.next();
            const protocol::PairRecord rows{.a = pair.a, .b = pair.b};
            std::memcpy(record, &rows, sizeof rows);
            auto* distances = reinterpret_cast<std::uint8_t*>(record + sizeof rows);
            distances[0] = static_cast<std::uint8_t>(pair.distance);
            for (std::size_t column = 1; column < left_.size(); column++) {
                distances[column] = static_cast<std::uint8_t>(
                    std::popcount(left_[column][pair.a] ^ right_[column][pair.b]));
            }
        }
    }

    /// Sends what is left; returns the bytes sent in all.
    std::uint64_t finish() {
        records_.send();
        return records_.sent();
    }

  private:
    Columns left_;
    Columns right_;
    RecordWriter records_;
};

} // namespace

void answer_pairs(Channel& channel, const protocol::FrameHeader& begin, EngineDevice& device) {
    const auto request = channel.read_struct<protocol::PairsRequest>(begin);
    if (request.columns < 1 || request.columns > protocol::max_columns) {
        throw ChannelError("a join has no columns, or too many");
    }
    if (request.sets != 1 && request.sets != 2) {
        throw ChannelError("a join is of one set, or of two");
    }
    RequestDevice request_device(device, channel, begin, request.settings.device);
    const JoinOptions options = join_options(channel, begin.id, request.settings, request_device);
    RowSet left_rows(request.columns);
    RowSet right_rows(request.columns);
    std::exception_ptr failure = left_rows.read(channel, begin, options.memory_limit);
    if (request.sets == 2) {
        const auto second =
            right_rows.read(channel, begin, options.memory_limit, left_rows.bytes());
        failure = failure ? failure : second;
    }
    throw_if(failure);

    std::array<int, protocol::max_columns> each{};
    std::copy_n(std::begin(request.thresholds), request.columns, each.begin());
    const auto thresholds = std::span(each).first(request.columns);
    const auto left = left_rows.columns();
    const auto right = request.sets == 2 ? right_rows.columns() : left;
    PairWriter writer(channel, begin.id, left, right);
    const PairSink sink = [&](std::span<const Pair> pairs) { writer.write(pairs); };
    const JoinReport report = request.sets == 2
                                  ? similar_pairs_between(left, right, thresholds, options, sink)
                                  : similar_pairs(left, thresholds, options, sink);
    write_join_done(channel, begin.id, report, writer.finish(), device.is_held());
}

} // namespace vamhash
