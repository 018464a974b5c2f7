#include "hash/packed_filter.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace vamhash {

namespace {

/// Takes the lowest piece off a coefficient: a signed digit of `bits` bits.
std::int32_t take_piece(std::int32_t& coefficient, std::uint32_t bits) {
    const std::int32_t half = 1 << (bits - 1);
    const std::int32_t piece = ((coefficient + half) & (2 * half - 1)) - half;
    coefficient = (coefficient - piece) >> bits;
    return piece;
}

std::uint32_t round_up(std::uint32_t value, std::uint32_t multiple) {
    return (value + multiple - 1) / multiple * multiple;
}

/// Fills the (zeroed) lanes of one output; the first coefficient is tap `shift` of the first lane,
/// `step` numbers lie between two pieces.
void fill_lanes(std::span<const std::int32_t> coefficients, std::uint32_t shift,
                const ResampleKernels& kernels, std::size_t step, std::int32_t* lane) {
    const std::uint32_t tap_bits = 32 / kernels.lane_taps;
    const std::uint32_t mask = (1U << tap_bits) - 1;
    std::uint32_t position = shift * tap_bits;
    for (std::int32_t rest : coefficients) {
        for (std::uint32_t piece = 0; piece < kernels.short_pieces; ++piece) {
            const bool last = piece + 1 == kernels.short_pieces;
            const std::int32_t part = last ? rest : take_piece(rest, kernels.piece_bits);
            std::int32_t& packed = lane[piece * step];
            packed =
                static_cast<std::int32_t>(static_cast<std::uint32_t>(packed) |
                                          (static_cast<std::uint32_t>(part) & mask) << position);
        }
        position += tap_bits;
        if (position == 32) {
            position = 0;
            lane += kernels.short_pieces * step;
        }
    }
}

} // namespace

PackedShortFilter::PackedShortFilter(const LanczosFilter& filter, const ResampleKernels& kernels) {
    const std::uint32_t outputs = round_up(filter.out_size(), kernels.short_block);
    first_.reserve(outputs);
    for (const Window& window : filter.windows()) {
        first_.push_back(window.first / kernels.short_align * kernels.short_align);
        lanes_ = std::max(lanes_, round_up(window.end() - first_.back(), kernels.lane_taps) /
                                      kernels.lane_taps);
    }
    first_.resize(outputs, first_.back());
    const std::size_t block = kernels.short_block;
    const std::size_t output_size = static_cast<std::size_t>(lanes_) * kernels.short_pieces;
    coefficients_.resize(outputs * output_size);
    for (std::uint32_t output = 0; output < filter.out_size(); ++output) {
        fill_lanes(filter.coefficients(output), filter.window(output).first - first_[output],
                   kernels, block,
                   coefficients_.data() + output / block * block * output_size + output % block);
    }
}

ShortFilter PackedShortFilter::view() const {
    return {.outputs = static_cast<std::uint32_t>(first_.size()),
            .lanes = lanes_,
            .first = first_.data(),
            .coefficients = coefficients_.data()};
}

PackedLongFilter::PackedLongFilter(const LanczosFilter& filter, const ResampleKernels& kernels)
    : in_size_(filter.in_size()), outputs_(filter.out_size()) {
    std::vector<Part> parts;
    std::vector<Part> excess;
    for (std::uint32_t pair = 0; pair < outputs_; pair += 2) {
        parts.resize(std::min(outputs_ - pair, 2U));
        excess.clear();
        for (std::uint32_t i = 0; i < parts.size(); ++i) {
            const auto coefficients = filter.coefficients(pair + i);
            parts[i] = {.first = filter.window(pair + i).first,
                        .coefficients = {coefficients.begin(), coefficients.end()}};
        }
        for (Part& part : parts)
            excess.push_back(take_excess(part, kernels.long_limit));
        add_pair(parts, kernels);
        for (std::size_t i = 0; i < parts.size(); ++i) {
            while (!excess[i].coefficients.empty()) {
                const Part part =
                    std::exchange(excess[i], take_excess(excess[i], kernels.long_limit));
                add_span(part.first, part.end(),
                         i == 0 ? LongFilter::Reader::first : LongFilter::Reader::second,
                         {&part, 1}, kernels);
            }
        }
        pair_spans_.push_back(static_cast<std::uint32_t>(spans_.size()));
    }
}

/// Limits coefficients; what they exceed the limit by is returned.
PackedLongFilter::Part PackedLongFilter::take_excess(Part& part, std::int32_t limit) {
    Part excess{.first = part.first, .coefficients = part.coefficients};
    std::vector<std::int32_t>& rest = excess.coefficients;
    for (std::size_t i = 0; i < rest.size(); ++i) {
        part.coefficients[i] = std::clamp(rest[i], -limit, limit);
        rest[i] -= part.coefficients[i];
    }
    const auto is_zero = [](std::int32_t k) { return k == 0; };
    const auto last = std::find_if_not(rest.rbegin(), rest.rend(), is_zero);
    rest.erase(last.base(), rest.end());
    const auto first = std::find_if_not(rest.begin(), rest.end(), is_zero);
    excess.first += static_cast<std::uint32_t>(first - rest.begin());
    rest.erase(rest.begin(), first);
    return excess;
}

/// Adds the spans of one or two outputs: what the first reads alone, both, and the second alone.
void PackedLongFilter::add_pair(std::span<const Part> parts, const ResampleKernels& kernels) {
    const std::uint32_t block = kernels.long_block;
    const Part& first = parts.front();
    const Part& second = parts.back();
    if (parts.size() == 1) {
        add_span(first.first, first.end(), LongFilter::Reader::first, parts, kernels);
        return;
    }
    const std::uint32_t begin_both = first.first + (second.first - first.first) / block * block;
    const std::uint32_t end_both =
        std::min(begin_both + round_up(first.end() - begin_both, block), second.end());
    if (begin_both > first.first) {
        add_span(first.first, begin_both, LongFilter::Reader::first, parts.first(1), kernels);
    }
    add_span(begin_both, end_both, LongFilter::Reader::both, parts, kernels);
    if (end_both < second.end())
        add_span(end_both, second.end(), LongFilter::Reader::second, parts.last(1), kernels);
}

void PackedLongFilter::add_span(std::uint32_t begin, std::uint32_t end, LongFilter::Reader reader,
                                std::span<const Part> parts, const ResampleKernels& kernels) {
    const std::uint32_t block = kernels.long_block;
    const std::uint32_t padded = round_up(end - begin, block);
    // Whole blocks end within the row where the row is long enough.
    const std::uint32_t first =
        std::min(begin, in_size_ > padded ? in_size_ - padded : std::uint32_t{0});
    row_bytes_ = std::max(row_bytes_, first + padded);

    const std::uint32_t piece_bytes = 4 / kernels.lane_taps;
    const std::size_t output_bytes =
        static_cast<std::size_t>(block) * kernels.long_pieces * piece_bytes;
    const std::size_t block_bytes = output_bytes * parts.size();
    const std::size_t start = coefficients_.size();
    spans_.push_back({.first = first, .blocks = padded / block, .reader = reader, .offset = start});
    coefficients_.resize(start + spans_.back().blocks * block_bytes);

    for (std::size_t output = 0; output < parts.size(); ++output) {
        const Part& part = parts[output];
        for (std::uint32_t x = std::max(begin, part.first); x < std::min(end, part.end()); ++x) {
            std::uint8_t* place = coefficients_.data() + start + (x - first) / block * block_bytes +
                                  output * output_bytes +
                                  static_cast<std::size_t>((x - first) % block) * piece_bytes;
            std::int32_t rest = part.coefficients[x - part.first];
            for (std::uint32_t piece = 0; piece < kernels.long_pieces; ++piece) {
                const bool last = piece + 1 == kernels.long_pieces;
                const auto digit =
                    static_cast<std::int16_t>(last ? rest : take_piece(rest, kernels.piece_bits));
                // Little-endian: the low byte of a 16-bit piece is its 8-bit form.
                std::memcpy(place, &digit, piece_bytes);
                place += static_cast<std::size_t>(block) * piece_bytes;
            }
        }
    }
}

LongFilter PackedLongFilter::view() const {
    return {.outputs = outputs_,
            .pair_spans = pair_spans_.data(),
            .spans = spans_.data(),
            .coefficients = coefficients_.data()};
}

PackedColumnFilter::PackedColumnFilter(const LanczosFilter& filter, const ResampleKernels& kernels)
    : pieces_(kernels.short_pieces) {
    const std::uint32_t taps = kernels.lane_taps;
    offsets_.reserve(filter.out_size() + std::size_t{1});
    for (const Window& window : filter.windows()) {
        offsets_.push_back(offsets_.back() + round_up(window.end(), taps) / taps -
                           window.first / taps);
    }
    coefficients_.resize(static_cast<std::size_t>(offsets_.back()) * pieces_);
    for (std::uint32_t output = 0; output < filter.out_size(); ++output) {
        fill_lanes(filter.coefficients(output), filter.window(output).first % taps, kernels, 1,
                   coefficients_.data() + static_cast<std::size_t>(offsets_[output]) * pieces_);
    }
}

} // namespace vamhash
