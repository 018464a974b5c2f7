// The coefficients of a JPEG by libjpeg alone, laid out for a device, and JPEGs of given ones.
#pragma once

#include "codec/jpeg_layout.h"
#include "made_jpeg.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <random>
#include <set>
#include <span>

namespace vamhash::test {

/// A JPEG's coefficients as in codec/jpeg_layout.h.
struct StoredJpeg {
    JpegLayout layout;
    Bytes bytes;
};

inline JpegColour colour_of(J_COLOR_SPACE space) {
    switch (space) {
    case JCS_GRAYSCALE:
        return JpegColour::grey;
    case JCS_YCbCr:
        return JpegColour::ycc;
    case JCS_RGB:
        return JpegColour::rgb;
    case JCS_CMYK:
        return JpegColour::cmyk;
    default:
        EXPECT_EQ(space, JCS_YCCK);
        return JpegColour::ycck;
    }
}

/// Opens a JPEG for a call, with its coefficients.
template <typename Call>
void with_coefficients(const Bytes& image, const Call& call) {
    with_libjpeg(image, [&](jpeg_decompress_struct& cinfo) {
        jvirt_barray_ptr* const blocks = jpeg_read_coefficients(&cinfo);
        call(cinfo, blocks);
    });
}

/// The coefficients of a JPEG. Blocks that are not the component's own are noise.
inline StoredJpeg stored_jpeg(const Bytes& image) {
    StoredJpeg stored;
    with_coefficients(image, [&](jpeg_decompress_struct& cinfo, jvirt_barray_ptr* blocks) {
        stored.layout.width = cinfo.image_width;
        stored.layout.height = cinfo.image_height;
        stored.layout.colour = colour_of(cinfo.jpeg_color_space);
        for (int i = 0; i < cinfo.num_components; ++i) {
            const jpeg_component_info& component = cinfo.comp_info[i];
            stored.layout.sampling.at(i) = {
                static_cast<std::uint8_t>(cinfo.max_h_samp_factor / component.h_samp_factor),
                static_cast<std::uint8_t>(cinfo.max_v_samp_factor / component.v_samp_factor)};
        }
        EXPECT_TRUE(is_valid(stored.layout));
        stored.bytes.resize(jpeg_bytes(stored.layout));
        std::mt19937 random(1);
        std::ranges::generate(stored.bytes, [&] { return static_cast<std::uint8_t>(random()); });
        for (int i = 0; i < cinfo.num_components; ++i) {
            const jpeg_component_info& component = cinfo.comp_info[i];
            const JpegComponent place =
                jpeg_component(stored.layout, static_cast<std::uint32_t>(i));
            EXPECT_EQ(place.width, component.downsampled_width);
            EXPECT_EQ(place.height, component.downsampled_height);
            EXPECT_GE(place.blocks_across, component.width_in_blocks);
            EXPECT_GE(place.blocks_down, component.height_in_blocks);
            std::uint8_t* const to = stored.bytes.data() + place.offset;
            std::memcpy(to, component.quant_table->quantval, jpeg_block_bytes);
            for (std::uint32_t y = 0; y < component.height_in_blocks; ++y) {
                JBLOCKARRAY row = cinfo.mem->access_virt_barray(
                    reinterpret_cast<j_common_ptr>(&cinfo), blocks[i], y, 1, FALSE);
                std::memcpy(to + jpeg_block_bytes * (1 + std::uint64_t{y} * place.blocks_across),
                            row[0], std::size_t{jpeg_block_bytes} * component.width_in_blocks);
            }
        }
    });
    return stored;
}

/// Changes a component's table and its own blocks, one after another. Of components that share a
/// table, the first one's counts.
using ChangeBlocks =
    std::function<void(std::span<std::uint16_t, 64> table, std::span<std::int16_t> coefficients)>;

/// A JPEG with coefficients that no Huffman table need have codes for: it is coded arithmetically,
/// which leaves them 15 bits and their sign.
inline Bytes with_changed_blocks(const Bytes& image, const ChangeBlocks& change) {
    unsigned char* buffer = nullptr;
    unsigned long size = 0;
    std::set<int> is_changed; // tables
    with_coefficients(image, [&](jpeg_decompress_struct& cinfo, jvirt_barray_ptr* blocks) {
        for (int i = 0; i < cinfo.num_components; ++i) {
            jpeg_component_info& component = cinfo.comp_info[i];
            std::vector<std::int16_t> coefficients;
            std::array<std::uint16_t, 64> table{};
            const auto for_each_row = [&](const auto& call) {
                for (std::uint32_t y = 0; y < component.height_in_blocks; ++y) {
                    call(cinfo.mem->access_virt_barray(reinterpret_cast<j_common_ptr>(&cinfo),
                                                       blocks[i], y, 1, TRUE)[0][0],
                         std::size_t{64} * component.width_in_blocks);
                }
            };
            for_each_row([&](JCOEF* row, std::size_t count) {
                coefficients.insert(coefficients.end(), row, row + count);
            });
            std::ranges::copy(component.quant_table->quantval, table.begin());
            change(table, coefficients);
            const std::int16_t* from = coefficients.data();
            for_each_row([&](JCOEF* row, std::size_t count) {
                std::copy_n(from, count, row);
                from += count;
            });
            UINT16* const shared = cinfo.quant_tbl_ptrs[component.quant_tbl_no]->quantval;
            if (is_changed.insert(component.quant_tbl_no).second) {
                std::ranges::copy(table, shared);
            }
            std::copy_n(shared, table.size(), component.quant_table->quantval);
        }
        jpeg_compress_struct out{};
        jpeg_error_mgr errors{};
        out.err = jpeg_std_error(&errors);
        jpeg_create_compress(&out);
        jpeg_mem_dest(&out, &buffer, &size);
        jpeg_copy_critical_parameters(&cinfo, &out);
        out.arith_code = TRUE;
        jpeg_write_coefficients(&out, blocks);
        jpeg_finish_compress(&out);
        jpeg_destroy_compress(&out);
    });
    Bytes changed(buffer, buffer + size);
    std::free(buffer);
    return changed;
}

} // namespace vamhash::test
