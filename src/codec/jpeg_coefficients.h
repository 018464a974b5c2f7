// The coefficients of a JPEG, for a device that decodes them further.
#pragma once

#include "codec/image.h"
#include "codec/jpeg_layout.h"

#include <functional>
#include <optional>

namespace vamhash {

/// Gives memory for so many bytes, at a multiple of 16, or nullptr.
using PlaceForBytes = std::function<std::uint8_t*(std::uint64_t bytes)>;

/// Which reader is used: the own one (jpeg_sequential.h) leaves much to libjpeg's, and pays in
/// files that are not small. Tests have either alone.
enum class CoefficientReaders : std::uint8_t { as_it_pays, own, libjpeg };

/// Reads a JPEG's coefficients into memory that is asked for once, as soon as its size is known:
/// all bytes of jpeg_bytes() are written. Whatever these are decoded to by libjpeg's islow DCT,
/// fancy upsampling and colour conversion, and then Pillow's grey, are the rows that decode_grey()
/// gives.
///
/// Nothing where it is no JPEG or one of another kind (of sampling or colours; a progressive one
/// that lacks accuracy, which libjpeg smooths), where anything is wrong with it, and where there
/// was no memory: then decode_grey() knows what to do with it. Does nothing about orientation.
std::optional<JpegLayout>
read_jpeg_coefficients(std::span<const std::uint8_t> image, const DecodeOptions& options,
                       const PlaceForBytes& place,
                       CoefficientReaders readers = CoefficientReaders::as_it_pays);

} // namespace vamhash
