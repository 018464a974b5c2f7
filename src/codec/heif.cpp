// HEIC and AVIF by libheif, in vamhash_heif.so (plugin/heif.cpp).
//
// A picture's rotation, mirroring and clean aperture are properties of it in these formats, and the
// standard has them applied on decoding; libheif does. So there is no orientation here: where a
// file has EXIF data, too, their orientation repeats that of the properties or contradicts it, and
// is to be ignored (ISO/IEC 23008-12, annex A). pillow_heif does the same, and so does Pillow for
// AVIF when asked for the upright picture.
#include "codec/heif.h"

#include "codec/picture_plugin.h"

namespace vamhash {

namespace {

PicturePlugin& heif_plugin() {
    static PicturePlugin plugin("vamhash_heif.so", "libheif");
    return plugin;
}

void load_heif() {
    heif_plugin().load();
}

std::string heif_path() {
    return heif_plugin().path();
}

template <const Format& format>
ImageInfo decode_heif(std::span<const std::uint8_t> image, const DecodeOptions& options,
                      GreySink& sink) {
    return heif_plugin().decode(format, image, options, sink);
}

} // namespace

const Format heic_format{.name = "heic",
                         .title = "HEIC",
                         .decode = decode_heif<heic_format>,
                         .load = load_heif,
                         .plugin = heif_path};
const Format avif_format{.name = "avif",
                         .title = "AVIF",
                         .decode = decode_heif<avif_format>,
                         .load = load_heif,
                         .plugin = heif_path};

} // namespace vamhash
