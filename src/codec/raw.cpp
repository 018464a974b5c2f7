// Camera RAW by LibRaw, in vamhash_raw.so (plugin/raw.cpp), which turns the picture upright by
// itself, as dcraw and rawpy do.
#include "codec/raw.h"

#include "codec/picture_plugin.h"

namespace vamhash {

namespace {

PicturePlugin& raw_plugin() {
    static PicturePlugin plugin("vamhash_raw.so", "LibRaw");
    return plugin;
}

void load_raw() {
    raw_plugin().load();
}

std::string raw_path() {
    return raw_plugin().path();
}

ImageInfo decode_raw(std::span<const std::uint8_t> image, const DecodeOptions& options,
                     GreySink& sink) {
    return raw_plugin().decode(raw_format, image, options, sink);
}

} // namespace

const Format raw_format{.name = "raw",
                        .title = "camera RAW",
                        .decode = decode_raw,
                        .load = load_raw,
                        .plugin = raw_path};

} // namespace vamhash
