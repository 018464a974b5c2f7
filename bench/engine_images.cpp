// The engine's hashing of image files, without PostgreSQL and without its process, on some threads:
// bench/bulk.sh runs it as what hashing by SQL is measured against.
//
//   engine_images exact|fast THREADS < FILES      prints seconds, and how many files had hashes
#include "engine/hash_image.h"
#include "engine/process.h"

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

using namespace vamhash;

namespace {

std::vector<std::uint8_t> read_file(const std::string& name) {
    std::ifstream file(name, std::ios::binary | std::ios::ate);
    std::vector<std::uint8_t> bytes(file ? static_cast<std::size_t>(file.tellg()) : 0);
    file.seekg(0);
    file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    return bytes;
}

bool has_hashes(const std::string& name, const DecodeOptions& options) {
    try {
        hash_image(read_file(name), hash_all, options);
        return true;
    } catch (const ImageError&) {
        return false;
    }
}

} // namespace

int main(int argc, char** argv) {
    if (argc != 3) {
        std::fprintf(stderr, "usage: engine_images exact|fast THREADS < FILES\n");
        return 2;
    }
    const DecodeOptions options{.fast = std::string_view(argv[1]) == "fast"};
    std::vector<std::string> names;
    for (std::string name; std::getline(std::cin, name);) {
        names.push_back(name);
    }
    // As the engine does.
    keep_memory_between_requests();
    keep_threads_small();
    std::atomic<std::size_t> next = 0;
    std::atomic<std::size_t> hashed = 0;
    const auto begin = std::chrono::steady_clock::now();
    std::vector<std::thread> threads;
    for (int i = 0; i < std::atoi(argv[2]); i++) {
        threads.emplace_back([&] {
            for (std::size_t number = next++; number < names.size(); number = next++) {
                hashed += has_hashes(names[number], options) ? 1 : 0;
            }
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    std::printf("%.4f %zu\n", took.count(), hashed.load());
    return 0;
}
