// Camera RAW by LibRaw, in vamhash_raw.so (plugin/raw.cpp), which turns the picture upright by
// itself, as dcraw and rawpy do.
#include "codec/raw.h"

#include "codec/camera_tiff.h"
#include "codec/picture_plugin.h"

#include <algorithm>

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

bool has_tiff_signature(std::span<const std::uint8_t> image) {
    using namespace std::string_view_literals;
    const auto begins_with = [&](std::string_view bytes) {
        return image.size() >= bytes.size() &&
               std::equal(bytes.begin(), bytes.end(), image.begin(),
                          [](char a, std::uint8_t b) { return static_cast<std::uint8_t>(a) == b; });
    };
    return begins_with("II*\0"sv) || begins_with("MM\0*"sv) || begins_with("II+\0"sv) ||
           begins_with("MM\0+"sv);
}

/// Throws where LibRaw would make up what the file does not have.
void check_directories(std::span<const std::uint8_t> image) {
    switch (has_tiff_signature(image) ? fault_of_camera_tiff(image) : CameraTiffFault::none) {
    case CameraTiffFault::none:
        return;
    case CameraTiffFault::samples_missing:
        throw format_error(raw_format, ImageStatus::truncated, "the data ends before the picture");
    case CameraTiffFault::no_filter_pattern:
        throw format_error(raw_format, ImageStatus::corrupt,
                           "the colours of the sensor's filters are not in it");
    }
}

ImageInfo decode_raw(std::span<const std::uint8_t> image, const DecodeOptions& options,
                     GreySink& sink) {
    check_directories(image);
    return raw_plugin().decode(raw_format, image, options, sink);
}

} // namespace

const Format raw_format{.name = "raw",
                        .title = "camera RAW",
                        .decode = decode_raw,
                        .load = load_raw,
                        .plugin = raw_path};

} // namespace vamhash
