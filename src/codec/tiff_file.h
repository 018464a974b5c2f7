// A TIFF file in memory, opened by libtiff: its handle, its errors as exceptions, and the look at
// its directory that keeps hostile ones from libtiff.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include "codec/image.h"

#include <array>
#include <cstdarg>

#include <tiffio.h>

namespace vamhash {

/// The first directory of a TIFF file, ready to be read.
class TiffFile {
  public:
    /// Throws ImageError where this is no TIFF file, or one that must not be read.
    explicit TiffFile(std::span<const std::uint8_t> image);
    ~TiffFile() { TIFFClose(tiff_); }
    TiffFile(const TiffFile&) = delete;
    TiffFile& operator=(const TiffFile&) = delete;

    [[nodiscard]] TIFF* get() const { return tiff_; }

    /// A tag's value, or the one that the format defines where the tag is not there, or
    /// `otherwise`.
    template <typename Value>
    [[nodiscard]] Value field(std::uint32_t tag, Value otherwise) const {
        Value value{};
        return TIFFGetFieldDefaulted(tiff_, tag, &value) == 1 ? value : otherwise;
    }

    /// Whether its samples are indexes of a palette by its directory. libtiff takes a picture whose
    /// palette is missing for a grey one where it can.
    [[nodiscard]] bool is_indexed() const { return is_indexed_; }

    /// Throws what libtiff reported of a call that failed, or of one that repaired what it read.
    void check(bool succeeded) const;

    /// From now on, libtiff finds zeros beyond the end. Tags that it looked for there have not
    /// hindered it.
    void append_zeros() {
        zeros_beyond_end_ = true;
        past_end_ = false;
    }
    /// Whether it has looked there since.
    [[nodiscard]] bool read_beyond_end() const { return past_end_; }

  private:
    [[noreturn]] void throw_fault() const;

    static int note_error(TIFF* tiff, void* file, const char* module, const char* format,
                          std::va_list arguments);
    static int note_warning(TIFF* tiff, void* file, const char* module, const char* format,
                            std::va_list arguments);
    static tmsize_t read_bytes(thandle_t file, void* bytes, tmsize_t count);
    static toff_t seek_to(thandle_t file, toff_t offset, int origin);

    std::span<const std::uint8_t> image_;
    std::uint64_t at_ = 0;
    bool past_end_ = false; // bytes were asked for that are not there
    bool is_indexed_ = false;
    bool zeros_beyond_end_ = false;
    bool faulty_ = false;
    std::array<char, 200> fault_{}; // the last that libtiff reported
    TIFF* tiff_ = nullptr;
};

} // namespace vamhash
