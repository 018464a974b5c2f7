// Made hashes for the tests of joins, and answers that no order of pairs changes.
#pragma once

#include "join/similar_pairs.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <ostream>
#include <random>
#include <span>
#include <vector>

namespace vamhash::test {

using Column = std::vector<std::uint64_t>;

inline std::uint64_t mix(std::uint64_t x) {
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
}

/// Pairs by their number and a sum over them.
struct Answer {
    std::uint64_t pairs = 0;
    std::uint64_t sum = 0;

    void add(std::uint64_t a, std::uint64_t b, std::uint64_t distance) {
        ++pairs;
        sum += mix(mix(a << 32 | b) + distance);
    }
    bool operator==(const Answer&) const = default;
};

inline std::ostream& operator<<(std::ostream& out, const Answer& answer) {
    return out << answer.pairs << " pairs, sum " << answer.sum;
}

inline std::vector<std::span<const std::uint64_t>> spans(const std::vector<Column>& columns) {
    return {columns.begin(), columns.end()};
}

/// A sink that adds to an answer.
inline PairSink adding_to(Answer& answer) {
    return [&answer](std::span<const Pair> batch) {
        for (const Pair& pair : batch) {
            answer.add(pair.a, pair.b, pair.distance);
        }
    };
}

/// The pairs within a set, or, where `right` is not null, of two, by a double loop.
inline Answer naive_answer(const std::vector<Column>& left, const std::vector<Column>* right,
                           const std::vector<int>& thresholds) {
    Answer answer;
    const std::vector<Column>& others = right == nullptr ? left : *right;
    for (std::size_t a = 0; a < left[0].size(); ++a) {
        for (std::size_t b = right == nullptr ? a + 1 : 0; b < others[0].size(); ++b) {
            bool similar = true;
            for (std::size_t i = 0; i < left.size() && similar; ++i) {
                similar = std::popcount(left[i][a] ^ others[i][b]) <= thresholds[i];
            }
            if (similar) {
                answer.add(a, b, std::popcount(left[0][a] ^ others[0][b]));
            }
        }
    }
    return answer;
}

inline Column uniform_codes(std::size_t rows, unsigned seed) {
    std::mt19937_64 random(seed);
    Column codes(rows);
    std::generate(codes.begin(), codes.end(), [&] { return random(); });
    return codes;
}

/// Flips up to `most` bits.
inline std::uint64_t near(std::uint64_t code, unsigned most, std::mt19937_64& random) {
    for (std::uint64_t flips = random() % (most + 1); flips > 0; --flips) {
        code ^= 1ULL << random() % 64;
    }
    return code;
}

/// Uniform codes, of which one in `every` is an earlier one, or one of `others`, with up to 16 bits
/// changed.
inline Column planted_codes(std::size_t rows, unsigned seed, unsigned every,
                            const Column& others = {}) {
    std::mt19937_64 random(seed);
    Column codes = uniform_codes(rows, seed + 1);
    for (std::size_t row = 1; row < rows; ++row) {
        if (random() % every == 0) {
            const Column& from = others.empty() ? codes : others;
            codes[row] = near(from[random() % (others.empty() ? row : others.size())], 16, random);
        }
    }
    return codes;
}

/// Planted codes, of which `percent` % are one of `values` values, half of which lie near another.
inline Column skewed_codes(std::size_t rows, unsigned seed, unsigned percent, std::size_t values) {
    std::mt19937_64 random(seed);
    const Column heavy = planted_codes(values, 1000, 2);
    Column codes = planted_codes(rows, seed, 20);
    for (std::uint64_t& code : codes) {
        if (random() % 100 < percent) {
            code = heavy[random() % values];
        }
    }
    return codes;
}

} // namespace vamhash::test
