// The orientation of a picture, from the EXIF or XMP data beside it, as Pillow 11.3's getexif().
//
// Of EXIF only one number is wanted: tag 0x0112 of the first directory (IFD 0). The data may be
// anything, so the parser reads by checked offsets, visits each entry of that one directory once
// and follows no pointer to another. What makes no sense means "as stored", never an error.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace vamhash {

/// What to do to the stored pixels to show the picture upright; the values are EXIF's.
enum class Orientation : std::uint8_t {
    as_stored = 1,
    flip_left_right = 2,
    rotate_180 = 3,
    flip_top_bottom = 4,
    transpose = 5,           // rows become columns
    rotate_clockwise = 6,    // by 90 degrees
    transverse = 7,          // transposed along the other diagonal
    rotate_anticlockwise = 8 // by 90 degrees
};

/// Whether an orientation makes rows of columns, so that width and height change places.
inline bool swaps_axes(Orientation orientation) {
    return orientation >= Orientation::transpose;
}

/// The orientation in EXIF data (a TIFF header and directory, "Exif\0\0" before it or not), or
/// nothing where there is no such tag. A value out of 1 to 8 is "as stored".
std::optional<Orientation> exif_orientation(std::span<const std::uint8_t> exif);

/// The tiff:Orientation in an XMP packet, or nothing where there is none.
std::optional<Orientation> xmp_orientation(std::string_view xmp);

/// The orientation of an image with these metadata, either of which may be empty: EXIF counts
/// before XMP.
Orientation image_orientation(std::span<const std::uint8_t> exif, std::string_view xmp);

} // namespace vamhash
