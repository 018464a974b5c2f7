// Answers BEGIN_HASH: one encoded image in, its hashes out.
#pragma once

#include "engine/channel.h"
#include "engine/hash_image.h"

namespace vamhash {

/// Reads the request's image and writes its RESULT and DONE. Throws ImageError and std::bad_alloc
/// with the request wholly read.
void answer_hash(Channel& channel, const protocol::FrameHeader& begin);

/// What a request's flags (hash_fast, hash_orient) and limit ask of a codec.
DecodeOptions decode_options(std::uint32_t flags, std::uint64_t max_pixels);

/// An image's hashes as they travel.
protocol::HashResult hash_result(const HashedImage& hashed);

} // namespace vamhash
