// A pixel at an eighth of the size is a block's mean, its DC coefficient. So nearly all bits of the
// file, those of AC coefficients and of chroma, are only in the way: what remains of the work is to
// find where each block ends. libjpeg goes there code by code, and that is most of its time at 1/8.
// Here one look at the next bits passes over several codes with their extra bits.
//
// Which images. 8-bit sequential Huffman JPEGs of one scan, grey or YCbCr with luma at full
// resolution: what cameras and phones write. All else is libjpeg's, and every image that is less
// than perfect: bits missing or left over before a marker, a marker that is not the one expected, a
// code that does not exist, no end of image behind the last block. libjpeg then decodes the same
// bytes from their beginning, so that no status, no message and no pixel of a damaged image can
// differ.
//
// Hostile bytes. A block has at most 64 codes of 31 bits, an MCU 10 blocks. Before each MCU as many
// bytes can be read as it may take, zeros behind the end of a segment; whether the segment had
// those that were taken is asked after each MCU near its end.
#include "codec/jpeg_dc.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <memory>
#include <span>

namespace vamhash {

namespace {

constexpr unsigned longest_code = 16;
constexpr unsigned max_extra_bits = 15;
constexpr unsigned coefficient_count = 64;

/// Bits of a look-up.
constexpr unsigned window_bits = 12;
constexpr std::size_t window_count = std::size_t{1} << window_bits;

constexpr std::size_t max_mcu_blocks = 10; // by the standard
constexpr std::size_t max_mcu_bytes =
    max_mcu_blocks * coefficient_count * (longest_code + max_extra_bits) / 8;

/// The image is for libjpeg.
struct GiveUp {};

void require(bool usual) {
    if (!usual) {
        throw GiveUp();
    }
}

/// A Huffman code, and what it stands for; length 0: none.
struct Code {
    std::uint8_t length = 0;
    std::uint8_t symbol = 0;
};

/// The code at the beginning of each window that has all of it.
using CodeTable = std::array<Code, window_count>;

/// The canonical Huffman codes of a table, the shorter ones first.
class HuffmanCodes {
  public:
    explicit HuffmanCodes(const JHUFF_TBL& table);

    /// The code at the beginning of 16 bits.
    [[nodiscard]] Code find(std::uint32_t bits) const;

    [[nodiscard]] CodeTable short_codes() const;

    /// Whether all symbols are a number of extra bits, as those of DC differences must be.
    [[nodiscard]] bool are_sizes() const {
        return std::all_of(symbols_.begin(), symbols_.begin() + symbol_count_,
                           [](std::uint8_t symbol) { return symbol <= max_extra_bits; });
    }

  private:
    // By length: the first 16 bits beyond the codes that are so long or shorter; the symbol's place
    // less the code.
    std::array<std::uint32_t, longest_code + 1> end_{};
    std::array<std::int32_t, longest_code + 1> place_{};
    std::array<std::uint8_t, 256> symbols_{};
    std::int32_t symbol_count_ = 0;
};

HuffmanCodes::HuffmanCodes(const JHUFF_TBL& table) {
    std::copy(std::begin(table.huffval), std::end(table.huffval), symbols_.begin());
    std::uint32_t code = 0;
    for (unsigned length = 1; length <= longest_code; ++length) {
        place_[length] = symbol_count_ - static_cast<std::int32_t>(code);
        code += table.bits[length];
        symbol_count_ += table.bits[length];
        // No code is all ones.
        require(code < 1U << length && symbol_count_ <= std::ssize(symbols_));
        end_[length] = code << (longest_code - length);
        code *= 2;
    }
}

Code HuffmanCodes::find(std::uint32_t bits) const {
    for (unsigned length = 1; length <= longest_code; ++length) {
        if (bits < end_[length]) {
            const auto code = static_cast<std::int32_t>(bits >> (longest_code - length));
            const std::int32_t place = code + place_[length];
            return {.length = static_cast<std::uint8_t>(length), .symbol = symbols_[place]};
        }
    }
    return {};
}

CodeTable HuffmanCodes::short_codes() const {
    constexpr std::uint32_t first_bit_beyond = 1U << (longest_code - window_bits);
    CodeTable codes{};
    for (std::uint32_t window = 0; window < window_count; ++window) {
        const std::uint32_t bits = window * first_bit_beyond;
        if (bits >= end_[window_bits]) {
            break; // longer codes follow
        }
        codes[window] = find(bits);
    }
    return codes;
}

/// Marks the end of the block in a number of coefficients.
constexpr unsigned end_of_block = 128;

/// Whether so many coefficients, and the end of the block where it is marked, make a block or the
/// beginning of one. A block is full at 64, and has no mark behind that.
constexpr bool fit_in_block(unsigned coefficients) {
    return coefficients <= coefficient_count || (coefficients & coefficient_count) == 0;
}

/// The coefficients that an AC code passes, its own included.
unsigned passed_by(Code ac) {
    constexpr unsigned run_of_16 = 0xF0;
    const bool has_value = (ac.symbol & 0x0FU) != 0;
    return has_value || ac.symbol == run_of_16 ? (ac.symbol >> 4U) + 1U : end_of_block;
}

/// What the codes in a window pass over. The last one's extra bits may lie beyond it.
struct Step {
    std::uint8_t bits = 0;         // at most 27
    std::uint8_t coefficients = 0; // with end_of_block
};

/// Adds the AC codes that follow in a window.
Step with_ac_codes(Step step, std::uint32_t window, const CodeTable& ac) {
    while (step.bits < window_bits && step.coefficients < coefficient_count) {
        const Code code = ac[window << step.bits & (window_count - 1)];
        const unsigned coefficients = step.coefficients + passed_by(code);
        if (code.length == 0 || code.length > window_bits - step.bits ||
            !fit_in_block(coefficients)) {
            break;
        }
        step.bits += code.length + (code.symbol & 0x0FU);
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
    const CodeTable dc_codes = dc.short_codes();
    const CodeTable ac_codes = ac.short_codes();
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

/// The next bits of a segment. They are read without looking where it ends: ScanData sees to that.
struct BitReader {
    const std::uint8_t* next = nullptr; // byte
    std::uint64_t bits = 0;             // the first one highest
    unsigned count = 0;                 // of `bits` that are counted; bytes at `next` may follow

    /// Makes 56 bits or more available.
    void refill() {
        std::uint64_t bytes = 0;
        std::memcpy(&bytes, next, sizeof bytes);
        if constexpr (std::endian::native == std::endian::little) {
            bytes = __builtin_bswap64(bytes);
        }
        bits |= bytes >> count;
        next += (63 - count) / 8;
        count |= 56U;
    }
    [[nodiscard]] std::uint32_t peek(unsigned length) const {
        return static_cast<std::uint32_t>(bits >> (64 - length));
    }
    void skip(unsigned length) {
        bits <<= length;
        count -= length;
    }
};

/// The entropy-coded segments of a scan, with the stuffing taken out, a part of them at a time.
class ScanData {
  public:
    explicit ScanData(std::span<const std::uint8_t> bytes);

    /// Goes to the beginning of the segment that the scan or a restart marker begins.
    BitReader begin_segment();

    /// Whether provide() is to be called before the next MCU.
    [[nodiscard]] bool is_short(const BitReader& reader) const {
        return reader.next >= short_from_;
    }

    /// Sees to it that the next MCU can be read. Returns a reader that goes on where this one is.
    BitReader provide(BitReader reader);

    /// Ends a segment: all of its bytes have been taken, and this marker follows.
    void end_segment(BitReader reader, std::uint8_t marker);

  private:
    static constexpr std::size_t capacity = 64 * 1024;
    // A reader is ahead of what is taken by less than 8 bytes, and reads 8.
    static constexpr std::size_t slack = max_mcu_bytes + 16;

    void fill();
    [[nodiscard]] std::ptrdiff_t bits_left(const BitReader& reader) const {
        return (end_ - reader.next) * 8 + static_cast<std::ptrdiff_t>(reader.count);
    }

    std::span<const std::uint8_t> rest_;
    std::unique_ptr<std::uint8_t[]> bytes_ =
        std::make_unique_for_overwrite<std::uint8_t[]>(capacity + slack);
    std::uint8_t* end_ = bytes_.get();
    const std::uint8_t* short_from_ = nullptr;
    bool complete_ = false; // the segment's end is there, and rest_ begins with a marker
};

ScanData::ScanData(std::span<const std::uint8_t> bytes) : rest_(bytes) {}

/// Takes bytes from the file until there is no room or the segment ends.
void ScanData::fill() {
    std::uint8_t* const limit = bytes_.get() + capacity;
    while (!complete_ && end_ < limit) {
        const std::size_t count = std::min<std::size_t>(limit - end_, rest_.size());
        require(count > 0);
        const void* const found = std::memchr(rest_.data(), 0xFF, count);
        const std::size_t plain =
            found != nullptr ? static_cast<const std::uint8_t*>(found) - rest_.data() : count;
        std::memcpy(end_, rest_.data(), plain);
        end_ += plain;
        rest_ = rest_.subspan(plain);
        if (found != nullptr) {
            require(rest_.size() > 1);
            complete_ = rest_[1] != 0;
            if (!complete_) {
                *end_++ = 0xFF;
                rest_ = rest_.subspan(2);
            }
        }
    }
    if (complete_) {
        std::memset(end_, 0, slack);
    }
    short_from_ = end_ - std::min<std::size_t>(end_ - bytes_.get(), slack);
}

BitReader ScanData::begin_segment() {
    complete_ = false;
    end_ = bytes_.get();
    fill();
    return {.next = bytes_.get()};
}

BitReader ScanData::provide(BitReader reader) {
    if (complete_) {
        require(bits_left(reader) >= 0);
        return reader;
    }
    const std::size_t kept = end_ - reader.next;
    std::memmove(bytes_.get(), reader.next, kept);
    end_ = bytes_.get() + kept;
    fill();
    reader.next = bytes_.get();
    return reader;
}

void ScanData::end_segment(BitReader reader, std::uint8_t marker) {
    if (!complete_) {
        reader = provide(reader);
    }
    const std::ptrdiff_t left = bits_left(reader);
    require(complete_ && left >= 0 && left < 8 && rest_[1] == marker);
    rest_ = rest_.subspan(2);
}

/// Passes one AC code that may be longer than a window. Returns the coefficients passed so far.
unsigned pass_long_code(BitReader& reader, const HuffmanCodes& ac, unsigned coefficients) {
    reader.refill();
    const Code code = ac.find(reader.peek(longest_code));
    coefficients += passed_by(code);
    require(code.length != 0 && fit_in_block(coefficients));
    reader.skip(code.length + (code.symbol & 0x0FU));
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
    // A difference that begins with 0 is negative.
    const unsigned size = first.dc.symbol;
    const auto value = static_cast<std::int32_t>(extra_bits >> 1U >> (63 - size));
    return value - (extra_bits >> 63U == 0 ? (1 << size) - 1 : 0);
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
    BitReader restart(BitReader reader);
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
    unsigned until_restart_ = 0;   // MCUs
    unsigned restarts_ = 0;
};

std::size_t divided_up(std::size_t a, std::size_t b) {
    return (a + b - 1) / b;
}

DcDecoder::DcDecoder(const jpeg_decompress_struct& header)
    : header_(header), data_({header.src->next_input_byte, header.src->bytes_in_buffer}) {
    const jpeg_component_info& luma = header.comp_info[0];
    require(header.data_precision == 8 && header.progressive_mode == FALSE &&
            header.arith_code == FALSE && header.Ss == 0 && header.Se == coefficient_count - 1 &&
            header.Ah == 0 && header.Al == 0);
    require(header.comps_in_scan == header.num_components);
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
    mcus_a_row_ = divided_up(header.image_width, mcu_width_ * DCTSIZE);
    mcu_rows_ = divided_up(header.image_height, mcu_height_ * DCTSIZE);
    stride_ = mcus_a_row_ * mcu_width_;
    quantizer_ = header.quant_tbl_ptrs[luma.quant_tbl_no]->quantval[0];
    require(quantizer_ > 0 && quantizer_ <= INT16_MAX); // libjpeg's have 16 bits with the sign
    until_restart_ = header.restart_interval;
}

/// The codes of a component.
const Component& DcDecoder::component_of(const jpeg_component_info& info) {
    const auto is_table = [](int number) { return number >= 0 && number < NUM_HUFF_TBLS; };
    require(is_table(info.dc_tbl_no) && is_table(info.ac_tbl_no));
    const JHUFF_TBL* const dc = header_.dc_huff_tbl_ptrs[info.dc_tbl_no];
    const JHUFF_TBL* const ac = header_.ac_huff_tbl_ptrs[info.ac_tbl_no];
    require(dc != nullptr && ac != nullptr);
    std::unique_ptr<Component>& component = components_[info.dc_tbl_no][info.ac_tbl_no];
    if (!component) {
        component = std::make_unique<Component>(*dc, *ac);
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

/// Goes on behind a restart marker.
BitReader DcDecoder::restart(BitReader reader) {
    constexpr unsigned restart_markers = 8;
    data_.end_segment(reader, static_cast<std::uint8_t>(JPEG_RST0 + restarts_ % restart_markers));
    ++restarts_;
    until_restart_ = header_.restart_interval;
    coefficient_ = 0;
    return data_.begin_segment();
}

/// Decodes a row of MCUs to rows of pixels.
void DcDecoder::decode_mcu_row(std::uint8_t* pixels) {
    BitReader reader = reader_;
    for (std::size_t mcu = 0; mcu < mcus_a_row_; ++mcu, pixels += mcu_width_) {
        if (header_.restart_interval != 0) {
            if (until_restart_ == 0) {
                reader = restart(reader);
            }
            --until_restart_;
        }
        if (data_.is_short(reader)) {
            reader = data_.provide(reader);
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
    DcPicture picture{.width = static_cast<std::uint32_t>(divided_up(header_.image_width, DCTSIZE)),
                      .height =
                          static_cast<std::uint32_t>(divided_up(header_.image_height, DCTSIZE)),
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
