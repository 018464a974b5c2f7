// Devices by CUDA's runtime, which is linked statically and finds the driver (libcuda) by itself.
#include "plugin/device_backend.h"
#ifdef VAMHASH_NVJPEG
#include "plugin/nvjpeg_decoder.h"
#endif

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <cuda_runtime.h>
#include <memory>
#include <new>
#include <string>

#include "../../kernels/all.h"
#ifdef VAMHASH_BENCH_KERNELS // of the benchmark's own build
#include "../../bench/limit_kernels.h"
#endif

namespace vamhash::plugin {

extern "C" {
struct DeviceArray {
    char* memory;
};

struct OpenDevice {
    std::array<cudaStream_t, device_queues> queues{};
#ifdef VAMHASH_NVJPEG
    std::unique_ptr<NvJpegDecoder> jpeg_decoder;
#endif
    std::array<char, 256> fault{};
};
}

namespace {

const std::array kernels = {
    reinterpret_cast<const void*>(count_keys),
    reinterpret_cast<const void*>(scatter_codes),
    reinterpret_cast<const void*>(sum_blocks_u32),
    reinterpret_cast<const void*>(scan_sums_u32),
    reinterpret_cast<const void*>(scan_blocks_u32),
    reinterpret_cast<const void*>(sum_blocks_u64),
    reinterpret_cast<const void*>(scan_sums_u64),
    reinterpret_cast<const void*>(scan_blocks_u64),
    reinterpret_cast<const void*>(count_tiles),
    reinterpret_cast<const void*>(compare_tiles),
    reinterpret_cast<const void*>(compare_runs),
    reinterpret_cast<const void*>(resample_lines),
    reinterpret_cast<const void*>(sum_image_blocks),
    reinterpret_cast<const void*>(make_image_bits),
    reinterpret_cast<const void*>(decode_jpeg_blocks),
    reinterpret_cast<const void*>(convert_jpeg_tiles),
#ifdef VAMHASH_BENCH_KERNELS
    reinterpret_cast<const void*>(copy_codes),
    reinterpret_cast<const void*>(count_bits),
    reinterpret_cast<const void*>(count_near),
#endif
};
static_assert(std::tuple_size_v<decltype(kernels)> >= kernel_count);

constexpr std::size_t most_arguments = 16;

/// Cuts a text to fit.
void copy_text(char* target, std::size_t size, const char* text) {
    std::snprintf(target, size, "%s", text);
}

std::string version_text(int version) {
    return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

std::uint32_t count_devices(char* reason, std::size_t reason_size) noexcept {
    int count = 0;
    const cudaError_t error = cudaGetDeviceCount(&count);
    if (error != cudaSuccess) {
        cudaGetLastError(); // it would be told again
        int driver = 0;
        const bool has_driver = cudaDriverGetVersion(&driver) == cudaSuccess && driver != 0;
        copy_text(reason, reason_size,
                  has_driver ? cudaGetErrorString(error) : "no CUDA driver was found");
        return 0;
    }
    if (count == 0) {
        copy_text(reason, reason_size, "no CUDA device was found");
    }
    return static_cast<std::uint32_t>(count);
}

/// Why the kernels in this library cannot run on a device; empty if they can.
std::string what_is_missing(const cudaDeviceProp& device, int compute_mode) {
    constexpr int least_capability = 75;
    const int capability = device.major * 10 + device.minor;
    if (compute_mode == cudaComputeModeProhibited) {
        return "its compute mode prohibits it";
    }
    if (capability < least_capability) {
        return "its compute capability is under 7.5";
    }
    return {};
}

void describe(std::uint32_t number, DeviceProperties* properties) noexcept {
    *properties = {};
    properties->free_bytes = unknown_device_bytes;
    const int device = static_cast<int>(number);
    cudaDeviceProp found{};
    int driver = 0;
    int clock_khz = 0;
    int mode = cudaComputeModeDefault;
    cudaError_t error = cudaGetDeviceProperties(&found, device);
    if (error == cudaSuccess) {
        error = cudaDriverGetVersion(&driver);
    }
    if (error == cudaSuccess) {
        error = cudaDeviceGetAttribute(&clock_khz, cudaDevAttrClockRate, device);
    }
    if (error == cudaSuccess) {
        error = cudaDeviceGetAttribute(&mode, cudaDevAttrComputeMode, device);
    }
    if (error != cudaSuccess) {
        cudaGetLastError();
        copy_text(properties->reason, sizeof properties->reason, cudaGetErrorString(error));
        return;
    }
    try {
        int runtime = 0;
        cudaRuntimeGetVersion(&runtime);
        copy_text(properties->name, sizeof properties->name, found.name);
        std::snprintf(properties->capability, sizeof properties->capability, "%d.%d", found.major,
                      found.minor);
        copy_text(properties->driver, sizeof properties->driver,
                  ("CUDA " + version_text(driver) + ", runtime " + version_text(runtime)).c_str());
        copy_text(properties->reason, sizeof properties->reason,
                  what_is_missing(found, mode).c_str());
    } catch (...) {
        copy_text(properties->reason, sizeof properties->reason, "out of memory");
    }
    properties->usable = properties->reason[0] == '\0' ? 1 : 0;
    properties->memory_bytes = found.totalGlobalMem;
    properties->compute_units = static_cast<std::uint32_t>(found.multiProcessorCount);
    properties->clock_mhz = static_cast<std::uint32_t>(clock_khz / 1000);
    properties->is_gpu = 1;
}

DeviceStatus status_of(OpenDevice& device, cudaError_t error, const char* call) {
    if (error == cudaSuccess) {
        return DeviceStatus::done;
    }
    std::snprintf(device.fault.data(), device.fault.size(), "%s: %s", call,
                  cudaGetErrorString(error));
    if (error == cudaErrorMemoryAllocation) {
        cudaGetLastError(); // a later launch would tell it again
        return DeviceStatus::out_of_memory;
    }
    return DeviceStatus::failed;
}

DeviceStatus open_device(std::uint32_t number, OpenDevice** opened, char* message,
                         std::size_t message_size) noexcept {
    *opened = nullptr;
    std::unique_ptr<OpenDevice> device(new (std::nothrow) OpenDevice);
    if (!device) {
        copy_text(message, message_size, "out of memory");
        return DeviceStatus::out_of_memory;
    }
    // Waiting threads sleep: the cores belong to the join's other threads.
    cudaError_t error = cudaInitDevice(static_cast<int>(number), cudaDeviceScheduleBlockingSync,
                                       cudaInitDeviceFlagsAreValid);
    if (error == cudaSuccess) {
        error = cudaSetDevice(static_cast<int>(number));
    }
    for (cudaStream_t& queue : device->queues) {
        if (error == cudaSuccess) {
            error = cudaStreamCreateWithFlags(&queue, cudaStreamNonBlocking);
        }
    }
    if (error != cudaSuccess) {
        cudaGetLastError();
        copy_text(message, message_size, cudaGetErrorString(error));
        return error == cudaErrorMemoryAllocation ? DeviceStatus::out_of_memory
                                                  : DeviceStatus::failed;
    }
    *opened = device.release();
    return DeviceStatus::done;
}

void close_device(OpenDevice* device) noexcept {
    cudaDeviceSynchronize();
#ifdef VAMHASH_NVJPEG
    device->jpeg_decoder.reset();
#endif
    for (cudaStream_t queue : device->queues) {
        cudaStreamDestroy(queue);
    }
    cudaDeviceReset();
    delete device;
}

const char* fault_of(const OpenDevice* device) noexcept {
    return device->fault.data();
}

std::uint64_t free_bytes(OpenDevice* /*device*/) noexcept {
    std::size_t free = 0;
    std::size_t total = 0;
    return cudaMemGetInfo(&free, &total) == cudaSuccess ? free : unknown_device_bytes;
}

DeviceStatus allocate(OpenDevice* device, std::uint64_t bytes, DeviceArray** array) noexcept {
    *array = new (std::nothrow) DeviceArray{};
    if (*array == nullptr) {
        copy_text(device->fault.data(), device->fault.size(), "out of memory");
        return DeviceStatus::out_of_memory;
    }
    const DeviceStatus status =
        status_of(*device, cudaMalloc(&(*array)->memory, bytes), "cudaMalloc");
    if (status != DeviceStatus::done) {
        delete *array;
        *array = nullptr;
    }
    return status;
}

void release(OpenDevice* /*device*/, DeviceArray* array) noexcept {
    cudaFree(array->memory);
    delete array;
}

DeviceStatus pin(OpenDevice* device, const void* memory, std::uint64_t bytes) noexcept {
    const cudaError_t error =
        cudaHostRegister(const_cast<void*>(memory), bytes, cudaHostRegisterDefault);
    if (error == cudaSuccess) {
        return DeviceStatus::done;
    }
    cudaGetLastError(); // a later launch would tell it again
    status_of(*device, error, "cudaHostRegister");
    return DeviceStatus::out_of_memory;
}

void unpin(OpenDevice* /*device*/, const void* memory) noexcept {
    if (cudaHostUnregister(const_cast<void*>(memory)) != cudaSuccess) {
        cudaGetLastError();
    }
}

// From memory that is not pinned, the copy has left it when the call returns.
DeviceStatus write(OpenDevice* device, std::uint32_t queue, DeviceArray* array,
                   std::uint64_t offset, const void* source, std::uint64_t bytes) noexcept {
    return status_of(*device,
                     cudaMemcpyAsync(array->memory + offset, source, bytes, cudaMemcpyHostToDevice,
                                     device->queues[queue]),
                     "cudaMemcpyAsync");
}

DeviceStatus finish(OpenDevice* device, std::uint32_t queue) noexcept {
    return status_of(*device, cudaStreamSynchronize(device->queues[queue]),
                     "cudaStreamSynchronize");
}

DeviceStatus read(OpenDevice* device, std::uint32_t queue, const DeviceArray* array,
                  std::uint64_t offset, void* target, std::uint64_t bytes) noexcept {
    const DeviceStatus status =
        status_of(*device,
                  cudaMemcpyAsync(target, array->memory + offset, bytes, cudaMemcpyDeviceToHost,
                                  device->queues[queue]),
                  "cudaMemcpyAsync");
    return status == DeviceStatus::done ? finish(device, queue) : status;
}

DeviceStatus clear(OpenDevice* device, std::uint32_t queue, DeviceArray* array,
                   std::uint64_t bytes) noexcept {
    return status_of(*device, cudaMemsetAsync(array->memory, 0, bytes, device->queues[queue]),
                     "cudaMemsetAsync");
}

DeviceStatus launch(OpenDevice* device, std::uint32_t queue, Kernel kernel, std::uint32_t groups,
                    std::uint32_t group_size, const KernelArgument* arguments,
                    std::size_t count) noexcept {
    std::array<void*, most_arguments> values{};
    if (count > values.size()) {
        return status_of(*device, cudaErrorInvalidValue, "launch");
    }
    for (std::size_t i = 0; i < count; ++i) {
        const KernelArgument& argument = arguments[i];
        values[i] = argument.array != nullptr
                        ? const_cast<void*>(static_cast<const void*>(&argument.array->memory))
                        : const_cast<void*>(argument.number);
    }
    return status_of(*device,
                     cudaLaunchKernel(kernels[static_cast<std::size_t>(kernel)], dim3(groups),
                                      dim3(group_size), values.data(), 0, device->queues[queue]),
                     "cudaLaunchKernel");
}

#ifdef VAMHASH_NVJPEG
DeviceStatus load_jpeg_decoder(OpenDevice* device) noexcept {
    try {
        if (!device->jpeg_decoder) {
            device->jpeg_decoder = std::make_unique<NvJpegDecoder>();
        }
        return DeviceStatus::done;
    } catch (const std::exception& error) {
        copy_text(device->fault.data(), device->fault.size(), error.what());
        return DeviceStatus::failed;
    }
}

DeviceStatus decode_jpeg_files(OpenDevice* device, std::uint32_t queue, DeviceArray* array,
                               JpegFile* files, std::size_t count) noexcept {
    try {
        NvJpegDecoder& decoder = *device->jpeg_decoder;
        const DeviceStatus status =
            decoder.decode(queue, device->queues[queue], array->memory, files, count);
        copy_text(device->fault.data(), device->fault.size(), decoder.fault().c_str());
        return status;
    } catch (const std::exception& error) { // of the host's memory
        copy_text(device->fault.data(), device->fault.size(), error.what());
        return DeviceStatus::out_of_memory;
    }
}
#endif

const DeviceBackend backend = {
    .version = device_backend_version,
    .name = "cuda",
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
#ifdef VAMHASH_NVJPEG
    .load_jpeg_decoder = load_jpeg_decoder,
    .decode_jpeg_files = decode_jpeg_files,
#else
    .load_jpeg_decoder = nullptr,
    .decode_jpeg_files = nullptr,
#endif
};

} // namespace

extern "C" __attribute__((visibility("default"))) const DeviceBackend*
vamhash_device_backend_plugin() noexcept {
    return &backend;
}

} // namespace vamhash::plugin
