#include "hash/packed_filter.h"

#include <algorithm>
#include <cstring>

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

/// Fills the (zeroed) lanes of one output; the first coefficient is tap `shift` of the first lane.
void fill_lanes(std::span<const std::int32_t> coefficients, std::uint32_t shift,
                const ResampleKernels& kernels, std::int32_t* lane) {
    const std::uint32_t tap_bits = 32 / kernels.lane_taps;
    const std::uint32_t mask = (1U << tap_bits) - 1;
    std::uint32_t position = shift * tap_bits;
    for (std::int32_t rest : coefficients) {
        for (std::uint32_t piece = 0; piece < kernels.short_pieces; ++piece) {
            const bool last = piece + 1 == kernels.short_pieces;
            const std::int32_t part = last ? rest : take_piece(rest, kernels.piece_bits);
            lane[piece] =
                static_cast<std::int32_t>(static_cast<std::uint32_t>(lane[piece]) |
                                          (static_cast<std::uint32_t>(part) & mask) << position);
        }
        position += tap_bits;
        if (position == 32) {
            position = 0;
            lane += kernels.short_pieces;
        }
    }
}

} // namespace

PackedShortFilter::PackedShortFilter(const LanczosFilter& filter, const ResampleKernels& kernels) {
    first_.reserve(filter.out_size());
    for (const Window& window : filter.windows()) {
        first_.push_back(window.first / kernels.lane_taps * kernels.lane_taps);
        lanes_ = std::max(lanes_, round_up(window.end() - first_.back(), kernels.lane_taps) /
                                      kernels.lane_taps);
    }
    const std::size_t output_lanes = static_cast<std::size_t>(lanes_) * kernels.short_pieces;
    coefficients_.resize(filter.out_size() * output_lanes);
    for (std::uint32_t output = 0; output < filter.out_size(); ++output) {
        fill_lanes(filter.coefficients(output), filter.window(output).first - first_[output],
                   kernels, coefficients_.data() + output * output_lanes);
    }
}

ShortFilter PackedShortFilter::view() const {
    return {.outputs = static_cast<std::uint32_t>(first_.size()),
            .lanes = lanes_,
            .first = first_.data(),
            .coefficients = coefficients_.data()};
}

PackedLongFilter::PackedLongFilter(const LanczosFilter& filter, const ResampleKernels& kernels) {
    std::vector<std::int32_t> rest;
    std::vector<std::int32_t> part;
    for (std::uint32_t output = 0; output < filter.out_size(); ++output) {
        Window window = filter.window(output);
        rest.assign(filter.coefficients(output).begin(), filter.coefficients(output).end());
        const auto is_zero = [](std::int32_t k) { return k == 0; };
        while (!rest.empty()) {
            part = rest;
            for (std::size_t i = 0; i < rest.size(); ++i) {
                part[i] = std::clamp(rest[i], -kernels.long_limit, kernels.long_limit);
                rest[i] -= part[i];
            }
            add_span(window, part, filter.in_size(), kernels);
            const auto last = std::find_if_not(rest.rbegin(), rest.rend(), is_zero);
            rest.erase(last.base(), rest.end());
            const auto first = std::find_if_not(rest.begin(), rest.end(), is_zero);
            window.first += static_cast<std::uint32_t>(first - rest.begin());
            rest.erase(rest.begin(), first);
        }
        output_spans_.push_back(static_cast<std::uint32_t>(spans_.size()));
    }
}

void PackedLongFilter::add_span(const Window& window, std::span<const std::int32_t> coefficients,
                                std::uint32_t in_size, const ResampleKernels& kernels) {
    const auto taps = static_cast<std::uint32_t>(coefficients.size());
    const std::uint32_t padded = round_up(taps, kernels.long_block);
    // Whole blocks end within the row where the row is long enough.
    const std::uint32_t first =
        std::min(window.first, in_size > padded ? in_size - padded : std::uint32_t{0});
    row_bytes_ = std::max(row_bytes_, first + padded);

    const std::uint32_t piece_bytes = 4 / kernels.lane_taps;
    const std::size_t block_bytes = static_cast<std::size_t>(kernels.long_block) * piece_bytes;
    const std::size_t start = coefficients_.size();
    spans_.push_back({.first = first, .blocks = padded / kernels.long_block, .offset = start});
    coefficients_.resize(start + spans_.back().blocks * kernels.long_pieces * block_bytes);

    std::uint8_t* block = coefficients_.data() + start;
    std::uint32_t tap = window.first - first;
    for (; tap >= kernels.long_block; tap -= kernels.long_block)
        block += kernels.long_pieces * block_bytes;
    for (std::int32_t rest : coefficients) {
        std::uint8_t* place = block + static_cast<std::size_t>(tap) * piece_bytes;
        for (std::uint32_t piece = 0; piece < kernels.long_pieces; ++piece) {
            const bool last = piece + 1 == kernels.long_pieces;
            const auto part =
                static_cast<std::int16_t>(last ? rest : take_piece(rest, kernels.piece_bits));
            // Little-endian: the low byte of a 16-bit piece is its 8-bit form.
            std::memcpy(place, &part, piece_bytes);
            place += block_bytes;
        }
        if (++tap == kernels.long_block) {
            tap = 0;
            block += kernels.long_pieces * block_bytes;
        }
    }
}

LongFilter PackedLongFilter::view() const {
    return {.outputs = static_cast<std::uint32_t>(output_spans_.size() - 1),
            .output_spans = output_spans_.data(),
            .spans = spans_.data(),
            .coefficients = coefficients_.data()};
}

PackedColumnFilter::PackedColumnFilter(const LanczosFilter& filter, const ResampleKernels& kernels)
    : pieces_(kernels.short_pieces) {
    offsets_.reserve(filter.out_size() + std::size_t{1});
    for (const Window& window : filter.windows()) {
        offsets_.push_back(offsets_.back() +
                           round_up(window.taps, kernels.lane_taps) / kernels.lane_taps);
    }
    coefficients_.resize(static_cast<std::size_t>(offsets_.back()) * pieces_);
    for (std::uint32_t output = 0; output < filter.out_size(); ++output) {
        fill_lanes(filter.coefficients(output), 0, kernels,
                   coefficients_.data() + static_cast<std::size_t>(offsets_[output]) * pieces_);
    }
}

} // namespace vamhash
