// A camera's RAW file is known by what is in its directories, not by who wrote it: camera makers'
// programs write ordinary TIFF pictures, too. The samples of a sensor have a photometric
// interpretation or a compression of their own. They are seldom in the first directory, which holds
// a thumbnail whose hash would pass for the picture's, but in one below it or after it.
#include "codec/camera_tiff.h"

#include "codec/tiff_numbers.h"

#include <algorithm>
#include <vector>

namespace vamhash {

namespace {

// More than any camera writes: a bound for hostile files, whose directories may lead in circles.
constexpr std::size_t max_directories = 16;
constexpr std::uint64_t max_entries = 512;

enum Tag : std::uint16_t {
    subfile_type = 254,
    compression = 259,
    photometric = 262,
    sub_directories = 330,
    dng_version = 50706
};

constexpr std::uint64_t reduced_image = 1; // a bit of subfile_type

bool is_sensor_photometric(std::uint64_t value) {
    return value == 32803     // colour filter array
           || value == 34892; // linear raw
}

bool is_sensor_compression(std::uint64_t value) {
    return value == 34713     // Nikon
           || value == 32767  // Sony
           || value == 65535; // Pentax
}

/// The walk over the directories of a file.
class DirectoryWalk {
  public:
    explicit DirectoryWalk(std::span<const std::uint8_t> image)
        : numbers_(image), big_(numbers_.at(2, 2) == 43) { // BigTIFF
        offsets_.push_back(big_ ? numbers_.at(8, 8) : numbers_.at(4, 4));
    }

    bool finds_sensor_data() {
        for (std::size_t i = 0; i < offsets_.size(); ++i) {
            if (offsets_[i] != 0 && look_at(offsets_[i], i == 0)) {
                return true;
            }
        }
        return false;
    }

  private:
    /// Looks at one directory, and remembers those that it leads to.
    bool look_at(std::uint64_t directory, bool first) {
        const unsigned count_size = big_ ? 8 : 2;
        const unsigned entry_size = big_ ? 20 : 12;
        const std::uint64_t count = std::min(numbers_.at(directory, count_size), max_entries);
        bool reduced = false;
        bool has_others = false;
        for (std::uint64_t i = 0; i < count; ++i) {
            const std::uint64_t entry = directory + count_size + entry_size * i;
            switch (numbers_.at(entry, 2)) {
            case subfile_type:
                reduced = (value_of(entry) & reduced_image) != 0;
                break;
            case compression:
                if (is_sensor_compression(value_of(entry))) {
                    return true;
                }
                break;
            case photometric:
                if (is_sensor_photometric(value_of(entry))) {
                    return true;
                }
                break;
            case sub_directories:
                has_others = true;
                remember_sub_directories(entry);
                break;
            case dng_version:
                return true;
            default:
                break;
            }
        }
        remember(numbers_.at(directory + count_size + entry_size * count, big_ ? 8 : 4));
        // A thumbnail in front of others in directories below it: no picture is written like this.
        return first && reduced && has_others;
    }

    /// The value of an entry that has one, a SHORT or LONG.
    [[nodiscard]] std::uint64_t value_of(std::uint64_t entry) const {
        constexpr std::uint64_t short_type = 3;
        return numbers_.at(entry + (big_ ? 12 : 8),
                           numbers_.at(entry + 2, 2) == short_type ? 2 : 4);
    }

    void remember_sub_directories(std::uint64_t entry) {
        const std::uint64_t type = numbers_.at(entry + 2, 2);
        const unsigned size = type == 16 || type == 18 ? 8 : 4; // LONG8, IFD8; LONG, IFD
        const std::uint64_t count = numbers_.at(entry + 4, big_ ? 8 : 4);
        const unsigned slot = big_ ? 8 : 4;
        const std::uint64_t value = entry + (big_ ? 12 : 8);
        const std::uint64_t values = count <= slot / size ? value : numbers_.at(value, slot);
        for (std::uint64_t i = 0; i < std::min<std::uint64_t>(count, max_directories); ++i) {
            remember(numbers_.at(values + i * size, size));
        }
    }

    void remember(std::uint64_t directory) {
        if (offsets_.size() < max_directories) {
            offsets_.push_back(directory);
        }
    }

    TiffNumbers numbers_;
    bool big_;
    std::vector<std::uint64_t> offsets_; // of directories, in the order in which they are looked at
};

} // namespace

bool is_camera_tiff(std::span<const std::uint8_t> image) {
    return DirectoryWalk(image).finds_sensor_data();
}

} // namespace vamhash
