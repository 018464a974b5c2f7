// What the engine does alike for every join: its rows, its settings, its progress and its end.
#pragma once

#include "engine/channel.h"
#include "join/large_array.h"
#include "join/similar_pairs.h"

#include <cstdint>
#include <exception>
#include <span>
#include <vector>

namespace vamhash {

/// A column of hashes that grows. Its memory is not initialised and has huge pages: the kernel
/// clears each page before its first use, which is most of the work of reading.
class Column {
  public:
    /// Makes room for `count` more hashes; returns where they go.
    std::span<std::uint64_t> extend(std::size_t count);

    [[nodiscard]] std::span<const std::uint64_t> hashes() const { return memory_.first(size_); }

  private:
    LargeArray<std::uint64_t> memory_;
    std::size_t size_ = 0;
};

/// The hashes of a set of rows: columns of one length.
class RowSet {
  public:
    explicit RowSet(std::size_t columns) : columns_(columns) {}

    /// Reads the rows of one DATA ..., END. They and `others`, bytes held already, must fit in the
    /// request's memory limit. Returns what went wrong, to be thrown once the request is read.
    [[nodiscard]] std::exception_ptr read(Channel& channel, const protocol::FrameHeader& begin,
                                          std::uint64_t memory_limit, std::uint64_t others = 0);

    [[nodiscard]] std::uint64_t bytes() const;
    [[nodiscard]] std::vector<std::span<const std::uint64_t>> columns() const;

  private:
    std::vector<Column> columns_;
};

/// The request's limits and means, with its progress written to the channel. Throws ChannelError
/// where they make no sense. A device comes from `device`.
JoinOptions join_options(Channel& channel, std::uint32_t id, const protocol::JoinSettings& settings,
                         DeviceSource& device);

/// Writes DONE for a join that has sent so many bytes of results, and whether the engine holds a
/// device.
void write_join_done(Channel& channel, std::uint32_t id, const JoinReport& report,
                     std::uint64_t result_bytes, bool holds_device);

/// Packs records of one size into RESULT frames.
class RecordWriter {
  public:
    RecordWriter(Channel& channel, std::uint32_t id, std::size_t record_size)
        : channel_(channel), id_(id), record_size_(record_size),
          frame_(frame_size / record_size * record_size) {}

    /// Where the next record goes, zeroed or left from another one.
    [[nodiscard]] std::byte* next() {
        if (used_ == frame_.size()) {
            send();
        }
        std::byte* record = frame_.data() + used_;
        used_ += record_size_;
        return record;
    }

    /// Sends the records not sent yet.
    void send();

    /// Bytes sent so far.
    [[nodiscard]] std::uint64_t sent() const { return sent_; }

  private:
    static constexpr std::size_t frame_size = 256 * 1024;

    Channel& channel_;
    std::uint32_t id_;
    std::size_t record_size_;
    std::vector<std::byte> frame_;
    std::size_t used_ = 0;
    std::uint64_t sent_ = 0;
};

} // namespace vamhash
