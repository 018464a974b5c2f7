// Where the engine's plugins are: in its own folder.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include <filesystem>
#include <string>
#include <system_error>

namespace vamhash {

/// The path of a library that is installed beside this program, found by /proc/self/exe. Without
/// that, the library's name alone: the system's linker then looks for it in its own folders.
inline std::string path_beside_program(const std::string& library) {
    std::error_code error;
    const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
    return error ? library : (program.parent_path() / library).string();
}

} // namespace vamhash
