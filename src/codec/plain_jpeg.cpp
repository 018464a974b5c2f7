#include "codec/plain_jpeg.h"

#include "codec/format.h"
#include "codec/jpeg.h"
#include "codec/jpeg_library.h"
#include "codec/jpeg_scan.h"

#include <cstring>
#include <limits>

namespace vamhash {

namespace {

/// Behind the end of image that follows a scan's data; nullptr where another marker does, or none.
const std::uint8_t* find_end(const std::uint8_t* data, std::size_t size) {
    const std::uint8_t* const end = data + size;
    for (;;) {
        const void* const found = std::memchr(data, 0xFF, end - data);
        data = static_cast<const std::uint8_t*>(found);
        if (found == nullptr || end - data < 2) {
            return nullptr;
        }
        const std::uint8_t marker = data[1];
        const bool goes_on = marker == 0 || (marker >= JPEG_RST0 && marker <= JPEG_RST0 + 7);
        if (!goes_on && marker != 0xFF) {
            return marker == JPEG_EOI ? data + 2 : nullptr;
        }
        data += goes_on ? 2 : 1; // any number of 0xFF may stand before a marker
    }
}

class PlainReader : private JpegLibrary {
  public:
    std::optional<PlainJpeg> read(std::span<const std::uint8_t> image,
                                  const DecodeOptions& options) {
        read_header(image, options);
        require_usual(cinfo_);
        require(cinfo_.jpeg_color_space == JCS_GRAYSCALE || cinfo_.jpeg_color_space == JCS_YCbCr);
        require(cinfo_.comp_info[0].h_samp_factor == cinfo_.max_h_samp_factor &&
                cinfo_.comp_info[0].v_samp_factor == cinfo_.max_v_samp_factor);
        const std::uint8_t* const end =
            find_end(cinfo_.src->next_input_byte, cinfo_.src->bytes_in_buffer);
        require(end != nullptr);
        const std::size_t bytes = end - image.data();
        require(bytes <= std::numeric_limits<std::uint32_t>::max());
        return PlainJpeg{.width = cinfo_.image_width,
                         .height = cinfo_.image_height,
                         .bytes = static_cast<std::uint32_t>(bytes)};
    }
};

} // namespace

std::optional<PlainJpeg> plain_jpeg(std::span<const std::uint8_t> image,
                                    const DecodeOptions& options) {
    if (recognise(image) != &jpeg_format) {
        return std::nullopt;
    }
    try {
        return PlainReader().read(image, options);
    } catch (const GiveUp&) {
        return std::nullopt;
    } catch (const ImageError&) {
        return std::nullopt;
    }
}

} // namespace vamhash
