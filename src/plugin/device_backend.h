// What a device backend in a library of its own looks like to the engine: devices, their memory,
// and launches of the kernels in kernels/, which the library holds.
//
// Such a library brings a vendor's runtime, which the engine must not depend on. It is loaded when
// a device is asked for, and exports vamhash_device_backend_plugin, a DeviceBackendEntry. No
// exception crosses this border. An open device is used by one thread at a time.
//
// A device has queues, numbered from 0: what is put into one is done in order; those of different
// queues overlap. Functions that take a queue may return before it is done; a fault may be told by
// a later call.
//
// The header holds plain structs and constants, and is included on both sides.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include <cstddef>
#include <cstdint>

namespace vamhash::plugin {

extern "C" {

/// Raised with every change of what follows, or of a kernel's arguments: a plugin of another
/// version is refused.
constexpr std::uint32_t device_backend_version = 5;

constexpr std::uint32_t device_queues = 2;

/// Bytes that cannot be known.
constexpr std::uint64_t unknown_device_bytes = ~std::uint64_t{0};

/// Texts end with a zero.
struct DeviceProperties {
    char name[96];
    char capability[48]; // of the hardware, as its vendor numbers it
    char driver[64];
    char reason[200]; // why it is not usable
    std::uint64_t memory_bytes;
    std::uint64_t free_bytes;    // or unknown_device_bytes
    std::uint32_t compute_units; // multiprocessors
    std::uint32_t clock_mhz;     // the highest; 0: not known
    std::uint32_t usable;        // 0 or 1
    std::uint32_t is_gpu;        // 0: a CPU that can be had cheaper without a backend
};

enum class DeviceStatus : std::int32_t {
    done = 0,
    out_of_memory = 1, // the device goes on
    failed = 2,        // nothing but `close` is of use any more
};

/// The kernels, by the names they have in kernels/.
enum class Kernel : std::uint32_t {
    count_keys,
    scatter_codes,
    sum_blocks_u32,
    scan_sums_u32,
    scan_blocks_u32,
    sum_blocks_u64,
    scan_sums_u64,
    scan_blocks_u64,
    count_tiles,
    compare_tiles,
    compare_runs,
    resample_lines,
    sum_image_blocks,
    make_image_bits,
    decode_jpeg_blocks,
    convert_jpeg_tiles,
};
constexpr std::uint32_t kernel_count = 16;

struct OpenDevice;
struct DeviceArray;

/// An argument of a kernel: an array of the device, or a number of so many bytes.
struct KernelArgument {
    const DeviceArray* array; // or null
    const void* number;
    std::size_t size;
};

/// A JPEG file, and where in an array its luma goes, row by row without gaps.
struct JpegFile {
    const std::uint8_t* bytes;
    std::uint64_t size;
    std::uint64_t offset;
    std::uint32_t width; // that there is room for: a file of another size is refused
    std::uint32_t height;
    std::uint32_t decoded; // set to 1 or, where the decoder does not take the file, to 0
};

struct DeviceBackend {
    std::uint32_t version; // device_backend_version
    const char* name;

    /// The number of devices; where it is 0, the reason, ended by 0 and cut to fit.
    std::uint32_t (*count)(char* reason, std::size_t reason_size) noexcept;

    /// Tells of device `number`. Leaves nothing behind on the device.
    void (*describe)(std::uint32_t number, DeviceProperties* properties) noexcept;

    /// Takes a device; says what went wrong, if something does.
    DeviceStatus (*open)(std::uint32_t number, OpenDevice** device, char* message,
                         std::size_t message_size) noexcept;
    void (*close)(OpenDevice* device) noexcept;

    /// What the last call that was not `done` met, in words.
    const char* (*fault)(const OpenDevice* device) noexcept;

    /// Bytes that are free on an open device, or unknown_device_bytes.
    std::uint64_t (*free_bytes)(OpenDevice* device) noexcept;

    DeviceStatus (*allocate)(OpenDevice* device, std::uint64_t bytes, DeviceArray** array) noexcept;
    void (*release)(OpenDevice* device, DeviceArray* array) noexcept;

    /// Pins host memory of whole pages, so that copies from it need not wait. It stays as it is
    /// until it is unpinned, which is after the queues that read it are done. A refusal is no
    /// fault: then its status is out_of_memory, and nothing is to be unpinned.
    DeviceStatus (*pin)(OpenDevice* device, const void* memory, std::uint64_t bytes) noexcept;
    void (*unpin)(OpenDevice* device, const void* memory) noexcept;

    /// Copies to an array, from one piece of pinned memory or from outside of all. The source may
    /// change once it returns, but where it is pinned, once the queue is done.
    DeviceStatus (*write)(OpenDevice* device, std::uint32_t queue, DeviceArray* array,
                          std::uint64_t offset, const void* source, std::uint64_t bytes) noexcept;

    /// Copies from an array, and waits for it.
    DeviceStatus (*read)(OpenDevice* device, std::uint32_t queue, const DeviceArray* array,
                         std::uint64_t offset, void* target, std::uint64_t bytes) noexcept;

    /// Fills the beginning of an array with zeros.
    DeviceStatus (*clear)(OpenDevice* device, std::uint32_t queue, DeviceArray* array,
                          std::uint64_t bytes) noexcept;

    /// Runs a kernel in `groups` groups (at least 1) of `group_size` work-items.
    DeviceStatus (*launch)(OpenDevice* device, std::uint32_t queue, Kernel kernel,
                           std::uint32_t groups, std::uint32_t group_size,
                           const KernelArgument* arguments, std::size_t count) noexcept;

    /// Waits until a queue is done.
    DeviceStatus (*finish)(OpenDevice* device, std::uint32_t queue) noexcept;

    /// Gets an open device ready to decode JPEG files by its vendor's library. Where there is none,
    /// the status is `failed`, which the device survives. Null in a backend that knows no such
    /// library.
    DeviceStatus (*load_jpeg_decoder)(OpenDevice* device) noexcept;

    /// Decodes files to their luma, by a decoder that was loaded. Their bytes may be anything, and
    /// may change once it returns, or meanwhile.
    DeviceStatus (*decode_jpeg_files)(OpenDevice* device, std::uint32_t queue, DeviceArray* array,
                                      JpegFile* files, std::size_t count) noexcept;
};

/// What the library exports.
using DeviceBackendEntry = const DeviceBackend*() noexcept;
constexpr const char* device_backend_entry = "vamhash_device_backend_plugin";

} // extern "C"

} // namespace vamhash::plugin
