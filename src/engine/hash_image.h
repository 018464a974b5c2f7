// One image's bytes to its hashes: the codecs feed the resamplers row by row.
#pragma once

#include "codec/image.h"
#include "hash/image_hasher.h"

namespace vamhash {

struct HashedImage {
    ImageHashes hashes;
    ImageInfo info;
};

/// Decodes an image once and computes the wanted hashes (bits of HashKind). Throws ImageError.
HashedImage hash_image(std::span<const std::uint8_t> image, std::uint32_t wanted,
                       const DecodeOptions& options, Isa isa = best_isa());

} // namespace vamhash
