// What codec gives and what can be wrong with an image: the words shared by codec, hash and engine.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

namespace vamhash {

/// Why an image has no hash. The names are the SQL column `status`, the values travel in frames.
enum class ImageStatus : std::uint16_t {
    ok = 0,
    truncated = 1,   // the data ends before the picture does
    corrupt = 2,     // the data contradicts itself or its format
    unsupported = 3, // not an image, or one this build cannot read
    too_large = 4,   // over vamhash.max_image_bytes or vamhash.max_image_pixels
    not_found = 5,
    denied = 6,
    timeout = 7,
    out_of_memory = 100, // the engine's doing or the server's: no fault of the image
};

/// Thrown by the codecs; what() is a sentence fragment that names the format and the fault.
class ImageError : public std::runtime_error {
  public:
    ImageError(ImageStatus status, const std::string& what)
        : std::runtime_error(what), status_(status) {}
    [[nodiscard]] ImageStatus status() const { return status_; }

  private:
    ImageStatus status_;
};

struct DecodeOptions {
    // JPEG scaled by 1/8, 1/4 or 1/2 in the DCT domain, the largest that leaves the smaller side
    // 64 pixels or more, and luma only; other formats as exact
    bool fast = false;
    bool orient = false; // apply the EXIF orientation before hashing
    bool keep_truncated = false;
    std::uint64_t max_pixels = 500'000'000;
};

struct ImageInfo {
    std::uint32_t width = 0; // pixels, as shown: after orientation where that was asked for
    std::uint32_t height = 0;
    std::string_view format;    // "jpeg", "png", ...
    std::string truncated = {}; // what is missing, empty: nothing
};

/// Receives one image's grey pixels (Pillow's "L"), top row first.
class GreySink {
  public:
    GreySink() = default;
    GreySink(const GreySink&) = delete;
    GreySink& operator=(const GreySink&) = delete;
    virtual ~GreySink() = default;

    /// Called once, before the first row: the size of the pixel grid that follows. Under fast
    /// decoding this is the scaled grid, not the image's own size.
    virtual void start(std::uint32_t width, std::uint32_t height) = 0;

    /// Takes `count` further rows of `width` bytes each, `stride` bytes apart.
    virtual void rows(const std::uint8_t* pixels, std::size_t stride, std::uint32_t count) = 0;
};

/// Decodes an encoded image into grey rows. Knows the format by its content, never by a name.
/// Throws ImageError; the sink may by then have seen some rows.
///
/// With keep_truncated, an image whose data ends early is no error where any of its pixels are
/// there and Pillow, told to load truncated images, would load it: the sink gets all rows, the
/// missing pixels as Pillow leaves them, and ImageInfo::truncated says, as an error would, what is
/// wrong.
ImageInfo decode_grey(std::span<const std::uint8_t> image, const DecodeOptions& options,
                      GreySink& sink);

} // namespace vamhash
