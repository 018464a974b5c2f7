#include "device/device.h"

#include <algorithm>
#include <array>
#include <limits>

namespace vamhash {

using plugin::DeviceStatus;

namespace {

[[noreturn]] void fail(DeviceStatus status, const std::string& message) {
    if (status == DeviceStatus::out_of_memory) {
        throw DeviceMemoryExceeded(message);
    }
    throw DeviceFailed(message);
}

plugin::OpenDevice* open_device(const plugin::DeviceBackend& backend, std::uint32_t number) {
    std::array<char, 256> message{};
    plugin::OpenDevice* device = nullptr;
    const DeviceStatus status = backend.open(number, &device, message.data(), message.size());
    if (status != DeviceStatus::done) {
        fail(status, message.data());
    }
    return device;
}

} // namespace

DeviceMemory::DeviceMemory(Device& device, std::uint64_t bytes) {
    plugin::DeviceArray* array = nullptr;
    device.check(device.backend_.allocate(device.device_.get(), bytes, &array));
    array_ = {array, {&device, bytes}};
    device.bytes_ += bytes;
    device.peak_bytes_ = std::max(device.peak_bytes_, device.bytes_);
}

void DeviceMemory::Release::operator()(plugin::DeviceArray* array) const {
    device->backend_.release(device->device_.get(), array);
    device->bytes_ -= bytes;
}

PinnedMemory::PinnedMemory(Device& device, std::span<const std::byte> memory) {
    if (device.backend_.pin(device.device_.get(), memory.data(), memory.size()) ==
        DeviceStatus::done) {
        memory_ = {memory.data(), {&device}};
        device.pinned_.push_back(memory);
    }
}

void PinnedMemory::Unpin::operator()(const std::byte* memory) const {
    device->backend_.unpin(device->device_.get(), memory);
    std::erase_if(device->pinned_, [&](const auto& range) { return range.data() == memory; });
}

Device::Device(const plugin::DeviceBackend& backend, std::uint32_t number)
    : backend_(backend), number_(number), device_(open_device(backend, number), backend.close) {
    backend.describe(number, &properties_);
}

std::string Device::name() const {
    return std::string(backend_.name) + " " + std::to_string(number_) + ": " + properties_.name;
}

void Device::clear(DeviceMemory& memory, std::uint64_t bytes, std::uint32_t queue) {
    check(backend_.clear(device_.get(), queue, memory.array_.get(), bytes));
}

void Device::launch(plugin::Kernel kernel, std::uint64_t groups, std::uint32_t group_size,
                    std::initializer_list<DeviceArgument> arguments, std::uint32_t queue) {
    if (groups > std::numeric_limits<std::int32_t>::max()) {
        throw std::invalid_argument("a launch takes up to 2147483647 groups, not " +
                                    std::to_string(groups));
    }
    std::vector<plugin::KernelArgument> plain;
    plain.reserve(arguments.size());
    for (const DeviceArgument& argument : arguments) {
        plain.push_back({argument.memory_ != nullptr ? argument.memory_->array_.get() : nullptr,
                         &argument.number_, argument.size_});
    }
    check(backend_.launch(device_.get(), queue, kernel, static_cast<std::uint32_t>(groups),
                          group_size, plain.data(), plain.size()));
}

void Device::finish(std::uint32_t queue) {
    check(backend_.finish(device_.get(), queue));
}

void Device::load_jpeg_decoder() {
    if (backend_.load_jpeg_decoder == nullptr) {
        throw NoJpegDecoder(std::string("the backend ") + backend_.name +
                            " has no decoder of JPEGs");
    }
    if (backend_.load_jpeg_decoder(device_.get()) != DeviceStatus::done) {
        throw NoJpegDecoder(backend_.fault(device_.get()));
    }
}

void Device::decode_jpeg_files(DeviceMemory& to, std::span<plugin::JpegFile> files,
                               std::uint32_t queue) {
    check(backend_.decode_jpeg_files(device_.get(), queue, to.array_.get(), files.data(),
                                     files.size()));
}

void Device::write_bytes(DeviceMemory& to, std::uint64_t offset, std::span<const std::byte> bytes,
                         std::uint32_t queue) {
    while (!bytes.empty()) { // a copy may not cross the edge of pinned memory
        const auto piece = bytes.first(std::min(bytes.size(), bytes_to_pinned_edge(bytes.data())));
        check(backend_.write(device_.get(), queue, to.array_.get(), offset, piece.data(),
                             piece.size()));
        offset += piece.size();
        bytes = bytes.subspan(piece.size());
    }
}

// The least number of bytes behind which another range begins, pinned or not.
std::size_t Device::bytes_to_pinned_edge(const std::byte* from) const {
    const auto first = reinterpret_cast<std::uintptr_t>(from);
    std::size_t least = std::numeric_limits<std::size_t>::max();
    for (const std::span<const std::byte> range : pinned_) {
        const auto begin = reinterpret_cast<std::uintptr_t>(range.data());
        for (const std::uintptr_t edge : {begin, begin + range.size()}) {
            least = edge > first ? std::min<std::size_t>(least, edge - first) : least;
        }
    }
    return least;
}

void Device::read_bytes(const DeviceMemory& from, std::uint64_t offset, std::span<std::byte> bytes,
                        std::uint32_t queue) {
    check(
        backend_.read(device_.get(), queue, from.array_.get(), offset, bytes.data(), bytes.size()));
}

void Device::check(DeviceStatus status) const {
    if (status != DeviceStatus::done) {
        fail(status, backend_.fault(device_.get()));
    }
}

} // namespace vamhash
