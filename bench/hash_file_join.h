// What the programs that join a file of hashes for bench/join.sh share.
#pragma once

#include "stopwatch.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace vamhash {

inline std::vector<std::uint64_t> read_hashes(const std::string& path) {
    std::vector<std::uint64_t> hashes(std::filesystem::file_size(path) / sizeof(std::uint64_t));
    std::ifstream file(path, std::ios::binary);
    file.read(reinterpret_cast<char*>(hashes.data()),
              static_cast<std::streamsize>(hashes.size() * sizeof hashes[0]));
    if (!file) {
        throw std::runtime_error("could not read " + path);
    }
    return hashes;
}

// Runs `join(hashes, threshold, seconds allowed)`, which gives the number of pairs or nothing when
// the time is up: three times, or once if that took more than a second. Prints the best run's
// seconds and the pairs, or "- -".
//
// Arguments: HASHES THRESHOLD SECONDS.
template <typename Join>
int run_join(std::span<char*> arguments, Join join) {
    if (arguments.size() != 3) {
        std::fputs("arguments: HASHES THRESHOLD SECONDS\n", stderr);
        return 2;
    }
    try {
        const std::vector<std::uint64_t> hashes = read_hashes(arguments[0]);
        const int threshold = std::stoi(arguments[1]);
        const double limit = std::stod(arguments[2]);
        double best = 0;
        std::optional<std::uint64_t> pairs;
        for (int run = 0; run < 3 && (run == 0 || best <= 1); ++run) {
            const Stopwatch watch;
            pairs = join(std::span<const std::uint64_t>(hashes), threshold, limit);
            if (!pairs) {
                std::puts("- -");
                return 0;
            }
            best = run == 0 ? watch.seconds() : std::min(best, watch.seconds());
        }
        std::printf("%.4f %llu\n", best, static_cast<unsigned long long>(*pairs));
        return 0;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
}

} // namespace vamhash
