// Devices as an engine with bad luck has them, for tests of what becomes of images then. Any device
// is used by itself, PoCL's CPU, too. The size of a picture says what happens to the batch in which
// it is: 66 x 61 pixels, the device fails; 66 x 62, the engine ends; 66 x 63, it hangs; a picture
// of 66 x 64 is left to the CPU. And it has a decoder of JPEG files, which is libjpeg. It is linked
// into vamhash-engine-misbehaving by the linker's --wrap: calls of these functions come here first.
#include "hash/device_hasher.h"

#include "luma_of_jpeg.h"

#include <csignal>
#include <unistd.h>

namespace {

using namespace vamhash;
using Hashes = std::vector<std::optional<ImageHashes>>;

constexpr std::uint32_t telling_width = 66;

std::uint32_t height_of(const DevicePicture& picture) {
    return picture.jpeg ? picture.jpeg->height : picture.height;
}

bool tells(const DevicePicture& picture) {
    return (picture.jpeg ? picture.jpeg->width : picture.width) == telling_width;
}

} // namespace

Hashes real_hash(DeviceHasher* hasher,
                 std::span<const DevicePicture> pictures) __asm__("__real_" VAMHASH_HASH_ON_DEVICE);
Hashes
wrapped_hash(DeviceHasher* hasher,
             std::span<const DevicePicture> pictures) __asm__("__wrap_" VAMHASH_HASH_ON_DEVICE);
bool wrapped_is_used_by_itself(const plugin::DeviceProperties& device) __asm__(
    "__wrap_" VAMHASH_IS_USED_BY_ITSELF);
void wrapped_load_jpeg_decoder(Device* device) __asm__("__wrap_" VAMHASH_LOAD_JPEG_DECODER);
void wrapped_decode_jpeg_files(Device* device, DeviceMemory& to, std::span<plugin::JpegFile> files,
                               std::uint32_t queue) __asm__("__wrap_" VAMHASH_DECODE_JPEG_FILES);

Hashes wrapped_hash(DeviceHasher* hasher, std::span<const DevicePicture> pictures) {
    for (const DevicePicture& picture : pictures) {
        if (!tells(picture)) {
            continue;
        }
        switch (height_of(picture)) {
        case 61:
            throw DeviceFailed("a picture of bad luck");
        case 62:
            std::raise(SIGKILL);
            break;
        case 63:
            for (;;) {
                pause();
            }
        default:
            break;
        }
    }
    Hashes hashes = real_hash(hasher, pictures);
    for (std::size_t i = 0; i < pictures.size(); ++i) {
        if (tells(pictures[i]) && height_of(pictures[i]) == 64) {
            hashes[i].reset();
        }
    }
    return hashes;
}

bool wrapped_is_used_by_itself(const plugin::DeviceProperties& /*device*/) {
    return true;
}

void wrapped_load_jpeg_decoder(Device* /*device*/) {}

void wrapped_decode_jpeg_files(Device* device, DeviceMemory& to, std::span<plugin::JpegFile> files,
                               std::uint32_t queue) {
    for (plugin::JpegFile& file : files) {
        const std::optional<std::vector<std::uint8_t>> luma = test::luma_of(file);
        file.decoded = luma ? 1 : 0;
        if (luma) {
            device->write(to, std::span<const std::uint8_t>(*luma), queue, file.offset);
            device->finish(queue);
        }
    }
}
