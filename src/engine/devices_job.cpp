#include "engine/devices_job.h"

#include "device/device.h"
#include "engine/engine_device.h"
#include "engine/join_request.h"
#include "engine/memory.h"
#include "engine/request.h"
#include "simd/isa.h"

#include <cstring>
#include <fstream>
#include <string>
#include <unistd.h>

namespace vamhash {

namespace {

/// Puts a text into a record's field: printable, and ended by a zero.
template <std::size_t size>
void set_text(char (&field)[size], std::string_view text) {
    printable(text, size - 1).copy(field, size - 1);
}

/// The processor's name; "CPU" where the kernel does not tell one.
std::string cpu_name() {
    std::ifstream processors("/proc/cpuinfo");
    for (std::string line; std::getline(processors, line);) {
        const std::size_t value = line.find(": ");
        if (line.starts_with("model name") && value != std::string::npos) {
            return line.substr(value + 2);
        }
    }
    return "CPU";
}

protocol::DeviceRecord cpu_record() {
    protocol::DeviceRecord record{};
    set_text(record.backend, "cpu");
    record.device_id = 0;
    record.usable = 1;
    record.memory_bytes = available_memory();
    record.free_bytes = protocol::unknown_bytes;
    set_text(record.name, cpu_name());
    set_text(record.capability, isa_name(best_isa()));
    return record;
}

static_assert(plugin::unknown_device_bytes == protocol::unknown_bytes);

protocol::DeviceRecord device_record(const DeviceListing& listing) {
    const plugin::DeviceProperties& device = listing.properties;
    protocol::DeviceRecord record{};
    set_text(record.backend, listing.backend);
    record.device_id = listing.number;
    record.usable = device.usable;
    record.memory_bytes = device.memory_bytes;
    record.free_bytes = listing.number < 0 ? protocol::unknown_bytes : device.free_bytes;
    set_text(record.name, device.name);
    set_text(record.capability, device.capability);
    set_text(record.driver, device.driver);
    set_text(record.reason, device.usable != 0 && !is_used_by_itself(device)
                                ? reason_not_used_by_itself
                                : device.reason);
    return record;
}

} // namespace

void answer_devices(Channel& channel, const protocol::FrameHeader& begin) {
    if (begin.length != 0) {
        throw ChannelError("a question about devices has parameters");
    }
    throw_if(read_data_frames(channel, begin,
                              [](std::uint32_t /*length*/) { return std::span<std::byte>(); }));
    RecordWriter records(channel, begin.id, sizeof(protocol::DeviceRecord));
    const auto write = [&](const protocol::DeviceRecord& record) {
        std::memcpy(records.next(), &record, sizeof record);
    };
    write(cpu_record());
    for (const DeviceListing& listing : list_devices()) {
        write(device_record(listing));
    }
    records.send();
    channel.write_struct(protocol::Operation::done, begin.id,
                         protocol::Done{.result_bytes = records.sent()});
}

} // namespace vamhash
