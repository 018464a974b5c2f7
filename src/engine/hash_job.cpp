#include "engine/hash_job.h"

#include "engine/request.h"

#include <string>

namespace vamhash {

static_assert(static_cast<int>(protocol::Fault::image_timeout) ==
              static_cast<int>(ImageStatus::timeout));

DecodeOptions decode_options(std::uint32_t flags, std::uint64_t max_pixels) {
    DecodeOptions options;
    options.fast = (flags & protocol::hash_fast) != 0;
    options.orient = (flags & protocol::hash_orient) != 0;
    options.max_pixels = max_pixels;
    return options;
}

protocol::HashResult hash_result(const HashedImage& hashed) {
    protocol::HashResult result{
        .dhash = hashed.hashes.dhash,
        .ahash = hashed.hashes.ahash,
        .whash = hashed.hashes.whash,
        .phash = hashed.hashes.phash,
        .whash16 = hashed.hashes.whash16,
        .width = hashed.info.width,
        .height = hashed.info.height,
        .format = {},
    };
    hashed.info.format.copy(result.format, sizeof result.format - 1);
    return result;
}

void answer_hash(Channel& channel, const protocol::FrameHeader& begin) {
    const auto request = channel.read_struct<protocol::HashRequest>(begin);
    std::vector<std::uint8_t> image;
    bool too_large = false;
    throw_if(read_data_frames(channel, begin, [&](std::uint32_t length) -> std::span<std::byte> {
        too_large = too_large || image.size() + length > request.max_bytes;
        if (too_large) {
            return {};
        }
        const std::size_t have = image.size();
        image.resize(have + length);
        return std::as_writable_bytes(std::span(image)).subspan(have);
    }));
    if (too_large) {
        throw ImageError(ImageStatus::too_large,
                         "image has more than " + std::to_string(request.max_bytes) + " bytes");
    }
    const DecodeOptions options = decode_options(request.flags, request.max_pixels);
    const auto result = hash_result(hash_image(image, request.wanted, options));
    channel.write_struct(protocol::Operation::result, begin.id, result);
    channel.write_struct(protocol::Operation::done, begin.id,
                         protocol::Done{.result_bytes = sizeof result});
}

} // namespace vamhash
