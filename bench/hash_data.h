// Made hashes for the benchmarks of joins, the same on every machine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <vector>

namespace vamhash {

using Hashes = std::vector<std::uint64_t>;

// Flips `flips` bits at random; one that is hit twice is as before.
inline std::uint64_t flip_bits(std::uint64_t hash, unsigned flips, std::mt19937_64& random) {
    for (; flips > 0; --flips) {
        hash ^= std::uint64_t{1} << random() % 64;
    }
    return hash;
}

inline Hashes uniform_hashes(std::size_t rows) {
    std::mt19937_64 random(1);
    Hashes hashes(rows);
    for (std::uint64_t& hash : hashes) {
        hash = random();
    }
    return hashes;
}

// Makes 5 % of the rows an earlier one with 0 to 11 bits flipped.
inline Hashes planted_hashes(std::size_t rows) {
    std::mt19937_64 random(2);
    Hashes hashes = uniform_hashes(rows);
    for (std::size_t row = 1; row < rows; ++row) {
        if (random() % 20 == 0) {
            const std::uint64_t earlier = hashes[random() % row];
            hashes[row] = flip_bits(earlier, static_cast<unsigned>(random() % 12), random);
        }
    }
    return hashes;
}

// Hashes of photographs, multiplied. 30 % of the rows have one of the first 50 of them, as blank
// and often copied pictures do. The others are any of them with 16 to 31 bits flipped: they keep
// the photographs' uneven bits, and few are near one another.
inline Hashes skewed_hashes(std::size_t rows, std::span<const std::uint64_t> photographs) {
    std::mt19937_64 random(3);
    Hashes hashes(rows);
    for (std::uint64_t& hash : hashes) {
        if (random() % 10 < 3) {
            hash = photographs[random() % 50];
        } else {
            const std::uint64_t photograph = photographs[random() % photographs.size()];
            hash = flip_bits(photograph, static_cast<unsigned>(16 + random() % 16), random);
        }
    }
    return hashes;
}

} // namespace vamhash
