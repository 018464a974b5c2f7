// The coefficients of a usual JPEG, without libjpeg.
#pragma once

#include "codec/jpeg_layout.h"

#include <cstddef>
#include <cstdio>

#include <jpeglib.h> // after cstdio, which it wants

namespace vamhash {

/// Writes to `memory`, which has jpeg_bytes(layout), what read_jpeg_coefficients() gives, in little
/// more than half of libjpeg's time. `header` is what jpeg_read_header has read; it is not changed,
/// so that libjpeg may go on from there. Returns false where the image is not a usual one (the head
/// of jpeg_scan.h says which are) or anything in it is not as it should be; then part of the memory
/// is written.
bool read_sequential_jpeg(const jpeg_decompress_struct& header, const JpegLayout& layout,
                          std::uint8_t* memory);

} // namespace vamhash
