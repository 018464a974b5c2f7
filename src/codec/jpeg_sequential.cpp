// libjpeg finds one code at a look, and then takes its extra bits. Here one look at the next bits
// gives up to two coefficients with their values and places, and the end of the block behind them.
// A look depends on the one before it by the number of bits alone, and that is the time it takes.
//
// libjpeg takes some odd things without a warning: runs that go beyond the end of a block, DC
// coefficients of more than 16 bits. They are left to it.
#include "codec/jpeg_sequential.h"

#include "codec/jpeg_scan.h"

#include <array>
#include <cstring>
#include <memory>
#include <span>

namespace vamhash {

namespace {

/// Bits of a look-up. More would find more codes, in tables that are too large for the nearest
/// cache.
constexpr unsigned window_bits = 11;
constexpr std::size_t window_count = std::size_t{1} << window_bits;

/// Where a coefficient of the zigzag is in natural order.
constexpr std::array<std::uint8_t, coefficient_count> natural_order{
    0,  1,  8,  16, 9,  2,  3,  10, 17, 24, 32, 25, 18, 11, 4,  5,  //
    12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6,  7,  14, 21, 28, //
    35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, //
    58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63};

constexpr std::size_t values_of_step = 2;

/// What the codes in a window say, those that are in it with all of their extra bits. Of fewer
/// values than two, the last one is there again, or a 0 where there is none.
struct Step {
    std::uint8_t bits = 0;
    std::uint8_t coefficients = 0;                    // with end_of_block
    std::array<std::uint8_t, values_of_step> place{}; // coefficients before the value
    std::array<JCOEF, values_of_step> value{};
};

/// Adds the AC codes that follow in a window.
Step step_of(std::uint32_t window, const CodeTable<window_bits>& codes) {
    Step step;
    std::size_t values = 0;
    while (step.bits < window_bits && step.coefficients < coefficient_count) {
        const std::uint32_t rest = window << step.bits & (window_count - 1);
        const Code code = codes[rest];
        const unsigned size = extra_bits_of(code);
        const unsigned coefficients = step.coefficients + passed_by(code);
        if (code.length == 0 || code.length + size > window_bits - step.bits ||
            !fit_in_block(coefficients) || (size > 0 && values == values_of_step)) {
            break;
        }
        if (size > 0) {
            const std::uint64_t extra_bits = std::uint64_t{rest}
                                             << (64 - window_bits + code.length);
            for (std::size_t i = values++; i < values_of_step; ++i) {
                step.place[i] = static_cast<std::uint8_t>(coefficients - 1);
                step.value[i] = static_cast<JCOEF>(value_of(extra_bits, size));
            }
        }
        step.bits += code.length + size;
        step.coefficients = static_cast<std::uint8_t>(coefficients);
    }
    if (step.bits == 0) {
        // Too many with the DC coefficient before them, and so found where full blocks are.
        step.coefficients = coefficient_count;
    }
    return step;
}

struct DcCodes {
    explicit DcCodes(const JHUFF_TBL& table)
        : codes(table), short_codes(codes.short_codes<window_bits>()) {
        require(codes.are_sizes());
    }
    HuffmanCodes codes;
    CodeTable<window_bits> short_codes;
};

struct AcCodes {
    explicit AcCodes(const JHUFF_TBL& table)
        : codes(table), short_codes(codes.short_codes<window_bits>()) {
        for (std::uint32_t window = 0; window < window_count; ++window) {
            steps[window] = step_of(window, short_codes);
        }
    }
    HuffmanCodes codes;
    CodeTable<window_bits> short_codes;
    std::array<Step, window_count> steps;
};

/// Looks for a code among the short ones, then among all.
template <typename Codes>
Code next_code(const BitReader& reader, const Codes& codes) {
    Code code = codes.short_codes[reader.peek(window_bits)];
    if (code.length == 0) [[unlikely]] {
        code = codes.codes.find(reader.peek(longest_code));
        require(code.length != 0);
    }
    return code;
}

/// Takes the extra bits of a code with the code.
std::int32_t take_value(BitReader& reader, Code code, unsigned size) {
    const std::int32_t value = value_of(reader.bits << code.length, size);
    reader.skip(code.length + size);
    return value;
}

/// Takes one AC code. Returns the coefficients so far.
std::size_t take_one_code(BitReader& reader, const AcCodes& codes, std::size_t coefficients,
                          JCOEF* block) {
    reader.refill();
    const Code code = next_code(reader, codes);
    coefficients += passed_by(code);
    require(fit_in_block(coefficients));
    const unsigned size = extra_bits_of(code);
    const std::int32_t value = take_value(reader, code, size);
    if (size > 0) {
        block[natural_order[coefficients - 1]] = static_cast<JCOEF>(value);
    }
    return coefficients;
}

/// Reads the AC coefficients of a block.
inline void read_ac(BitReader& reader, const AcCodes& codes, JCOEF* block) {
    constexpr int steps_of_refill = 5;
    static_assert(steps_of_refill * window_bits <= 56);
    std::size_t coefficients = 1;
    while (coefficients < coefficient_count) {
        reader.refill();
        for (int i = 0; i < steps_of_refill; ++i) {
            const Step step = codes.steps[reader.peek(window_bits)];
            const std::size_t sum = coefficients + step.coefficients;
            if (!fit_in_block(sum)) [[unlikely]] {
                coefficients = take_one_code(reader, codes, coefficients, block);
                break;
            }
            reader.skip(step.bits);
            block[natural_order[coefficients + step.place[0]]] = step.value[0];
            block[natural_order[coefficients + step.place[1]]] = step.value[1];
            coefficients = sum;
            if (coefficients >= coefficient_count) {
                break;
            }
        }
    }
}

/// A component that is being read.
struct Component {
    const DcCodes* dc = nullptr;
    const AcCodes* ac = nullptr;
    std::int32_t last_dc = 0;
};

/// A block of an MCU.
struct McuBlock {
    Component* component = nullptr;
    JBLOCKROW next = nullptr;
    std::size_t step = 0;     // blocks to the same one of the next MCU
    std::size_t row_step = 0; // blocks from behind a row of MCUs to the next row
};

/// Makes a block zero, 16 bytes at a time: for a block's size compilers have slower ways.
inline void clear(JCOEF* block) {
    constexpr std::size_t count = 8;
#pragma GCC unroll 16
    for (std::size_t i = 0; i < coefficient_count; i += count) {
        std::memset(block + i, 0, count * sizeof(JCOEF));
    }
}

/// Reads a block, whose memory may have anything in it.
inline void read_block(BitReader& reader, Component& component, JCOEF* block) {
    clear(block);
    reader.refill();
    const Code code = next_code(reader, *component.dc);
    component.last_dc += take_value(reader, code, code.symbol);
    block[0] = static_cast<JCOEF>(component.last_dc);
    require(block[0] == component.last_dc);
    read_ac(reader, *component.ac, block);
}

/// An image whose scan is being read.
class SequentialReader {
  public:
    SequentialReader(const jpeg_decompress_struct& header, const JpegLayout& layout,
                     std::uint8_t* memory);
    void read();

  private:
    void place_component(const jpeg_component_info& info, const JpegLayout& layout,
                         std::uint8_t* memory);
    void read_mcu_row();

    const jpeg_decompress_struct& header_;
    std::array<std::unique_ptr<DcCodes>, NUM_HUFF_TBLS> dc_codes_;
    std::array<std::unique_ptr<AcCodes>, NUM_HUFF_TBLS> ac_codes_;
    std::array<Component, MAX_COMPS_IN_SCAN> components_{};
    std::array<McuBlock, max_mcu_blocks> blocks_{};
    std::size_t block_count_ = 0;
    std::size_t mcus_a_row_ = 0;
    std::size_t mcu_rows_ = 0;
    ScanData data_;
    BitReader reader_;
};

SequentialReader::SequentialReader(const jpeg_decompress_struct& header, const JpegLayout& layout,
                                   std::uint8_t* memory)
    : header_(header), data_(header) {
    require_usual(header);
    require(header.num_components == static_cast<int>(component_count(layout.colour)));
    // A scan of one component has no MCUs of several blocks, whatever its sampling.
    const bool is_single = header.num_components == 1;
    mcus_a_row_ = mcus_in(header.image_width, is_single ? 1 : header.max_h_samp_factor);
    mcu_rows_ = mcus_in(header.image_height, is_single ? 1 : header.max_v_samp_factor);
    for (int i = 0; i < header.comps_in_scan; ++i) {
        place_component(*header.cur_comp_info[i], layout, memory);
    }
}

/// Adds a component's blocks to the MCU, and writes its quantisation table.
void SequentialReader::place_component(const jpeg_component_info& info, const JpegLayout& layout,
                                       std::uint8_t* memory) {
    const bool is_single = header_.num_components == 1;
    const std::size_t width = is_single ? 1 : info.h_samp_factor;
    const std::size_t height = is_single ? 1 : info.v_samp_factor;
    const JpegComponent place = jpeg_component(layout, info.component_index);
    require(place.blocks_across == mcus_a_row_ * width && place.blocks_down == mcu_rows_ * height);
    require(block_count_ + width * height <= blocks_.size());

    require(info.quant_tbl_no >= 0 && info.quant_tbl_no < NUM_QUANT_TBLS);
    const JQUANT_TBL* const quantizers = header_.quant_tbl_ptrs[info.quant_tbl_no];
    require(quantizers != nullptr);
    std::memcpy(memory + place.offset, quantizers->quantval, jpeg_block_bytes);

    const HuffmanTables tables = huffman_tables(header_, info);
    std::unique_ptr<DcCodes>& dc = dc_codes_[info.dc_tbl_no];
    std::unique_ptr<AcCodes>& ac = ac_codes_[info.ac_tbl_no];
    if (!dc) {
        dc = std::make_unique<DcCodes>(tables.dc);
    }
    if (!ac) {
        ac = std::make_unique<AcCodes>(tables.ac);
    }
    Component& component = components_[info.component_index];
    require(component.dc == nullptr); // no component twice
    component = {.dc = dc.get(), .ac = ac.get()};

    auto* const blocks = reinterpret_cast<JBLOCKROW>(memory + place.offset + jpeg_block_bytes);
    for (std::size_t row = 0; row < height; ++row) {
        for (std::size_t column = 0; column < width; ++column) {
            blocks_[block_count_++] = {.component = &component,
                                       .next = blocks + row * place.blocks_across + column,
                                       .step = width,
                                       .row_step = (height - 1) * place.blocks_across};
        }
    }
}

void SequentialReader::read_mcu_row() {
    BitReader reader = reader_;
    const std::span blocks(blocks_.data(), block_count_);
    for (std::size_t mcu = 0; mcu < mcus_a_row_; ++mcu) {
        if (data_.begin_mcu(reader)) {
            for (Component& component : components_) {
                component.last_dc = 0;
            }
        }
        for (McuBlock& block : blocks) {
            read_block(reader, *block.component, *block.next);
            block.next += block.step;
        }
    }
    for (McuBlock& block : blocks) {
        block.next += block.row_step;
    }
    reader_ = reader;
}

void SequentialReader::read() {
    reader_ = data_.begin_segment();
    for (std::size_t row = 0; row < mcu_rows_; ++row) {
        read_mcu_row();
    }
    data_.end_segment(reader_, JPEG_EOI);
}

} // namespace

bool read_sequential_jpeg(const jpeg_decompress_struct& header, const JpegLayout& layout,
                          std::uint8_t* memory) {
    try {
        SequentialReader(header, layout, memory).read();
        return true;
    } catch (const GiveUp&) {
        return false;
    }
}

} // namespace vamhash
