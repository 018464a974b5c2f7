// The sizes of tests that compare many rows. Under a sanitizer joins are some ten times slower, so
// scripts/test.sh --sanitize sets VAMHASH_TEST_SMALL, and they take fewer: as many as it needs for
// all code to be run, several threads (from 4097 rows) included.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <vector>

namespace vamhash::test {

inline bool is_small() {
    static const bool small = std::getenv("VAMHASH_TEST_SMALL") != nullptr;
    return small;
}

/// So many rows, or in a small test at most as many as `small`.
inline std::size_t sized(std::size_t rows, std::size_t small = 4500) {
    return is_small() && rows > small ? small : rows;
}

/// All of these, or in a small test every fifth, and the last.
template <typename Value>
std::vector<Value> thinned(std::vector<Value> values) {
    if (!is_small()) {
        return values;
    }
    std::vector<Value> some;
    for (std::size_t i = 0; i < values.size(); i += 5) {
        some.push_back(values[i]);
    }
    if (values.size() % 5 != 1) {
        some.push_back(values.back());
    }
    return some;
}

} // namespace vamhash::test
