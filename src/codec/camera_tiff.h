// Tells the RAW files of cameras that are TIFF files (DNG, NEF, ARW, PEF, ...) from TIFF pictures.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include <cstdint>
#include <span>

namespace vamhash {

/// Whether a file with TIFF's signature is a camera's RAW file.
bool is_camera_tiff(std::span<const std::uint8_t> image);

} // namespace vamhash
