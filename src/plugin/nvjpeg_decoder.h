// JPEG files to their luma on a CUDA device, by NVIDIA's nvJPEG. The library is loaded where it is
// installed; nothing is linked to it.
#pragma once

#include "plugin/device_backend.h"

#include <array>
#include <cstddef>
#include <cuda_runtime_api.h>
#include <memory>
#include <string>

namespace vamhash::plugin {

/// The decoder of a device that is current and stays so. Nothing runs in a queue when it goes.
class NvJpegDecoder {
  public:
    /// Throws std::runtime_error with the reason why there is none.
    NvJpegDecoder();
    ~NvJpegDecoder();
    NvJpegDecoder(const NvJpegDecoder&) = delete;
    NvJpegDecoder& operator=(const NvJpegDecoder&) = delete;

    /// Decodes files into memory of the device, in a queue and its stream. The bytes are copied
    /// first, and only the copies are looked at. What is not done is told by fault().
    DeviceStatus decode(std::uint32_t queue, cudaStream_t stream, char* memory, JpegFile* files,
                        std::size_t count);
    [[nodiscard]] const std::string& fault() const { return fault_; }

  private:
    struct Library;
    struct Queue;
    struct Output;

    DeviceStatus copy(Queue& queue, cudaStream_t stream, JpegFile* files, std::size_t count);
    DeviceStatus decode_batch(Queue& queue, cudaStream_t stream, std::size_t count);
    DeviceStatus decode_one(Queue& queue, cudaStream_t stream, Output& output);
    DeviceStatus check(int status, const char* call);

    std::unique_ptr<Library> library_;
    std::array<std::unique_ptr<Queue>, device_queues> queues_;
    std::string fault_;
};

} // namespace vamhash::plugin
