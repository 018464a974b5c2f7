// The scan of a usual JPEG, for decoders of their own: its Huffman codes and its bits.
//
// Which images. 8-bit sequential Huffman JPEGs of one scan: what cameras and phones write. All else
// is libjpeg's, and every image that is less than perfect: bits missing or left over before a
// marker, a marker that is not the one expected, a code that does not exist, no end of image behind
// the last block. Decoders give up then, and libjpeg decodes the same bytes from their beginning,
// so that no status, no message and no pixel of a damaged image can differ.
//
// Hostile bytes. A block has at most 64 codes of 31 bits, an MCU 10 blocks. Before each MCU as many
// bytes can be read as it may take, zeros behind the end of a segment; whether the segment had
// those that were taken is asked after each MCU near its end.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <span>

#include <jpeglib.h> // after cstdio, which it wants

namespace vamhash {

/// The image is for libjpeg.
struct GiveUp {};

inline void require(bool usual) {
    if (!usual) {
        throw GiveUp();
    }
}

constexpr unsigned longest_code = 16;
constexpr unsigned max_extra_bits = 15;
constexpr unsigned coefficient_count = 64;

constexpr std::size_t max_mcu_blocks = 10; // by the standard

/// A Huffman code, and what it stands for; length 0: none.
struct Code {
    std::uint8_t length = 0;
    std::uint8_t symbol = 0;
};

/// The code at the beginning of each window of so many bits that has all of it.
template <unsigned window_bits>
using CodeTable = std::array<Code, std::size_t{1} << window_bits>;

/// The canonical Huffman codes of a table, the shorter ones first.
class HuffmanCodes {
  public:
    explicit HuffmanCodes(const JHUFF_TBL& table);

    /// The code at the beginning of 16 bits.
    [[nodiscard]] Code find(std::uint32_t bits) const {
        for (unsigned length = 1; length <= longest_code; ++length) {
            if (bits < end_[length]) {
                const auto code = static_cast<std::int32_t>(bits >> (longest_code - length));
                const std::int32_t place = code + place_[length];
                return {.length = static_cast<std::uint8_t>(length), .symbol = symbols_[place]};
            }
        }
        return {};
    }

    /// The codes that are not longer than a window.
    template <unsigned window_bits>
    [[nodiscard]] CodeTable<window_bits> short_codes() const {
        CodeTable<window_bits> codes{};
        fill(codes, window_bits);
        return codes;
    }

    /// Whether all symbols are a number of extra bits, as those of DC differences must be.
    [[nodiscard]] bool are_sizes() const {
        return std::all_of(symbols_.begin(), symbols_.begin() + symbol_count_,
                           [](std::uint8_t symbol) { return symbol <= max_extra_bits; });
    }

  private:
    void fill(std::span<Code> windows, unsigned window_bits) const;

    // By length: the first 16 bits beyond the codes that are so long or shorter; the symbol's place
    // less the code.
    std::array<std::uint32_t, longest_code + 1> end_{};
    std::array<std::int32_t, longest_code + 1> place_{};
    std::array<std::uint8_t, 256> symbols_{};
    std::int32_t symbol_count_ = 0;
};

/// The extra bits of an AC code, which make its value: 0 where it has none.
constexpr unsigned extra_bits_of(Code ac) {
    return ac.symbol & 0x0FU;
}

/// Marks the end of the block in a number of coefficients.
constexpr unsigned end_of_block = 128;

/// Whether so many coefficients, and the end of the block where it is marked, make a block or the
/// beginning of one. A block is full at 64, and has no mark behind that.
constexpr bool fit_in_block(std::size_t coefficients) {
    return coefficients <= coefficient_count || (coefficients & coefficient_count) == 0;
}

/// The coefficients that an AC code passes, its own included.
constexpr unsigned passed_by(Code ac) {
    constexpr unsigned run_of_16 = 0xF0;
    return extra_bits_of(ac) != 0 || ac.symbol == run_of_16 ? (ac.symbol >> 4U) + 1U : end_of_block;
}

/// The value of extra bits, which are the highest ones here. One that begins with 0 is negative.
constexpr std::int32_t value_of(std::uint64_t extra_bits, unsigned size) {
    const auto value = static_cast<std::int32_t>(extra_bits >> 1U >> (63 - size));
    return value - (extra_bits >> 63U == 0 ? (1 << size) - 1 : 0);
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
    /// Of the scan that jpeg_read_header has come to.
    explicit ScanData(const jpeg_decompress_struct& header);

    /// Goes to the beginning of the segment that the scan or a restart marker begins.
    BitReader begin_segment();

    /// Sees to it that the next MCU can be read. Returns whether it is the first one behind a
    /// restart marker.
    bool begin_mcu(BitReader& reader) {
        bool restarts = false;
        if (restart_interval_ != 0) {
            restarts = until_restart_ == 0;
            if (restarts) {
                reader = restart(reader);
            }
            --until_restart_;
        }
        if (reader.next >= short_from_) {
            reader = provide(reader);
        }
        return restarts;
    }

    /// Ends a segment: all of its bytes have been taken, and this marker follows.
    void end_segment(BitReader reader, std::uint8_t marker);

  private:
    static constexpr std::size_t capacity = 64 * 1024;
    static constexpr std::size_t max_mcu_bytes =
        max_mcu_blocks * coefficient_count * (longest_code + max_extra_bits) / 8;
    // A reader is ahead of what is taken by less than 8 bytes, and reads 8.
    static constexpr std::size_t slack = max_mcu_bytes + 16;

    void fill();
    BitReader provide(BitReader reader);
    BitReader restart(BitReader reader);
    [[nodiscard]] std::ptrdiff_t bits_left(const BitReader& reader) const {
        return (end_ - reader.next) * 8 + static_cast<std::ptrdiff_t>(reader.count);
    }

    std::span<const std::uint8_t> rest_;
    std::unique_ptr<std::uint8_t[]> bytes_ =
        std::make_unique_for_overwrite<std::uint8_t[]>(capacity + slack);
    std::uint8_t* end_ = bytes_.get();
    const std::uint8_t* short_from_ = nullptr;
    bool complete_ = false; // the segment's end is there, and rest_ begins with a marker
    unsigned restart_interval_ = 0;
    unsigned until_restart_ = 0; // MCUs
    unsigned restarts_ = 0;
};

/// Gives up where an image is not of the kind that the head of this file tells of. `header` is what
/// jpeg_read_header has read.
void require_usual(const jpeg_decompress_struct& header);

/// The Huffman tables of a component.
struct HuffmanTables {
    const JHUFF_TBL& dc;
    const JHUFF_TBL& ac;
};
HuffmanTables huffman_tables(const jpeg_decompress_struct& header, const jpeg_component_info& info);

/// MCUs side by side or one above the other in so many pixels.
constexpr std::size_t mcus_in(std::size_t pixels, std::size_t blocks_of_mcu) {
    return (pixels + blocks_of_mcu * DCTSIZE - 1) / (blocks_of_mcu * DCTSIZE);
}

} // namespace vamhash
