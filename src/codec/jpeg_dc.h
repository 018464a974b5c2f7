// The luma of a JPEG at an eighth of its size, from its DC coefficients alone.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <vector>

#include <jpeglib.h> // after cstdio, which it wants

namespace vamhash {

/// One pixel for each 8 x 8 of the picture.
struct DcPicture {
    std::uint32_t width = 0;
    std::uint32_t height = 0;
    std::size_t stride = 0;
    std::vector<std::uint8_t> pixels;
};

/// Decodes what libjpeg gives for grey pixels and a scale of 1/8, to the bit, in a fraction of its
/// time. `header` is what jpeg_read_header has read; it is not changed, so that libjpeg may go on
/// from there. Nothing where the image is not a usual one (the head of jpeg_dc.cpp says which are)
/// or anything in it is not as it should be: then it is for libjpeg to say what.
std::optional<DcPicture> decode_dc(const jpeg_decompress_struct& header);

} // namespace vamhash
