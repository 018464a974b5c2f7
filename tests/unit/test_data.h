// Where tests/data is.
#pragma once

#include <cstdlib>
#include <filesystem>

namespace vamhash::test {

/// As it was built; elsewhere, VAMHASH_TEST_DATA of the environment.
inline std::filesystem::path data_folder() {
    const char* const elsewhere = std::getenv("VAMHASH_TEST_DATA");
    return elsewhere != nullptr ? elsewhere : VAMHASH_TEST_DATA;
}

} // namespace vamhash::test
