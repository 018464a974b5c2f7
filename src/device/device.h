// Devices that run the kernels in kernels/: which there are, and one that is open.
//
// A device comes from a backend, a library of its own beside this program
// (plugin/device_backend.h), which is loaded when it is first asked for. That there is none is a
// normal state: a missing library, driver or device is a reason in words.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include "plugin/device_backend.h"

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace vamhash {

/// A device failed: it is of no use any more.
class DeviceFailed : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// A device has no memory for an array, or for a launch; otherwise it is as before.
class DeviceMemoryExceeded : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// A device has no decoder of JPEG files.
class NoJpegDecoder : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// A device must be used, and none can be; the detail says why.
class NoDevice : public std::runtime_error {
  public:
    NoDevice(const std::string& message, std::string detail)
        : std::runtime_error(message), detail_(std::move(detail)) {}

    [[nodiscard]] const std::string& detail() const { return detail_; }

  private:
    std::string detail_;
};

/// A backend, or why there is none.
struct LoadedBackend {
    const plugin::DeviceBackend* backend = nullptr;
    std::string reason; // where backend is null
};

/// Loads the backend of a name, cuda or opencl, once.
const LoadedBackend& load_device_backend(const std::string& name);

/// A device that is there, or in the place of a backend's devices why there is none.
struct DeviceListing {
    std::string backend;
    int number = -1; // of the backend, from 0; -1: none
    plugin::DeviceProperties properties{};
};

/// The devices of a backend, cuda or opencl, or of all. Opens none.
std::vector<DeviceListing> list_devices(const std::string& backend);
std::vector<DeviceListing> list_devices();

/// Whether a device is one to be used where nobody has asked for it in particular.
bool is_used_by_itself(const plugin::DeviceProperties& device);
constexpr const char* reason_not_used_by_itself =
    "a CPU, which is faster by itself: used where \"vamhash.gpu\" is on";

class Device;

/// An array in a device's memory.
class DeviceMemory {
  public:
    DeviceMemory() = default;
    DeviceMemory(Device& device, std::uint64_t bytes);

    [[nodiscard]] std::uint64_t bytes() const { return array_ ? array_.get_deleter().bytes : 0; }

  private:
    friend class Device;

    struct Release {
        Device* device;
        std::uint64_t bytes;
        void operator()(plugin::DeviceArray* array) const;
    };

    std::unique_ptr<plugin::DeviceArray, Release> array_{nullptr, {nullptr, 0}};
};

/// Host memory that is pinned for a device as long as this lives: copies from it need not wait, and
/// it is not to change, nor this to go, before the queues that read it are done. It consists of
/// whole pages. That a device does not pin it only makes copies slower.
class PinnedMemory {
  public:
    PinnedMemory() = default;
    PinnedMemory(Device& device, std::span<const std::byte> memory);

    [[nodiscard]] bool is_pinned() const { return memory_ != nullptr; }

  private:
    struct Unpin {
        Device* device;
        void operator()(const std::byte* memory) const;
    };

    std::unique_ptr<const std::byte, Unpin> memory_{nullptr, {nullptr}};
};

/// A kernel's argument: an array, or a number of 32 or 64 bits as the kernel has it.
class DeviceArgument {
  public:
    DeviceArgument(const DeviceMemory& memory) : memory_(&memory) {}
    DeviceArgument(std::uint32_t number) : number_(number), size_(sizeof number) {}
    DeviceArgument(std::uint64_t number) : number_(number), size_(sizeof number) {}

  private:
    friend class Device;

    const DeviceMemory* memory_ = nullptr;
    std::uint64_t number_ = 0; // of the first bytes where it has 32 bits: little-endian
    std::size_t size_ = 0;
};

/// An open device. Everything throws DeviceMemoryExceeded or DeviceFailed, which may be the fault
/// of an earlier call. Used by one thread at a time; arrays go before the device does, and it does
/// not move.
class Device {
  public:
    /// Opens device `number` of a backend.
    Device(const plugin::DeviceBackend& backend, std::uint32_t number);
    Device(const Device&) = delete;
    Device& operator=(const Device&) = delete;

    [[nodiscard]] const plugin::DeviceProperties& properties() const { return properties_; }

    /// "cuda 0: NVIDIA H200"
    [[nodiscard]] std::string name() const;

    /// Bytes free, or plugin::unknown_device_bytes.
    [[nodiscard]] std::uint64_t free_bytes() { return backend_.free_bytes(device_.get()); }

    /// The most bytes that arrays have had at once since the last call.
    std::uint64_t take_peak_bytes() { return std::exchange(peak_bytes_, bytes_); }

    template <typename Item>
    void write(DeviceMemory& to, std::span<const Item> items, std::uint32_t queue = 0,
               std::uint64_t first = 0) {
        write_bytes(to, first * sizeof(Item), std::as_bytes(items), queue);
    }
    template <typename Item, std::size_t extent>
    void read(const DeviceMemory& from, std::span<Item, extent> items, std::uint32_t queue = 0,
              std::uint64_t first = 0) {
        read_bytes(from, first * sizeof(Item), std::as_writable_bytes(items), queue);
    }
    void clear(DeviceMemory& memory, std::uint64_t bytes, std::uint32_t queue = 0);
    void launch(plugin::Kernel kernel, std::uint64_t groups, std::uint32_t group_size,
                std::initializer_list<DeviceArgument> arguments, std::uint32_t queue = 0);
    void finish(std::uint32_t queue = 0);

    /// Gets ready to decode JPEG files by a library of the device's vendor. Throws NoJpegDecoder,
    /// after which all else goes on.
    void load_jpeg_decoder();

    /// Decodes files into an array, as plugin::DeviceBackend has it.
    void decode_jpeg_files(DeviceMemory& to, std::span<plugin::JpegFile> files,
                           std::uint32_t queue = 0);

  private:
    friend class DeviceMemory;
    friend class PinnedMemory;

    void write_bytes(DeviceMemory& to, std::uint64_t offset, std::span<const std::byte> bytes,
                     std::uint32_t queue);
    void read_bytes(const DeviceMemory& from, std::uint64_t offset, std::span<std::byte> bytes,
                    std::uint32_t queue);
    [[nodiscard]] std::size_t bytes_to_pinned_edge(const std::byte* from) const;
    void check(plugin::DeviceStatus status) const;

    const plugin::DeviceBackend& backend_;
    const std::uint32_t number_;
    plugin::DeviceProperties properties_{};
    std::unique_ptr<plugin::OpenDevice, void (*)(plugin::OpenDevice*) noexcept> device_;
    std::uint64_t bytes_ = 0; // of arrays
    std::uint64_t peak_bytes_ = 0;
    std::vector<std::span<const std::byte>> pinned_;
};

} // namespace vamhash
