#include "engine/join_request.h"

#include "device/device.h"
#include "engine/memory.h"
#include "engine/request.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>

namespace vamhash {

namespace {

static_assert(static_cast<int>(protocol::Method::faiss) == static_cast<int>(JoinMethod::faiss));

void write_progress(Channel& channel, std::uint32_t id, const JoinProgress& progress) {
    protocol::Progress payload{
        .phase = static_cast<std::uint32_t>(progress.phase),
        .unused = 0,
        .done = progress.done,
        .total = progress.total,
        .candidates = progress.candidates,
        .pairs = progress.pairs,
        .estimated_pairs = progress.estimated_pairs,
        .device = {},
    };
    progress.device.copy(payload.device, sizeof payload.device - 1);
    channel.write_struct(protocol::Operation::progress, id, payload);
    channel.flush(); // it is news now or never
}

void check_device_settings(const protocol::DeviceSettings& settings) {
    if (settings.use > static_cast<std::uint32_t>(protocol::DeviceUse::on) ||
        settings.device_id < -1) {
        throw ChannelError("the use of a device makes no sense");
    }
    for (const protocol::Backend backend : settings.backends) {
        if (static_cast<std::uint32_t>(backend) > protocol::backend_count) {
            throw ChannelError("a backend is not known");
        }
    }
}

// Throws JoinMemoryExceeded where the columns alone are over the limit.
void check_memory(std::uint64_t needed, std::uint64_t limit) {
    if (needed > limit) {
        throw JoinMemoryExceeded("the hashes of the rows alone take more than the " +
                                 std::to_string(limit >> 10) + " kB that the join may use");
    }
}

} // namespace

std::span<std::uint64_t> Column::extend(std::size_t count) {
    const std::size_t size = size_ + count;
    if (size > memory_.size()) {
        LargeArray<std::uint64_t> larger(std::max(size, 2 * memory_.size()));
        std::copy_n(memory_.data(), size_, larger.data());
        memory_ = std::move(larger);
    }
    return memory_.first(std::exchange(size_, size) + count).last(count);
}

std::exception_ptr RowSet::read(Channel& channel, const protocol::FrameHeader& begin,
                                std::uint64_t memory_limit, std::uint64_t others) {
    const std::size_t count = columns_.size();
    std::vector<std::uint64_t> rows; // of the last frame, where there are several columns
    const auto append = [&] {
        for (std::size_t column = 0; column < count && !rows.empty(); column++) {
            const std::span<std::uint64_t> hashes = columns_[column].extend(rows.size() / count);
            for (std::size_t row = 0; row < hashes.size(); row++) {
                hashes[row] = rows[row * count + column];
            }
        }
        rows.clear();
    };
    const auto take = [&](std::uint32_t length) -> std::span<std::byte> {
        if (length % (count * sizeof(std::uint64_t)) != 0) {
            throw ChannelError("a DATA frame does not hold whole rows");
        }
        append();
        check_memory(others + bytes() + length, memory_limit);
        if (count == 1) {
            return std::as_writable_bytes(columns_[0].extend(length / sizeof(std::uint64_t)));
        }
        rows.resize(length / sizeof(std::uint64_t));
        return std::as_writable_bytes(std::span(rows));
    };
    if (auto failure = read_data_frames(channel, begin, take)) {
        return failure;
    }
    try {
        append();
    } catch (...) {
        return std::current_exception();
    }
    return nullptr;
}

std::uint64_t RowSet::bytes() const {
    return columns_[0].hashes().size() * columns_.size() * sizeof(std::uint64_t);
}

std::vector<std::span<const std::uint64_t>> RowSet::columns() const {
    std::vector<std::span<const std::uint64_t>> columns;
    std::ranges::transform(columns_, std::back_inserter(columns), &Column::hashes);
    return columns;
}

JoinOptions join_options(Channel& channel, std::uint32_t id, const protocol::JoinSettings& settings,
                         DeviceSource& device) {
    check_device_settings(settings.device);
    if (settings.method > static_cast<std::uint32_t>(protocol::Method::faiss)) {
        throw ChannelError("a join's method is not known");
    }
    JoinOptions options;
    options.threads = settings.threads;
    options.method = static_cast<JoinMethod>(settings.method);
    options.memory_limit =
        settings.memory_limit != 0 ? settings.memory_limit : available_memory() / 2;
    options.max_pairs = settings.max_pairs;
    const auto use = static_cast<protocol::DeviceUse>(settings.device.use);
    options.device = {.source = use == protocol::DeviceUse::off ? nullptr : &device,
                      .is_required = use == protocol::DeviceUse::on,
                      .min_rows = settings.device.min_rows,
                      .memory_limit = settings.device.memory_limit};
    options.progress = [&channel, id](const JoinProgress& progress) {
        write_progress(channel, id, progress);
    };
    return options;
}

void write_join_done(Channel& channel, std::uint32_t id, const JoinReport& report,
                     std::uint64_t result_bytes, bool holds_device) {
    const DeviceReport& device = report.device;
    protocol::JoinDone done{
        .done = {.result_bytes = result_bytes},
        .left_rows = report.left_rows,
        .right_rows = report.right_rows,
        .left_values = report.left_values,
        .right_values = report.right_values,
        .pairs = report.pairs,
        .candidates = report.candidates,
        .tables = report.tables,
        .passes = report.passes,
        .memory_bytes = peak_memory(),
        .grouping_seconds = report.grouping_seconds,
        .planning_seconds = report.planning_seconds,
        .comparing_seconds = report.comparing_seconds,
        .forming_seconds = report.forming_seconds,
        .threads = report.threads,
        .isa = {},
        .scheme = {},
        .device_bytes = device.bytes,
        .device_seconds = device.seconds,
        .device_tables = static_cast<std::uint32_t>(device.tables),
        .fallbacks = static_cast<std::uint32_t>(device.fallbacks),
        .holds_device = holds_device ? 1U : 0U,
        .unused = 0,
        .device = {},
        .fallback = {},
    };
    report.isa.copy(done.isa, sizeof done.isa - 1);
    report.scheme.copy(done.scheme, sizeof done.scheme - 1);
    printable(device.name, sizeof done.device - 1).copy(done.device, sizeof done.device - 1);
    printable(device.fallback, sizeof done.fallback - 1)
        .copy(done.fallback, sizeof done.fallback - 1);
    channel.write_struct(protocol::Operation::done, id, done);
}

void RecordWriter::send() {
    if (used_ > 0) {
        channel_.write(protocol::Operation::result, id_, std::span(frame_).first(used_));
        sent_ += used_;
        used_ = 0;
    }
}

} // namespace vamhash
