// Writes made hashes for bench/join.sh, once as every method reads them:
//
//   make_hashes uniform|planted|skewed ROWS HASHES COPY < PHOTOGRAPHS
//
// HASHES gets raw little-endian 64-bit integers; COPY the same as rows (id bigint, dhash phash64)
// in PostgreSQL's binary COPY format, ids from 1. For skewed, standard input has at least 50
// hashes of photographs, 16 hexadecimal digits each.
#include "hash_data.h"

#include <bit>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <string>

namespace vamhash {
namespace {

static_assert(std::endian::native == std::endian::little);

Hashes read_photographs() {
    Hashes hashes;
    for (std::string digits; std::cin >> digits;) {
        hashes.push_back(std::stoull(digits, nullptr, 16));
    }
    if (hashes.size() < 50) {
        throw std::runtime_error("skewed needs the hashes of 50 photographs on standard input");
    }
    return hashes;
}

Hashes make(const std::string& data, std::size_t rows) {
    if (data == "uniform") {
        return uniform_hashes(rows);
    }
    if (data == "planted") {
        return planted_hashes(rows);
    }
    if (data == "skewed") {
        return skewed_hashes(rows, read_photographs());
    }
    throw std::runtime_error("no such data: " + data);
}

void write_hashes(const Hashes& hashes, const char* path) {
    std::ofstream file(path, std::ios::binary);
    file.write(reinterpret_cast<const char*>(hashes.data()),
               static_cast<std::streamsize>(hashes.size() * sizeof hashes[0]));
    if (!file.flush()) {
        throw std::runtime_error(std::string("could not write ") + path);
    }
}

// Appends an integer, most significant byte first.
template <typename T>
void append(std::string& bytes, T value) {
    for (int shift = 8 * sizeof value - 8; shift >= 0; shift -= 8) {
        bytes.push_back(static_cast<char>(value >> shift & 0xff));
    }
}

void write_copy(const Hashes& hashes, const char* path) {
    std::ofstream file(path, std::ios::binary);
    std::string bytes("PGCOPY\n\377\r\n\0", 11);
    append(bytes, std::uint32_t{0}); // flags
    append(bytes, std::uint32_t{0}); // length of the header's extension
    for (std::size_t row = 0; row < hashes.size(); ++row) {
        append(bytes, std::uint16_t{2}); // fields, each behind its length
        append(bytes, std::uint32_t{8});
        append(bytes, std::uint64_t{row + 1});
        append(bytes, std::uint32_t{8});
        append(bytes, hashes[row]);
        if (bytes.size() > 1 << 16) {
            file << bytes;
            bytes.clear();
        }
    }
    append(bytes, std::uint16_t{0xffff}); // trailer
    if (!(file << bytes).flush()) {
        throw std::runtime_error(std::string("could not write ") + path);
    }
}

} // namespace
} // namespace vamhash

int main(int argc, char** argv) {
    if (argc != 5) {
        std::cerr << "usage: make_hashes uniform|planted|skewed ROWS HASHES COPY < PHOTOGRAPHS\n";
        return 2;
    }
    try {
        const vamhash::Hashes hashes = vamhash::make(argv[1], std::stoull(argv[2]));
        vamhash::write_hashes(hashes, argv[3]);
        vamhash::write_copy(hashes, argv[4]);
    } catch (const std::exception& error) {
        std::cerr << "make_hashes: " << error.what() << '\n';
        return 1;
    }
}
