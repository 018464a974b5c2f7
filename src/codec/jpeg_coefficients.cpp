// Usual files are read by jpeg_sequential.cpp. Where it gives up, and of other files, libjpeg's
// reader of coefficients (jpeg_read_coefficients) does the work, up to the end of image: an image
// whose last rows are there and whose end is not is left to decode_grey().
//
// Memory. libjpeg keeps a picture's blocks in virtual arrays, one for each component, which it has
// from its memory manager by functions that every decompression can have its own of. Here the
// arrays are the memory that the caller gave, so that nothing is copied. As libjpeg does, rows are
// made zero just before the first scan writes to them, so that they are in the cache then.
#include "codec/jpeg_coefficients.h"

#include "codec/format.h"
#include "codec/jpeg.h"
#include "codec/jpeg_library.h"
#include "codec/jpeg_sequential.h"

#include <algorithm>
#include <cstring>
#include <new>

#include <jerror.h> // after jpeglib.h, which says which messages there are

namespace vamhash {

namespace {

static_assert(sizeof(JBLOCK) == jpeg_block_bytes);
static_assert(sizeof(JQUANT_TBL::quantval) == jpeg_block_bytes);

std::optional<JpegColour> colour_of(const jpeg_decompress_struct& header) {
    switch (header.jpeg_color_space) {
    case JCS_GRAYSCALE:
        return JpegColour::grey;
    case JCS_YCbCr:
        return JpegColour::ycc;
    case JCS_RGB:
        return JpegColour::rgb;
    case JCS_CMYK:
        return JpegColour::cmyk;
    case JCS_YCCK:
        return JpegColour::ycck;
    default:
        return std::nullopt;
    }
}

std::uint32_t round_up(std::uint32_t number, std::uint32_t step) {
    return (number + step - 1) / step * step;
}

/// How a component is sampled, where that is by whole numbers.
std::optional<JpegSampling> sampling_of(const jpeg_decompress_struct& header,
                                        const jpeg_component_info& component) {
    if (header.max_h_samp_factor % component.h_samp_factor != 0 ||
        header.max_v_samp_factor % component.v_samp_factor != 0) {
        return std::nullopt;
    }
    return JpegSampling{
        .across = static_cast<std::uint8_t>(header.max_h_samp_factor / component.h_samp_factor),
        .down = static_cast<std::uint8_t>(header.max_v_samp_factor / component.v_samp_factor)};
}

/// Nothing for pictures that a layout cannot tell of. libjpeg's whole MCUs are larger than the
/// layout's where all sampling factors have a common divisor: such a picture will do if its sides
/// happen to come to as many blocks.
std::optional<JpegLayout> layout_of(const jpeg_decompress_struct& header) {
    const std::optional<JpegColour> colour = colour_of(header);
    if (!colour || header.data_precision != BITS_IN_JSAMPLE ||
        header.num_components != static_cast<int>(component_count(*colour))) {
        return std::nullopt;
    }
    JpegLayout layout{
        .width = header.image_width, .height = header.image_height, .colour = *colour};
    const std::span components(header.comp_info, component_count(*colour));
    for (std::size_t i = 0; i < components.size(); ++i) {
        const std::optional<JpegSampling> sampling = sampling_of(header, components[i]);
        if (!sampling) {
            return std::nullopt;
        }
        layout.sampling[i] = *sampling;
    }
    if (!is_valid(layout)) {
        return std::nullopt;
    }
    for (std::uint32_t i = 0; i < components.size(); ++i) {
        const jpeg_component_info& component = components[i];
        const JpegComponent place = jpeg_component(layout, i);
        if (place.blocks_across != round_up(component.width_in_blocks, component.h_samp_factor) ||
            place.blocks_down != round_up(component.height_in_blocks, component.v_samp_factor)) {
            return std::nullopt;
        }
    }
    return layout;
}

/// A component's blocks: what libjpeg has for a virtual array.
struct BlockArray {
    JBLOCKROW blocks = nullptr;
    JDIMENSION across = 0;
    JDIMENSION down = 0;
    JDIMENSION zeroed = 0; // rows
    std::array<JBLOCKROW, MAX_SAMP_FACTOR> accessed{};
};

/// What a file must have behind its header for the own reader's tables to pay.
constexpr std::size_t min_own_bytes = 16 * 1024;

/// One JPEG image whose coefficients are being read.
class CoefficientReader : private JpegLibrary {
  public:
    std::optional<JpegLayout> read(std::span<const std::uint8_t> image,
                                   const DecodeOptions& options, const PlaceForBytes& place,
                                   CoefficientReaders readers);

  private:
    static jvirt_barray_ptr request_array(j_common_ptr cinfo, int pool, boolean pre_zero,
                                          JDIMENSION across, JDIMENSION down,
                                          JDIMENSION most_accessed);
    static JBLOCKARRAY access_array(j_common_ptr cinfo, jvirt_barray_ptr array, JDIMENSION first,
                                    JDIMENSION count, boolean writable);
    void place_arrays(const JpegLayout& layout, std::uint8_t* memory);
    [[nodiscard]] bool is_complete(const JpegLayout& layout) const;

    std::array<BlockArray, 4> arrays_{};
    std::size_t requested_ = 0;
};

/// libjpeg's request_virt_barray: it asks for the components' in turn.
jvirt_barray_ptr CoefficientReader::request_array(j_common_ptr cinfo, int /*pool*/,
                                                  boolean /*pre_zero*/, JDIMENSION across,
                                                  JDIMENSION down, JDIMENSION /*most_accessed*/) {
    auto& reader = *static_cast<CoefficientReader*>(cinfo->client_data);
    if (reader.requested_ == reader.arrays_.size()) {
        ERREXIT(cinfo, JERR_VIRTUAL_BUG);
    }
    BlockArray& array = reader.arrays_[reader.requested_++];
    if (array.across != across || array.down != down) {
        ERREXIT(cinfo, JERR_VIRTUAL_BUG);
    }
    return reinterpret_cast<jvirt_barray_ptr>(&array);
}

/// libjpeg's access_virt_barray: row pointers, which are good until the next access to the array.
JBLOCKARRAY CoefficientReader::access_array(j_common_ptr cinfo, jvirt_barray_ptr array,
                                            JDIMENSION first, JDIMENSION count,
                                            boolean /*writable*/) {
    auto& [blocks, across, down, zeroed, accessed] = *reinterpret_cast<BlockArray*>(array);
    if (first > zeroed || count > accessed.size() || first + count > down) {
        ERREXIT(cinfo, JERR_BAD_VIRTUAL_ACCESS);
    }
    for (JDIMENSION i = 0; i < count; ++i) {
        accessed[i] = blocks + std::size_t{first + i} * across;
        if (first + i == zeroed) {
            std::memset(accessed[i], 0, std::size_t{across} * sizeof(JBLOCK));
            ++zeroed;
        }
    }
    return accessed.data();
}

void CoefficientReader::place_arrays(const JpegLayout& layout, std::uint8_t* memory) {
    for (std::uint32_t i = 0; i < component_count(layout.colour); ++i) {
        const JpegComponent component = jpeg_component(layout, i);
        arrays_[i] = {.blocks = reinterpret_cast<JBLOCKROW>(memory + component.offset) + 1,
                      .across = component.blocks_across,
                      .down = component.blocks_down};
    }
    cinfo_.client_data = this;
    cinfo_.mem->request_virt_barray = request_array;
    cinfo_.mem->access_virt_barray = access_array;
}

/// Whether every coefficient was in some scan, all of its bits.
bool CoefficientReader::is_complete(const JpegLayout& layout) const {
    for (std::uint32_t i = 0; i < component_count(layout.colour); ++i) {
        if (cinfo_.comp_info[i].quant_table == nullptr || arrays_[i].zeroed != arrays_[i].down) {
            return false;
        }
        if (cinfo_.progressive_mode != FALSE) {
            const auto& missing_bits = cinfo_.coef_bits[i]; // -1: all
            if (!std::ranges::all_of(missing_bits, [](int bits) { return bits == 0; })) {
                return false;
            }
        }
    }
    return true;
}

std::optional<JpegLayout> CoefficientReader::read(std::span<const std::uint8_t> image,
                                                  const DecodeOptions& options,
                                                  const PlaceForBytes& place,
                                                  CoefficientReaders readers) {
    read_header(image, options);
    const std::optional<JpegLayout> layout = layout_of(cinfo_);
    if (!layout) {
        return std::nullopt;
    }
    std::uint8_t* const memory = place(jpeg_bytes(*layout));
    if (memory == nullptr) {
        return std::nullopt;
    }
    const bool tries_own = readers == CoefficientReaders::as_it_pays
                               ? cinfo_.src->bytes_in_buffer >= min_own_bytes
                               : readers == CoefficientReaders::own;
    if (tries_own && read_sequential_jpeg(cinfo_, *layout, memory)) {
        return layout;
    }
    if (readers == CoefficientReaders::own) {
        return std::nullopt;
    }
    place_arrays(*layout, memory);
    guard([this] { jpeg_read_coefficients(&cinfo_); });
    if (!is_complete(*layout)) {
        return std::nullopt;
    }
    for (std::uint32_t i = 0; i < component_count(layout->colour); ++i) {
        std::memcpy(memory + jpeg_component(*layout, i).offset,
                    cinfo_.comp_info[i].quant_table->quantval, jpeg_block_bytes);
    }
    return layout;
}

} // namespace

std::optional<JpegLayout> read_jpeg_coefficients(std::span<const std::uint8_t> image,
                                                 const DecodeOptions& options,
                                                 const PlaceForBytes& place,
                                                 CoefficientReaders readers) {
    if (options.fast || recognise(image) != &jpeg_format) {
        return std::nullopt;
    }
    try {
        return CoefficientReader().read(image, options, place, readers);
    } catch (const ImageError&) {
        return std::nullopt;
    } catch (const std::bad_alloc&) {
        return std::nullopt;
    }
}

} // namespace vamhash
