#include "engine/pairs_job.h"

#include "engine/request.h"
#include "join/large_array.h"
#include "join/similar_pairs.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <iterator>
#include <utility>
#include <vector>

namespace vamhash {

namespace {

using Columns = std::vector<std::span<const std::uint64_t>>;

/// A column of hashes that grows. Its memory is not initialised and has huge pages: the kernel
/// clears each page before its first use, which is most of the work of reading.
class Column {
  public:
    /// Makes room for `count` more hashes; returns where they go.
    std::span<std::uint64_t> extend(std::size_t count) {
        const std::size_t size = size_ + count;
        if (size > memory_.size()) {
            LargeArray<std::uint64_t> larger(std::max(size, 2 * memory_.size()));
            std::copy_n(memory_.data(), size_, larger.data());
            memory_ = std::move(larger);
        }
        return memory_.first(std::exchange(size_, size) + count).last(count);
    }

    [[nodiscard]] std::span<const std::uint64_t> hashes() const { return memory_.first(size_); }

  private:
    LargeArray<std::uint64_t> memory_;
    std::size_t size_ = 0;
};

/// Reads the request's rows, each a hash per column, into one array a column.
std::vector<Column> read_columns(Channel& channel, const protocol::FrameHeader& begin,
                                 std::size_t count) {
    std::vector<Column> columns(count);
    std::vector<std::uint64_t> rows; // of the last frame, where there are several columns
    const auto append = [&] {
        for (std::size_t column = 0; column < count && !rows.empty(); column++) {
            const std::span<std::uint64_t> hashes = columns[column].extend(rows.size() / count);
            for (std::size_t row = 0; row < hashes.size(); row++) {
                hashes[row] = rows[row * count + column];
            }
        }
        rows.clear();
    };
    read_data_frames(channel, begin, [&](std::uint32_t length) -> std::span<std::byte> {
        if (length % (count * sizeof(std::uint64_t)) != 0) {
            throw ChannelError("a DATA frame does not hold whole rows");
        }
        const std::size_t hashes = length / sizeof(std::uint64_t);
        if (count == 1) {
            return std::as_writable_bytes(columns[0].extend(hashes));
        }
        append();
        rows.resize(hashes);
        return std::as_writable_bytes(std::span(rows));
    });
    append();
    return columns;
}

/// Packs pairs into RESULT frames, with their distance in every column.
class PairWriter {
  public:
    PairWriter(Channel& channel, std::uint32_t id, const Columns& columns)
        : channel_(channel), id_(id), columns_(columns),
          record_size_(protocol::pair_record_size(static_cast<std::uint32_t>(columns.size()))),
          frame_(frame_size / record_size_ * record_size_) {}

    void write(std::span<const Pair> pairs) {
        for (const Pair& pair : pairs) {
            std::byte* record = frame_.data() + used_;
            const protocol::PairRecord rows{.a = pair.a, .b = pair.b};
            std::memcpy(record, &rows, sizeof rows);
            auto* distances = reinterpret_cast<std::uint8_t*>(record + sizeof rows);
            distances[0] = static_cast<std::uint8_t>(pair.distance);
            for (std::size_t column = 1; column < columns_.size(); column++) {
                distances[column] = static_cast<std::uint8_t>(
                    std::popcount(columns_[column][pair.a] ^ columns_[column][pair.b]));
            }
            used_ += record_size_;
            if (used_ == frame_.size()) {
                send();
            }
        }
    }

    /// Sends what is left; returns the bytes sent in all.
    std::uint64_t finish() {
        if (used_ > 0) {
            send();
        }
        return sent_;
    }

  private:
    static constexpr std::size_t frame_size = 256 * 1024;

    void send() {
        channel_.write(protocol::Operation::result, id_, std::span(frame_).first(used_));
        sent_ += used_;
        used_ = 0;
    }

    Channel& channel_;
    std::uint32_t id_;
    const Columns& columns_;
    std::size_t record_size_;
    std::vector<std::byte> frame_;
    std::size_t used_ = 0;
    std::uint64_t sent_ = 0;
};

} // namespace

void answer_pairs(Channel& channel, const protocol::FrameHeader& begin) {
    const auto request = channel.read_struct<protocol::PairsRequest>(begin);
    if (request.columns < 1 || request.columns > protocol::max_columns) {
        throw ChannelError("a join has no columns, or too many");
    }
    const std::vector<Column> read = read_columns(channel, begin, request.columns);
    Columns columns;
    std::ranges::transform(read, std::back_inserter(columns), &Column::hashes);
    std::array<int, protocol::max_columns> thresholds{};
    std::copy_n(std::begin(request.thresholds), request.columns, thresholds.begin());

    PairWriter writer(channel, begin.id, columns);
    similar_pairs(columns, std::span(thresholds).first(request.columns),
                  {.threads = request.threads},
                  [&](std::span<const Pair> pairs) { writer.write(pairs); });
    const protocol::Done done{.result_bytes = writer.finish()};
    channel.write_struct(protocol::Operation::done, begin.id, done);
}

} // namespace vamhash
