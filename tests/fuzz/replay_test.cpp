// A fuzz target as a unit test: the inputs that once were findings (regressions/TARGET), and those
// that fuzzing starts from (made by make_corpus.py), each in memory of its own length.
#include "fuzz.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>

namespace {

namespace fs = std::filesystem;

/// Runs all files of a folder; returns how many there are. What fails ends the program, so each
/// file is named before.
std::size_t replay(const fs::path& folder) {
    std::size_t count = 0;
    if (!fs::exists(folder)) {
        return 0;
    }
    for (const auto& entry : fs::directory_iterator(folder)) {
        std::ifstream file(entry.path(), std::ios::binary);
        const std::string read{std::istreambuf_iterator<char>(file), {}};
        const vamhash::fuzz::Bytes bytes(read.begin(), read.end());
        std::cout << entry.path().string() << std::endl; // NOLINT(performance-avoid-endl)
        EXPECT_EQ(LLVMFuzzerTestOneInput(bytes.data(), bytes.size()), 0);
        ++count;
    }
    return count;
}

TEST(VAMHASH_FUZZ_TARGET, Regressions) {
#if defined(VAMHASH_FUZZED_PLUGIN) && defined(__SANITIZE_THREAD__)
    // What a damaged image does not cover differs each time.
    GTEST_SKIP() << "ThreadSanitizer's malloc() cannot be told to hand out zeros";
#endif
    replay(VAMHASH_FUZZ_REGRESSIONS);
}

TEST(VAMHASH_FUZZ_TARGET, Seeds) {
    EXPECT_GT(replay(VAMHASH_FUZZ_SEEDS), 0U) << VAMHASH_FUZZ_SEEDS;
}

TEST(VAMHASH_FUZZ_TARGET, Nothing) {
    EXPECT_EQ(LLVMFuzzerTestOneInput(nullptr, 0), 0);
}

} // namespace
