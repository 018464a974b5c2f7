// A device backend that is another one, with a decoder of JPEG files: libjpeg decodes, and its
// pixels go to the device.
#pragma once

#include "plugin/device_backend.h"

#include "luma_of_jpeg.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace vamhash::test {

/// Another backend's functions, with such a decoder. There is one at a time.
class DecodingBackend {
  public:
    explicit DecodingBackend(const plugin::DeviceBackend& other) : table_(other) {
        real() = &other;
        status() = plugin::DeviceStatus::done;
        table_.load_jpeg_decoder = load;
        table_.decode_jpeg_files = decode;
    }

    [[nodiscard]] const plugin::DeviceBackend& table() const { return table_; }

    /// What the next call of the decoder meets; those that follow go well.
    static plugin::DeviceStatus& status() {
        static plugin::DeviceStatus next;
        return next;
    }

    /// The most bytes of files that a call was given.
    static std::uint64_t& most_bytes() {
        static std::uint64_t most;
        return most;
    }

  private:
    using Status = plugin::DeviceStatus;

    static const plugin::DeviceBackend*& real() {
        static const plugin::DeviceBackend* backend;
        return backend;
    }

    static Status load(plugin::OpenDevice* /*device*/) noexcept { return Status::done; }

    static Status decode(plugin::OpenDevice* device, std::uint32_t queue,
                         plugin::DeviceArray* array, plugin::JpegFile* files,
                         std::size_t count) noexcept {
        if (status() != Status::done) {
            return std::exchange(status(), Status::done);
        }
        std::uint64_t bytes = 0;
        for (plugin::JpegFile& file : std::span(files, count)) {
            bytes += file.size;
            most_bytes() = std::max(most_bytes(), bytes);
            const std::optional<std::vector<std::uint8_t>> luma = luma_of(file);
            file.decoded = luma ? 1 : 0;
            const Status written =
                luma ? real()->write(device, queue, array, file.offset, luma->data(), luma->size())
                     : Status::done;
            if (written != Status::done) {
                return written;
            }
        }
        return Status::done;
    }

    plugin::DeviceBackend table_;
};

} // namespace vamhash::test
