// What the fuzz targets share. A target is a file with a function LLVMFuzzerTestOneInput: libFuzzer
// calls it with inputs that it makes up (scripts/fuzz.sh), and a unit test with those that are kept
// (replay_test.cpp). A finding is a crash, a sanitizer's report, or what require() is told.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

namespace vamhash::fuzz {

using Bytes = std::vector<std::uint8_t>;

/// Ends the program, with what was found, unless a condition holds. An exception might be caught by
/// the code under test.
inline void require(bool condition, std::string_view what) {
    if (!condition) {
        std::fprintf(stderr, "FINDING: %.*s\n", static_cast<int>(what.size()), what.data());
        std::abort();
    }
}

/// Takes numbers off the front of an input; 0 where nothing is left.
class Input {
  public:
    explicit Input(std::span<const std::uint8_t> bytes) : rest_(bytes) {}

    [[nodiscard]] bool empty() const { return rest_.empty(); }
    [[nodiscard]] std::span<const std::uint8_t> rest() const { return rest_; }

    template <typename Number>
    Number take() {
        static_assert(std::is_trivially_copyable_v<Number>);
        Number number{};
        const std::size_t count = std::min(sizeof number, rest_.size());
        if (count > 0) {
            std::memcpy(&number, rest_.data(), count);
        }
        rest_ = rest_.subspan(count);
        return number;
    }

    std::uint8_t byte() { return take<std::uint8_t>(); }

    /// A number from `least` to `most`.
    std::uint32_t between(std::uint32_t least, std::uint32_t most) {
        const auto number = most - least < 256 ? std::uint32_t{byte()} : take<std::uint32_t>();
        return least + number % (most - least + 1);
    }

  private:
    std::span<const std::uint8_t> rest_;
};

} // namespace vamhash::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
