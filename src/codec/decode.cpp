// decode_grey: recognises the format, decodes, and turns the picture where that was asked for.
#include "codec/format.h"
#include "codec/orient.h"

#include <new>
#include <utility>

namespace vamhash {

namespace {

/// Decodes by one format's codec, with the orientation applied.
ImageInfo decode_by(const Format& format, std::span<const std::uint8_t> image,
                    const DecodeOptions& options, GreySink& sink) {
    const bool upright = options.orient || format.always_upright;
    const Orientation orientation = upright && format.orientation != nullptr
                                        ? format.orientation(image)
                                        : Orientation::as_stored;
    if (orientation == Orientation::as_stored) {
        return format.decode(image, options, sink);
    }
    OrientingSink orienting(orientation, sink);
    ImageInfo info = format.decode(image, options, orienting);
    if (swaps_axes(orientation)) {
        std::swap(info.width, info.height);
    }
    return info;
}

} // namespace

ImageInfo decode_grey(std::span<const std::uint8_t> image, const DecodeOptions& options,
                      GreySink& sink) {
    if (image.empty()) {
        throw ImageError(ImageStatus::truncated, "image is empty");
    }
    const Format* format = recognise(image);
    if (format == nullptr) {
        throw ImageError(ImageStatus::unsupported, "not a recognised image format");
    }
    if (format->decode == nullptr) {
        throw no_codec_error(*format);
    }
    try {
        return decode_by(*format, image, options, sink);
    } catch (const std::bad_alloc&) {
        throw format_error(*format, ImageStatus::out_of_memory, "out of memory");
    }
}

} // namespace vamhash
