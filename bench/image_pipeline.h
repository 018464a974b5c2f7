// What the engine's two processes do with images, in one process and without PostgreSQL: decoders
// (ImageWorkers) put pictures into an arena, and a thread hashes its parts on a device. Or what of
// that the decoders can do alone.
#pragma once

#include "device/device.h"
#include "engine/arena.h"
#include "hash/device_hasher.h"
#include "hash/image_hasher.h"
#include "timed_backend.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace vamhash {

/// How JPEGs are decoded; with nvjpeg, fast and by the device's own decoder where that can be.
enum class Decoding : std::uint8_t { exact, fast, nvjpeg };
constexpr std::size_t decodings = 3;

/// A JPEG, and the hashes that it must be given.
struct TestImage {
    std::string path;
    std::uint64_t bytes = 0;
    std::uint64_t pixels = 0;
    std::array<ImageHashes, decodings> hashes; // by Decoding

    [[nodiscard]] const ImageHashes& by(Decoding decoding) const {
        return hashes.at(static_cast<std::size_t>(decoding));
    }
};

enum class ImageWork : std::uint8_t {
    decode,      // by libjpeg-turbo to RGB
    entropy,     // to coefficients
    hash,        // on the CPU
    device,      // on the device; where there is no room for a picture, a decoder waits
    device_auto, // where there is none, the decoder hashes
};

/// A device and an arena that is pinned for it, as large as one of so many decoders is in
/// PostgreSQL.
class DevicePipeline {
  public:
    DevicePipeline(Device& device, unsigned decoders);

    [[nodiscard]] Device& device() { return device_; }
    [[nodiscard]] const MappedArena& arena(bool waits, Decoding decoding);
    [[nodiscard]] bool is_pinned() const { return pinned_.is_pinned(); }

  private:
    Device& device_;
    MappedArena arena_;
    PinnedMemory pinned_;
};

/// What was done, in seconds. Those of decoders and readers are summed over the threads.
struct ImageRun {
    std::uint64_t images = 0;
    double wall = 0;
    double reading = 0;
    double decoding = 0; // the processor's time of decoders in an image, hashing included
    double waiting = 0;  // their other time in an image: for room in the arena, or a processor
    double device = 0;   // while the device had a batch
    std::uint64_t batches = 0;
    std::uint64_t on_device = 0; // images
    std::uint64_t left = 0;      // by the device to the CPU, which hashed them at the end
};

/// Does the work on images, from the first again after the last, by so many decoders for so many
/// seconds, and what was begun to its end. Throws where an image's hashes are not its own.
ImageRun run_images(std::span<const TestImage> images, ImageWork work, Decoding decoding,
                    unsigned decoders, double seconds, DevicePipeline* pipeline);

/// The hashes of an image by a device whose decoder of JPEG files has been loaded, or the CPU's of
/// fast decoding where it does not take the file.
ImageHashes hash_by_nvjpeg(const std::string& path, DevicePipeline& pipeline);

/// What a device takes for one batch, as large as a part of the arena has room for.
struct BatchTimes {
    std::uint64_t pictures = 0;
    std::uint64_t bytes = 0; // of them
    double whole = 0;        // copies, kernels and the host's part overlapping: the best run's
    double apart = 0;        // each waited for before the next begins, and ...
    DeviceTimes times;       // ... what of that are these
};

/// Hashes the first of the images over and over. Nothing if not one has room.
std::optional<BatchTimes> time_batch(std::span<const TestImage> images, Decoding decoding,
                                     double seconds, DevicePipeline& pipeline);

/// An image file's bytes.
std::vector<std::uint8_t> read_image(const std::string& path);

} // namespace vamhash
