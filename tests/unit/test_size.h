// The sizes of tests that compare many rows or decode many images. Under a sanitizer both are some
// ten times slower, so scripts/test.sh --sanitize sets VAMHASH_TEST_SMALL, and they take fewer: of
// rows as many as it needs for all code to be run, several threads (from 4097 rows) included; of
// damaged images some hundreds, since fuzzing makes more of them.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <vector>

namespace vamhash::test {

inline bool is_small() {
    static const bool small = std::getenv("VAMHASH_TEST_SMALL") != nullptr;
    return small;
}

/// So many rows or images, or in a small test at most as many as `small`.
inline std::size_t sized(std::size_t many, std::size_t small = 4500) {
    return is_small() && many > small ? small : many;
}

/// The step of a loop over so many: 1, or in a small test one that leaves about `small` of them. It
/// is odd, so that a loop over the bits of an image comes to all places within a byte.
inline std::size_t stride(std::size_t many, std::size_t small = 200) {
    return is_small() ? many / small | 1U : 1;
}

/// All of these, or in a small test every ninth, and the last.
template <typename Value>
std::vector<Value> thinned(std::vector<Value> values) {
    if (!is_small()) {
        return values;
    }
    std::vector<Value> some;
    for (std::size_t i = 0; i < values.size(); i += 9) {
        some.push_back(values[i]);
    }
    if (values.size() % 9 != 1) {
        some.push_back(values.back());
    }
    return some;
}

} // namespace vamhash::test
