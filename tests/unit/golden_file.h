// The files of golden hashes (tests/exactness/golden.py explains them): ImageHash's value and,
// where bits tie with a median, the exact one, which is ours.
#pragma once

#include "engine/hash_image.h"
#include "test_data.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace vamhash {

inline const std::filesystem::path data_folder = test::data_folder();

struct NamedHash {
    std::string_view name;
    std::uint64_t ImageHashes::*value;
};
constexpr std::array<NamedHash, 5> named_hashes{{{"dhash", &ImageHashes::dhash},
                                                 {"ahash", &ImageHashes::ahash},
                                                 {"phash", &ImageHashes::phash},
                                                 {"whash", &ImageHashes::whash},
                                                 {"whash16", &ImageHashes::whash16}}};

/// Bits of a hash that tie with its median, and the hash with all of them 0.
struct Tie {
    std::uint64_t exact = 0;
    std::uint64_t tied_bits = 0;
};

struct GoldenLine {
    std::map<std::string, std::string> fields; // by column
    std::map<std::string, Tie> ties;           // by hash

    [[nodiscard]] const std::string& operator[](const std::string& column) const {
        return fields.at(column);
    }
    [[nodiscard]] std::uint64_t reference(std::string_view hash) const {
        return std::stoull(fields.at(std::string(hash)), nullptr, 16);
    }
    [[nodiscard]] std::uint64_t exact(std::string_view hash) const {
        const auto tie = ties.find(std::string(hash));
        return tie == ties.end() ? reference(hash) : tie->second.exact;
    }
    [[nodiscard]] bool has_noise() const {
        return std::any_of(named_hashes.begin(), named_hashes.end(), [this](const NamedHash& hash) {
            return exact(hash.name) != reference(hash.name);
        });
    }
};

struct Golden {
    std::string summary; // the first line
    std::vector<GoldenLine> lines;
};

inline std::vector<std::string> split(const std::string& text, char separator) {
    std::vector<std::string> parts;
    std::istringstream stream(text);
    for (std::string part; std::getline(stream, part, separator);) {
        parts.push_back(part);
    }
    return parts;
}

/// Reads `name=exact/mask;...`, or `-` for none.
inline std::map<std::string, Tie> parse_ties(const std::string& text) {
    std::map<std::string, Tie> ties;
    if (text == "-") {
        return ties;
    }
    for (const std::string& field : split(text, ';')) {
        const std::size_t equals = field.find('=');
        const std::size_t slash = field.find('/');
        ties[field.substr(0, equals)] = {
            .exact = std::stoull(field.substr(equals + 1), nullptr, 16),
            .tied_bits = std::stoull(field.substr(slash + 1), nullptr, 16)};
    }
    return ties;
}

inline Golden read_golden(const std::string& name) {
    std::ifstream file(data_folder / name);
    Golden golden;
    std::getline(file, golden.summary);
    std::string header;
    std::getline(file, header);
    const std::vector<std::string> columns = split(header, '\t');
    for (std::string row; std::getline(file, row);) {
        const std::vector<std::string> values = split(row, '\t');
        GoldenLine& line = golden.lines.emplace_back();
        for (std::size_t i = 0; i < columns.size(); ++i) {
            line.fields[columns[i]] = values.at(i);
        }
        line.ties = parse_ties(line["ties"]);
    }
    return golden;
}

/// A file of the data folder.
inline std::vector<std::uint8_t> read_data(const std::string& name) {
    std::ifstream file(data_folder / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

inline std::string hex(std::uint64_t hash) {
    std::array<char, 17> text{};
    std::snprintf(text.data(), text.size(), "%016llx", static_cast<unsigned long long>(hash));
    return text.data();
}

} // namespace vamhash
