// A camera's RAW file is known by what is in its directories, not by who wrote it: camera makers'
// programs write ordinary TIFF pictures, too. The samples of a sensor have a photometric
// interpretation or a compression of their own. They are seldom in the first directory, which holds
// a thumbnail whose hash would pass for the picture's, but in one below it or after it.
//
// LibRaw believes what the directories say. So before it does, they are looked at again: samples
// that lie behind the file's end it leaves black without a word, and of a colour filter array's
// pattern that is not there it takes what happens to be on its stack.
#include "codec/camera_tiff.h"

#include "codec/tiff_numbers.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>
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
    strip_offsets = 273,
    strip_byte_counts = 279,
    tile_offsets = 324,
    tile_byte_counts = 325,
    sub_directories = 330,
    filter_pattern = 33422,
    dng_version = 50706,
    filter_colours = 50710
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

/// Bytes of a value of a type; 0 where there is no such type.
unsigned size_of_type(std::uint64_t type) {
    constexpr auto sizes = std::to_array<unsigned>(
        {0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8}); // 13: IFD; 16 to 18: of 64 bits
    return type < sizes.size() ? sizes[type] : 0;
}

struct Entry {
    std::uint64_t tag;
    std::uint64_t count; // of values
    unsigned size;       // of each
    std::uint64_t values_at;
};

using Directory = std::vector<Entry>;

std::optional<Entry> entry_of(const Directory& directory, Tag tag) {
    const auto found = std::find_if(directory.begin(), directory.end(),
                                    [&](const Entry& entry) { return entry.tag == tag; });
    return found == directory.end() ? std::nullopt : std::optional(*found);
}

/// The walk over the directories of a file: from one to the next and to those below.
class DirectoryWalk {
  public:
    explicit DirectoryWalk(std::span<const std::uint8_t> image)
        : numbers_(image), big_(numbers_.at(2, 2) == 43) { // BigTIFF
        remember(big_ ? numbers_.at(8, 8) : numbers_.at(4, 4));
    }

    /// The next directory, as long as there is one.
    std::optional<Directory> next() {
        if (walked_ == offsets_.size()) {
            return std::nullopt;
        }
        return read(offsets_[walked_++]);
    }

    /// A value of an entry, a whole number; 0 behind the file's end.
    [[nodiscard]] std::uint64_t value(const Entry& entry, std::uint64_t index = 0) const {
        return numbers_.at(entry.values_at + index * entry.size, entry.size);
    }

    /// The value of a tag, a SHORT or LONG; 0 where there is none.
    [[nodiscard]] std::uint64_t value(const Directory& directory, Tag tag) const {
        const std::optional<Entry> entry = entry_of(directory, tag);
        return entry ? value(*entry) : 0;
    }

  private:
    /// Reads one directory, and remembers those that it leads to.
    Directory read(std::uint64_t directory) {
        const unsigned count_size = big_ ? 8 : 2;
        const unsigned entry_size = big_ ? 20 : 12;
        const std::uint64_t count = std::min(numbers_.at(directory, count_size), max_entries);
        Directory entries;
        for (std::uint64_t i = 0; i < count; ++i) {
            const Entry entry = entry_at(directory + count_size + entry_size * i);
            entries.push_back(entry);
            if (entry.tag == sub_directories) {
                for (std::uint64_t k = 0; k < std::min<std::uint64_t>(entry.count, max_directories);
                     ++k) {
                    remember(value(entry, k));
                }
            }
        }
        remember(numbers_.at(directory + count_size + entry_size * count, big_ ? 8 : 4));
        return entries;
    }

    [[nodiscard]] Entry entry_at(std::uint64_t at) const {
        const unsigned slot = big_ ? 8 : 4; // for the values, or the place where they are
        const std::uint64_t count = numbers_.at(at + 4, slot);
        const unsigned size = size_of_type(numbers_.at(at + 2, 2));
        const std::uint64_t in_place = at + 4 + slot;
        const bool fits = size == 0 || count <= slot / size;
        return {.tag = numbers_.at(at, 2),
                .count = count,
                .size = size,
                .values_at = fits ? in_place : numbers_.at(in_place, slot)};
    }

    void remember(std::uint64_t directory) {
        if (directory != 0 && offsets_.size() < max_directories) {
            offsets_.push_back(directory);
        }
    }

    TiffNumbers numbers_;
    bool big_;
    std::vector<std::uint64_t> offsets_; // of directories, in the order in which they are read
    std::size_t walked_ = 0;
};

bool holds_samples(const DirectoryWalk& walk, const Directory& directory) {
    return is_sensor_compression(walk.value(directory, compression)) ||
           is_sensor_photometric(walk.value(directory, photometric));
}

/// Whether so many bytes lie in a file of `size`.
bool lies_within(std::uint64_t size, std::uint64_t offset, std::uint64_t bytes) {
    return offset <= size && bytes <= size - offset;
}

/// Whether an entry's values are in the file.
bool is_there(const Entry& entry, std::uint64_t size) {
    return entry.size > 0 && entry.count <= size / entry.size &&
           lies_within(size, entry.values_at, entry.count * entry.size);
}

/// Whether all strips or tiles of a directory are in the file. Of a DNG, whose standard says what
/// the numbers mean, to their last byte; of other cameras' files, where they begin.
bool samples_are_there(const DirectoryWalk& walk, const Directory& directory, bool dng,
                       std::uint64_t size) {
    for (const auto& [offsets_tag, counts_tag] :
         {std::pair(strip_offsets, strip_byte_counts), std::pair(tile_offsets, tile_byte_counts)}) {
        const std::optional<Entry> offsets = entry_of(directory, offsets_tag);
        if (!offsets) {
            continue;
        }
        if (!is_there(*offsets, size)) {
            return false;
        }
        const std::optional<Entry> counts = entry_of(directory, counts_tag);
        const bool exact = dng && counts && counts->count == offsets->count && counts->size > 0;
        for (std::uint64_t i = 0; i < offsets->count; ++i) {
            if (!lies_within(size, walk.value(*offsets, i), exact ? walk.value(*counts, i) : 1)) {
                return false;
            }
        }
    }
    return true;
}

} // namespace

bool is_camera_tiff(std::span<const std::uint8_t> image) {
    DirectoryWalk walk(image);
    for (bool first = true; const std::optional<Directory> directory = walk.next(); first = false) {
        if (holds_samples(walk, *directory) || entry_of(*directory, dng_version)) {
            return true;
        }
        // A thumbnail in front of others in directories below it: no picture is written like this.
        if (first && (walk.value(*directory, subfile_type) & reduced_image) != 0 &&
            entry_of(*directory, sub_directories)) {
            return true;
        }
    }
    return false;
}

CameraTiffFault fault_of_camera_tiff(std::span<const std::uint8_t> image) {
    DirectoryWalk walk(image);
    bool dng = false;
    while (const std::optional<Directory> directory = walk.next()) {
        dng = dng || entry_of(*directory, dng_version);
        for (const Tag tag : {filter_pattern, filter_colours}) {
            const std::optional<Entry> entry = entry_of(*directory, tag);
            if (entry && (entry->count == 0 || !is_there(*entry, image.size()))) {
                return CameraTiffFault::no_filter_pattern;
            }
        }
        if (holds_samples(walk, *directory) &&
            !samples_are_there(walk, *directory, dng, image.size())) {
            return CameraTiffFault::samples_missing;
        }
    }
    return CameraTiffFault::none;
}

} // namespace vamhash
