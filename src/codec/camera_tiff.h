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

enum class CameraTiffFault {
    none,
    samples_missing,   // they lie behind the file's end
    no_filter_pattern, // the colours of the sensor's filters do
};

/// What there is in the directories of a camera's TIFF file that LibRaw must not meet.
CameraTiffFault fault_of_camera_tiff(std::span<const std::uint8_t> image);

} // namespace vamhash
