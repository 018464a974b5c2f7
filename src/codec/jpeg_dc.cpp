// A pixel at an eighth of the size is a block's mean, its DC coefficient. So nearly all bits of the
// file, those of AC coefficients and of chroma, are only in the way: what remains of the work is to
// find where each block ends. libjpeg goes there code by code, and that is most of its time at 1/8.
// Here one look at the next bits passes over several codes with their extra bits.
//
// Which images. Those of jpeg_scan.h that are grey, or YCbCr with luma at full resolution. Of all
// others decode_dc() says that they are libjpeg's.
#include "codec/jpeg_dc.h"

#include "codec/jpeg_scan.h"

#include <algorithm>
#include <array>
#include <memory>
#include <span>

namespace vamhash {

namespace {

/// Bits of a look-up.
constexpr unsigned window_bits = 12;
constexpr std::size_t window_count = std::size_t{1} << window_bits;

/// What the codes in a window pass over. The last one's extra bits may lie beyond it.
struct Step {
    std::uint8_t bits = 0;         // at most 27
    std::uint8_t coefficients = 0; // with end_of_block
};

/// Adds the AC codes that follow in a window.
Step with_ac_codes(Step step, std::uint32_t window, const CodeTable<window_bits>& ac) {
    while (step.bits < window_bits && step.coefficients < coefficient_count) {
        const Code code = ac[window << step.bits & (window_count - 1)];
        const unsigned coefficients = step.coefficients + passed_by(code);
        if (code.length == 0 || code.length > window_bits - step.bits ||
            !fit_in_block(coefficients)) {
            break;
        }
        step.bits += code.length + extra_bits_of(code);
        step.coefficients = static_cast<std::uint8_t>(coefficients);
    }
    return step;
}

/// A step from the beginning of a block.
struct FirstStep {
    Step step; // no coefficients: the DC code is longer than the window
    Code dc;
};

/// What there is to know of the codes of a component.
struct Component {
    Component(const JHUFF_TBL& dc_table, const JHUFF_TBL& ac_table);

    HuffmanCodes dc;
    HuffmanCodes ac;
    std::array<FirstStep, window_count> first{};
    std::array<Step, window_count> further{};
};

Component::Component(const JHUFF_TBL& dc_table, const JHUFF_TBL& ac_table)
    : dc(dc_table), ac(ac_table) {
    require(dc.are_sizes());
    const auto dc_codes = dc.short_codes<window_bits>();
    const auto ac_codes = ac.short_codes<window_bits>();
    for (std::uint32_t window = 0; window < window_count; ++window) {
        if (const Code code = dc_codes[window]; code.length != 0) {
            const Step step{.bits = static_cast<std::uint8_t>(code.length + code.symbol),
                            .coefficients = 1};
            first[window] = {.step = with_ac_codes(step, window, ac_codes), .dc = code};
        }
        further[window] = with_ac_codes({}, window, ac_codes);
        if (further[window].bits == 0) {
            // Too many with the DC coefficient before them, and so found where full blocks are.
            further[window].coefficients = coefficient_count;
        }
    }
}

/// Passes one AC code that may be longer than a window. Returns the coefficients passed so far.
unsigned pass_long_code(BitReader& reader, const HuffmanCodes& ac, unsigned coefficients) {
    reader.refill();
    const Code code = ac.find(reader.peek(longest_code));
    coefficients += passed_by(code);
    require(code.length != 0 && fit_in_block(coefficients));
    reader.skip(code.length + extra_bits_of(code));
    return coefficients;
}

/// Passes a block. Returns the difference of its DC coefficient.
inline std::int32_t pass_block(BitReader& reader, const Component& component) {
    reader.refill();
    FirstStep first = component.first[reader.peek(window_bits)];
    if (first.step.coefficients == 0) [[unlikely]] {
        first.dc = component.dc.find(reader.peek(longest_code));
        require(first.dc.length != 0);
        first.step = {.bits = static_cast<std::uint8_t>(first.dc.length + first.dc.symbol),
                      .coefficients = 1};
    }
    const std::uint64_t extra_bits = reader.bits << first.dc.length;
    reader.skip(first.step.bits);
    unsigned coefficients = first.step.coefficients;
    while (coefficients < coefficient_count) {
        reader.refill();
        const Step step = component.further[reader.peek(window_bits)];
        if (fit_in_block(coefficients + step.coefficients)) [[likely]] {
            reader.skip(step.bits);
            coefficients += step.coefficients;
        } else {
            coefficients = pass_long_code(reader, component.ac, coefficients);
        }
    }
    return value_of(extra_bits, first.dc.symbol);
}

/// A block of an MCU: its component, and where among the MCU's luma blocks it is, if it is one.
struct McuBlock {
    const Component* component = nullptr;
    bool is_luma = false;
    std::size_t row = 0;
    std::size_t column = 0;
};

/// An image whose scan is being decoded.
class DcDecoder {
  public:
    explicit DcDecoder(const jpeg_decompress_struct& header);
    DcPicture decode();

  private:
    const Component& component_of(const jpeg_component_info& info);
    void lay_out(const jpeg_component_info& info, std::size_t width, std::size_t height);
    void decode_mcu_row(std::uint8_t* pixels);
    [[nodiscard]] std::uint8_t pixel_of(std::int32_t coefficient) const;

    const jpeg_decompress_struct& header_;
    std::array<std::array<std::unique_ptr<Component>, NUM_HUFF_TBLS>, NUM_HUFF_TBLS> components_;
    std::array<McuBlock, max_mcu_blocks> blocks_{};
    std::size_t block_count_ = 0;
    std::size_t mcu_width_ = 1; // in luma blocks
    std::size_t mcu_height_ = 1;
    std::size_t mcus_a_row_ = 0;
    std::size_t mcu_rows_ = 0;
    std::int32_t quantizer_ = 0;
    std::size_t stride_ = 0;
    ScanData data_;
    BitReader reader_;
    std::int32_t coefficient_ = 0; // luma's last
};

DcDecoder::DcDecoder(const jpeg_decompress_struct& header) : header_(header), data_(header) {
    const jpeg_component_info& luma = header.comp_info[0];
    require_usual(header);
    if (header.num_components == 1) {
        // A scan of one component has no MCUs of several blocks, whatever its sampling.
        require(header.jpeg_color_space == JCS_GRAYSCALE);
        lay_out(luma, 1, 1);
    } else {
        require(header.num_components == 3 && header.jpeg_color_space == JCS_YCbCr);
        require(luma.h_samp_factor == header.max_h_samp_factor &&
                luma.v_samp_factor == header.max_v_samp_factor);
        mcu_width_ = luma.h_samp_factor;
        mcu_height_ = luma.v_samp_factor;
        for (int i = 0; i < header.comps_in_scan; ++i) {
            const jpeg_component_info& info = *header.cur_comp_info[i];
            lay_out(info, info.h_samp_factor, info.v_samp_factor);
        }
    }
    mcus_a_row_ = mcus_in(header.image_width, mcu_width_);
    mcu_rows_ = mcus_in(header.image_height, mcu_height_);
    stride_ = mcus_a_row_ * mcu_width_;
    quantizer_ = header.quant_tbl_ptrs[luma.quant_tbl_no]->quantval[0];
    require(quantizer_ > 0 && quantizer_ <= INT16_MAX); // libjpeg's have 16 bits with the sign
}

/// The codes of a component.
const Component& DcDecoder::component_of(const jpeg_component_info& info) {
    const HuffmanTables tables = huffman_tables(header_, info);
    std::unique_ptr<Component>& component = components_[info.dc_tbl_no][info.ac_tbl_no];
    if (!component) {
        component = std::make_unique<Component>(tables.dc, tables.ac);
    }
    return *component;
}

/// Adds a component's blocks to the MCU.
void DcDecoder::lay_out(const jpeg_component_info& info, std::size_t width, std::size_t height) {
    require(info.quant_tbl_no >= 0 && info.quant_tbl_no < NUM_QUANT_TBLS &&
            header_.quant_tbl_ptrs[info.quant_tbl_no] != nullptr);
    require(block_count_ + width * height <= blocks_.size());
    const Component& component = component_of(info);
    for (std::size_t row = 0; row < height; ++row) {
        for (std::size_t column = 0; column < width; ++column) {
            blocks_[block_count_++] = {.component = &component,
                                       .is_luma = info.component_index == 0,
                                       .row = row,
                                       .column = column};
        }
    }
}

/// The mean of a block. libjpeg would take far outliers modulo 1024.
std::uint8_t DcDecoder::pixel_of(std::int32_t coefficient) const {
    const std::int32_t mean = (coefficient * quantizer_ + DCTSIZE / 2) >> 3;
    require(mean >= -4 * CENTERJSAMPLE && mean < 4 * CENTERJSAMPLE);
    return static_cast<std::uint8_t>(std::clamp(mean + CENTERJSAMPLE, 0, MAXJSAMPLE));
}

/// Decodes a row of MCUs to rows of pixels.
void DcDecoder::decode_mcu_row(std::uint8_t* pixels) {
    BitReader reader = reader_;
    for (std::size_t mcu = 0; mcu < mcus_a_row_; ++mcu, pixels += mcu_width_) {
        if (data_.begin_mcu(reader)) {
            coefficient_ = 0;
        }
        for (const McuBlock& block : std::span(blocks_.data(), block_count_)) {
            const std::int32_t difference = pass_block(reader, *block.component);
            if (block.is_luma) {
                coefficient_ += difference;
                pixels[block.row * stride_ + block.column] = pixel_of(coefficient_);
            }
        }
    }
    reader_ = reader;
}

DcPicture DcDecoder::decode() {
    DcPicture picture{.width = static_cast<std::uint32_t>(mcus_in(header_.image_width, 1)),
                      .height = static_cast<std::uint32_t>(mcus_in(header_.image_height, 1)),
                      .stride = stride_,
                      .pixels = std::vector<std::uint8_t>(stride_ * mcu_rows_ * mcu_height_)};
    reader_ = data_.begin_segment();
    for (std::size_t row = 0; row < mcu_rows_; ++row) {
        decode_mcu_row(picture.pixels.data() + row * mcu_height_ * stride_);
    }
    data_.end_segment(reader_, JPEG_EOI);
    return picture;
}

} // namespace

std::optional<DcPicture> decode_dc(const jpeg_decompress_struct& header) {
    try {
        return DcDecoder(header).decode();
    } catch (const GiveUp&) {
        return std::nullopt;
    }
}

} // namespace vamhash
