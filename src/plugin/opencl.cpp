// Devices by OpenCL 1.2: GPUs of any vendor, and through PoCL the CPU, for tests.
//
// The kernels travel as source, and are compiled when a device is opened; most drivers keep what
// they compiled.
#include "plugin/device_backend.h"
#include "plugin/kernel_source.h" // made by CMake from kernels/

#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

namespace vamhash::plugin {

extern "C" {
struct DeviceArray {
    cl_mem memory;
};
}

namespace {

constexpr std::array kernel_names = {
    "count_keys",       "scatter_codes",   "sum_blocks_u32",     "scan_sums_u32",
    "scan_blocks_u32",  "sum_blocks_u64",  "scan_sums_u64",      "scan_blocks_u64",
    "count_tiles",      "compare_tiles",   "compare_runs",       "resample_lines",
    "sum_image_blocks", "make_image_bits", "decode_jpeg_blocks", "convert_jpeg_tiles",
#ifdef VAMHASH_BENCH_KERNELS // of the benchmark's own build: bench/limit_kernels.h
    "copy_codes",       "count_bits",      "count_near",
#endif
};
static_assert(kernel_names.size() >= kernel_count);

// Kernels write and read unsigned numbers of 32 and 64 bits with local atomics: OpenCL 1.1 has
// them.
constexpr const char* compiler_options = "-cl-std=CL1.2";

/// Cuts a text to fit, and leaves printable ASCII only.
void copy_text(char* target, std::size_t size, const std::string& text) {
    const std::size_t length = std::min(size - 1, text.size());
    std::transform(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(length), target,
                   [](char c) { return c >= ' ' && c <= '~' ? c : ' '; });
    target[length] = '\0';
}

template <std::size_t size>
void copy_text(char (&target)[size], const std::string& text) {
    copy_text(target, size, text);
}

// PoCL keeps the programs that it compiles, as libraries that it loads again: they must be where
// only this user can put one. Where HOME is not set, as in a server's child, it would take /tmp.
void keep_pocl_private() {
    if (std::getenv("POCL_CACHE_DIR") != nullptr) {
        return;
    }
    const std::string folder = "/tmp/vamhash-pocl-" + std::to_string(geteuid());
    struct stat entry {};
    mkdir(folder.c_str(), S_IRWXU);
    if (lstat(folder.c_str(), &entry) == 0 && S_ISDIR(entry.st_mode) && entry.st_uid == geteuid() &&
        (entry.st_mode & (S_IRWXG | S_IRWXO)) == 0) {
        setenv("POCL_CACHE_DIR", folder.c_str(), 0);
        return;
    }
    std::string unique = folder + "-XXXXXX";
    if (mkdtemp(unique.data()) != nullptr) {
        setenv("POCL_CACHE_DIR", unique.c_str(), 0);
    }
}

std::string text_of(cl_device_id device, cl_device_info what) {
    std::size_t size = 0;
    if (clGetDeviceInfo(device, what, 0, nullptr, &size) != CL_SUCCESS || size == 0) {
        return {};
    }
    std::string text(size, '\0');
    clGetDeviceInfo(device, what, size, text.data(), nullptr);
    text.resize(std::min(text.find('\0'), text.size())); // drivers end it with a zero
    return text;
}

template <typename Number>
Number number_of(cl_device_id device, cl_device_info what) {
    Number number{};
    clGetDeviceInfo(device, what, sizeof number, &number, nullptr);
    return number;
}

/// The devices of all platforms, in the order in which the loader has them.
std::vector<cl_device_id> all_devices() {
    keep_pocl_private();
    cl_uint platform_count = 0;
    if (clGetPlatformIDs(0, nullptr, &platform_count) != CL_SUCCESS) {
        return {};
    }
    std::vector<cl_platform_id> platforms(platform_count);
    clGetPlatformIDs(platform_count, platforms.data(), nullptr);
    std::vector<cl_device_id> devices;
    for (cl_platform_id platform : platforms) {
        cl_uint count = 0;
        if (clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 0, nullptr, &count) != CL_SUCCESS) {
            continue;
        }
        const std::size_t before = devices.size();
        devices.resize(before + count);
        clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, count, devices.data() + before, nullptr);
    }
    return devices;
}

/// Why a device cannot run the kernels; empty if it can.
std::string what_is_missing(cl_device_id device) {
    if (number_of<cl_bool>(device, CL_DEVICE_AVAILABLE) == CL_FALSE) {
        return "the device is not available";
    }
    if (number_of<cl_bool>(device, CL_DEVICE_COMPILER_AVAILABLE) == CL_FALSE) {
        return "its driver has no compiler";
    }
    if (number_of<cl_bool>(device, CL_DEVICE_ENDIAN_LITTLE) == CL_FALSE) {
        return "its byte order is not this machine's";
    }
    const std::string version = text_of(device, CL_DEVICE_OPENCL_C_VERSION);
    for (const char* const too_old : {"OpenCL C 1.0", "OpenCL C 1.1"}) {
        if (version.starts_with(too_old)) {
            return "it has " + version + ", and 1.2 is needed";
        }
    }
    constexpr std::size_t largest_group = 256;
    if (number_of<std::size_t>(device, CL_DEVICE_MAX_WORK_GROUP_SIZE) < largest_group) {
        return "its work-groups have fewer than 256 work-items";
    }
    return {};
}

std::uint32_t count_devices(char* reason, std::size_t reason_size) noexcept {
    try {
        const std::size_t count = all_devices().size();
        if (count == 0) {
            copy_text(reason, reason_size, "no OpenCL platform has a device");
        }
        return static_cast<std::uint32_t>(count);
    } catch (...) {
        copy_text(reason, reason_size, "out of memory");
        return 0;
    }
}

void describe(std::uint32_t number, DeviceProperties* properties) noexcept {
    *properties = {};
    try {
        const std::vector<cl_device_id> devices = all_devices();
        if (number >= devices.size()) {
            copy_text(properties->reason, "there is no such device");
            return;
        }
        cl_device_id device = devices[number];
        copy_text(properties->name, text_of(device, CL_DEVICE_NAME));
        copy_text(properties->capability, text_of(device, CL_DEVICE_VERSION));
        copy_text(properties->driver, text_of(device, CL_DRIVER_VERSION));
        copy_text(properties->reason, what_is_missing(device));
        properties->usable = properties->reason[0] == '\0' ? 1 : 0;
        properties->memory_bytes = number_of<cl_ulong>(device, CL_DEVICE_GLOBAL_MEM_SIZE);
        properties->free_bytes = unknown_device_bytes;
        properties->compute_units = number_of<cl_uint>(device, CL_DEVICE_MAX_COMPUTE_UNITS);
        properties->clock_mhz = number_of<cl_uint>(device, CL_DEVICE_MAX_CLOCK_FREQUENCY);
        properties->is_gpu =
            (number_of<cl_device_type>(device, CL_DEVICE_TYPE) & CL_DEVICE_TYPE_CPU) == 0 ? 1 : 0;
    } catch (...) {
        copy_text(properties->reason, "out of memory");
        properties->usable = 0;
    }
}

} // namespace

// Host memory that does not change before the queues are done. OpenCL pins nothing of the host's.
struct PinnedRange {
    std::uintptr_t first;
    std::uint64_t bytes;

    [[nodiscard]] bool holds(std::uintptr_t from, std::uint64_t count) const {
        return from >= first && from - first <= bytes && count <= bytes - (from - first);
    }
};

extern "C" {
struct OpenDevice {
    OpenDevice() = default;
    OpenDevice(const OpenDevice&) = delete;
    OpenDevice& operator=(const OpenDevice&) = delete;
    ~OpenDevice() {
        for (cl_kernel kernel : kernels) {
            if (kernel != nullptr) {
                clReleaseKernel(kernel);
            }
        }
        if (program != nullptr) {
            clReleaseProgram(program);
        }
        for (cl_command_queue queue : queues) {
            if (queue != nullptr) {
                clReleaseCommandQueue(queue);
            }
        }
        if (context != nullptr) {
            clReleaseContext(context);
        }
    }

    cl_device_id device = nullptr;
    cl_context context = nullptr;
    cl_program program = nullptr;
    std::array<cl_command_queue, device_queues> queues{};
    std::array<cl_kernel, kernel_names.size()> kernels{};
    std::vector<PinnedRange> pinned;
    std::array<char, 256> fault{};
};
}

namespace {

DeviceStatus status_of(OpenDevice& device, cl_int code, const char* call) {
    switch (code) {
    case CL_SUCCESS:
        return DeviceStatus::done;
    case CL_MEM_OBJECT_ALLOCATION_FAILURE:
    case CL_OUT_OF_RESOURCES:
    case CL_OUT_OF_HOST_MEMORY:
    case CL_INVALID_BUFFER_SIZE:
        std::snprintf(device.fault.data(), device.fault.size(), "out of memory (%s: error %d)",
                      call, code);
        return DeviceStatus::out_of_memory;
    default:
        std::snprintf(device.fault.data(), device.fault.size(), "%s: OpenCL error %d", call, code);
        return DeviceStatus::failed;
    }
}

/// What the compiler says first.
std::string build_log(const OpenDevice& device) {
    std::size_t size = 0;
    clGetProgramBuildInfo(device.program, device.device, CL_PROGRAM_BUILD_LOG, 0, nullptr, &size);
    std::string log(size, '\0');
    clGetProgramBuildInfo(device.program, device.device, CL_PROGRAM_BUILD_LOG, size, log.data(),
                          nullptr);
    return log;
}

/// Makes what an open device holds; returns what went wrong, or nothing.
std::string prepare(OpenDevice& device) {
    cl_int code = CL_SUCCESS;
    const auto failed = [&](const char* call) {
        return std::string(call) + ": OpenCL error " + std::to_string(code);
    };
    device.context = clCreateContext(nullptr, 1, &device.device, nullptr, nullptr, &code);
    if (code != CL_SUCCESS) {
        return failed("clCreateContext");
    }
    for (cl_command_queue& queue : device.queues) {
        queue = clCreateCommandQueue(device.context, device.device, 0, &code);
        if (code != CL_SUCCESS) {
            return failed("clCreateCommandQueue");
        }
    }
    const char* source = kernel_source;
    device.program = clCreateProgramWithSource(device.context, 1, &source, nullptr, &code);
    if (code != CL_SUCCESS) {
        return failed("clCreateProgramWithSource");
    }
    code = clBuildProgram(device.program, 1, &device.device, compiler_options, nullptr, nullptr);
    if (code != CL_SUCCESS) {
        return failed("clBuildProgram") + ": " + build_log(device);
    }
    for (std::size_t i = 0; i < kernel_names.size(); ++i) {
        device.kernels[i] = clCreateKernel(device.program, kernel_names[i], &code);
        if (code != CL_SUCCESS) {
            return failed("clCreateKernel");
        }
    }
    return {};
}

DeviceStatus open_device(std::uint32_t number, OpenDevice** opened, char* message,
                         std::size_t message_size) noexcept {
    *opened = nullptr;
    try {
        const std::vector<cl_device_id> devices = all_devices();
        if (number >= devices.size()) {
            copy_text(message, message_size, "there is no such device");
            return DeviceStatus::failed;
        }
        auto device = std::make_unique<OpenDevice>();
        device->device = devices[number];
        const std::string fault = prepare(*device);
        if (!fault.empty()) {
            copy_text(message, message_size, fault);
            return DeviceStatus::failed;
        }
        *opened = device.release();
        return DeviceStatus::done;
    } catch (...) {
        copy_text(message, message_size, "out of memory");
        return DeviceStatus::out_of_memory;
    }
}

void close_device(OpenDevice* device) noexcept {
    delete device;
}

const char* fault_of(const OpenDevice* device) noexcept {
    return device->fault.data();
}

// OpenCL cannot tell.
std::uint64_t free_bytes(OpenDevice* /*device*/) noexcept {
    return unknown_device_bytes;
}

// Drivers may put off the allocation to the first use: write something at both ends.
DeviceStatus allocate(OpenDevice* device, std::uint64_t bytes, DeviceArray** array) noexcept {
    *array = nullptr;
    cl_int code = CL_SUCCESS;
    cl_mem memory = clCreateBuffer(device->context, CL_MEM_READ_WRITE, bytes, nullptr, &code);
    if (code == CL_SUCCESS) {
        const std::uint8_t zero = 0;
        for (const std::uint64_t at : {std::uint64_t{0}, bytes - 1}) {
            if (code == CL_SUCCESS) {
                code = clEnqueueWriteBuffer(device->queues[0], memory, CL_TRUE, at, 1, &zero, 0,
                                            nullptr, nullptr);
            }
        }
        if (code != CL_SUCCESS) {
            clReleaseMemObject(memory);
        }
    }
    if (code == CL_SUCCESS) {
        *array = new (std::nothrow) DeviceArray{memory};
        if (*array == nullptr) {
            clReleaseMemObject(memory);
            code = CL_OUT_OF_HOST_MEMORY;
        }
    }
    return status_of(*device, code, "clCreateBuffer");
}

void release(OpenDevice* /*device*/, DeviceArray* array) noexcept {
    clReleaseMemObject(array->memory);
    delete array;
}

DeviceStatus pin(OpenDevice* device, const void* memory, std::uint64_t bytes) noexcept {
    try {
        device->pinned.push_back({reinterpret_cast<std::uintptr_t>(memory), bytes});
        return DeviceStatus::done;
    } catch (...) {
        return DeviceStatus::out_of_memory;
    }
}

void unpin(OpenDevice* device, const void* memory) noexcept {
    const auto range = std::ranges::find(device->pinned, reinterpret_cast<std::uintptr_t>(memory),
                                         &PinnedRange::first);
    if (range != device->pinned.end()) {
        device->pinned.erase(range);
    }
}

DeviceStatus write(OpenDevice* device, std::uint32_t queue, DeviceArray* array,
                   std::uint64_t offset, const void* source, std::uint64_t bytes) noexcept {
    const auto first = reinterpret_cast<std::uintptr_t>(source);
    const bool may_go_on = std::ranges::any_of(
        device->pinned, [&](const PinnedRange& range) { return range.holds(first, bytes); });
    const cl_int code =
        clEnqueueWriteBuffer(device->queues[queue], array->memory, may_go_on ? CL_FALSE : CL_TRUE,
                             offset, bytes, source, 0, nullptr, nullptr);
    if (code == CL_SUCCESS && may_go_on) {
        clFlush(device->queues[queue]);
    }
    return status_of(*device, code, "clEnqueueWriteBuffer");
}

DeviceStatus read(OpenDevice* device, std::uint32_t queue, const DeviceArray* array,
                  std::uint64_t offset, void* target, std::uint64_t bytes) noexcept {
    return status_of(*device,
                     clEnqueueReadBuffer(device->queues[queue], array->memory, CL_TRUE, offset,
                                         bytes, target, 0, nullptr, nullptr),
                     "clEnqueueReadBuffer");
}

DeviceStatus clear(OpenDevice* device, std::uint32_t queue, DeviceArray* array,
                   std::uint64_t bytes) noexcept {
    const cl_uint zero = 0;
    return status_of(*device,
                     clEnqueueFillBuffer(device->queues[queue], array->memory, &zero, sizeof zero,
                                         0, bytes, 0, nullptr, nullptr),
                     "clEnqueueFillBuffer");
}

DeviceStatus launch(OpenDevice* device, std::uint32_t queue, Kernel kernel, std::uint32_t groups,
                    std::uint32_t group_size, const KernelArgument* arguments,
                    std::size_t count) noexcept {
    cl_kernel function = device->kernels[static_cast<std::size_t>(kernel)];
    for (std::size_t i = 0; i < count; ++i) {
        const KernelArgument& argument = arguments[i];
        const bool is_array = argument.array != nullptr;
        const cl_int code = clSetKernelArg(
            function, static_cast<cl_uint>(i), is_array ? sizeof(cl_mem) : argument.size,
            is_array ? static_cast<const void*>(&argument.array->memory) : argument.number);
        if (code != CL_SUCCESS) {
            return status_of(*device, code, "clSetKernelArg");
        }
    }
    const std::size_t local = group_size;
    const std::size_t global = local * groups;
    const cl_int code = clEnqueueNDRangeKernel(device->queues[queue], function, 1, nullptr, &global,
                                               &local, 0, nullptr, nullptr);
    if (code == CL_SUCCESS) {
        clFlush(device->queues[queue]);
    }
    return status_of(*device, code, kernel_names[static_cast<std::size_t>(kernel)]);
}

DeviceStatus finish(OpenDevice* device, std::uint32_t queue) noexcept {
    return status_of(*device, clFinish(device->queues[queue]), "clFinish");
}

constexpr DeviceBackend backend = {
    .version = device_backend_version,
    .name = "opencl",
    .count = count_devices,
    .describe = describe,
    .open = open_device,
    .close = close_device,
    .fault = fault_of,
    .free_bytes = free_bytes,
    .allocate = allocate,
    .release = release,
    .pin = pin,
    .unpin = unpin,
    .write = write,
    .read = read,
    .clear = clear,
    .launch = launch,
    .finish = finish,
    .load_jpeg_decoder = nullptr,
    .decode_jpeg_files = nullptr,
};

} // namespace

extern "C" __attribute__((visibility("default"))) const DeviceBackend*
vamhash_device_backend_plugin() noexcept {
    return &backend;
}

} // namespace vamhash::plugin
