#include "codec/jpeg_scan.h"

namespace vamhash {

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

void HuffmanCodes::fill(std::span<Code> windows, unsigned window_bits) const {
    std::size_t window = 0;
    for (unsigned length = 1; length <= window_bits; ++length) {
        const std::size_t end = end_[length] >> (longest_code - window_bits);
        for (; window < end; ++window) {
            const auto code = static_cast<std::int32_t>(window >> (window_bits - length));
            windows[window] = {.length = static_cast<std::uint8_t>(length),
                               .symbol = symbols_[code + place_[length]]};
        }
    }
}

ScanData::ScanData(const jpeg_decompress_struct& header)
    : rest_(header.src->next_input_byte, header.src->bytes_in_buffer),
      restart_interval_(header.restart_interval), until_restart_(header.restart_interval) {}

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

/// Goes on behind a restart marker.
BitReader ScanData::restart(BitReader reader) {
    constexpr unsigned restart_markers = 8;
    end_segment(reader, static_cast<std::uint8_t>(JPEG_RST0 + restarts_ % restart_markers));
    ++restarts_;
    until_restart_ = restart_interval_;
    return begin_segment();
}

void require_usual(const jpeg_decompress_struct& header) {
    require(header.data_precision == 8 && header.progressive_mode == FALSE &&
            header.arith_code == FALSE && header.Ss == 0 && header.Se == coefficient_count - 1 &&
            header.Ah == 0 && header.Al == 0);
    require(header.comps_in_scan == header.num_components);
}

HuffmanTables huffman_tables(const jpeg_decompress_struct& header,
                             const jpeg_component_info& info) {
    const auto is_table = [](int number) { return number >= 0 && number < NUM_HUFF_TBLS; };
    require(is_table(info.dc_tbl_no) && is_table(info.ac_tbl_no));
    const JHUFF_TBL* const dc = header.dc_huff_tbl_ptrs[info.dc_tbl_no];
    const JHUFF_TBL* const ac = header.ac_huff_tbl_ptrs[info.ac_tbl_no];
    require(dc != nullptr && ac != nullptr);
    return {.dc = *dc, .ac = *ac};
}

} // namespace vamhash
