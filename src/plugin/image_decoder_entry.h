// What the codec plugins have in common on their side of image_decoder.h: faults are exceptions
// inside and statuses outside.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include "plugin/image_decoder.h"

#include <cstdio>
#include <exception>
#include <new>
#include <string>

namespace vamhash::plugin {

/// A fault of an image, to be caught before the border.
struct Fault {
    PictureStatus status;
    std::string what;
};

/// ImageDecoder::decode by a class that is made of a request and has run().
template <typename Decoder>
PictureStatus decode_by(const PictureRequest* request, char* message,
                        std::size_t message_size) noexcept {
    try {
        return Decoder(*request).run();
    } catch (const Fault& fault) {
        std::snprintf(message, message_size, "%s", fault.what.c_str());
        return fault.status;
    } catch (const std::bad_alloc&) {
        std::snprintf(message, message_size, "out of memory");
        return PictureStatus::out_of_memory;
    } catch (const std::exception& error) {
        std::snprintf(message, message_size, "%s", error.what());
    } catch (...) {
        std::snprintf(message, message_size, "an unknown exception");
    }
    return PictureStatus::corrupt;
}

/// What vamhash_image_decoder_plugin() returns for such a class.
template <typename Decoder>
const ImageDecoder* image_decoder_by() noexcept {
    static const ImageDecoder plugin = {image_decoder_version, decode_by<Decoder>};
    return &plugin;
}

} // namespace vamhash::plugin
