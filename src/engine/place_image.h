// One image's bytes to a picture in the arena, or to its hashes where there is no room.
#pragma once

#include "engine/hash_image.h"
#include "engine/picture_places.h"

#include <optional>

namespace vamhash {

/// A picture that waits in the arena for its hashes.
struct PlacedPicture {
    PicturePlace place;
    protocol::Picture picture; // as it travels
};

/// What an image has become: a picture, or what was wanted of it.
struct PlacedImage {
    HashedImage image; // without hashes where there is a picture
    std::optional<PlacedPicture> picture;
};

/// Decodes an image as far as a device needs it: a JPEG to its coefficients, where that can be, and
/// others to grey pixels; with fast decoding JPEGs, too, unless the arena has them as they are. The
/// caller puts the picture, once it is told of. Throws as hash_image() does; then nothing is left
/// in the arena.
PlacedImage place_image(std::span<const std::uint8_t> image, std::uint32_t wanted,
                        const DecodeOptions& options, PicturePlaces& places);

} // namespace vamhash
