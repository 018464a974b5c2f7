// What a codec makes of data that ends before the picture does.
//
// With DecodeOptions::keep_truncated the rows that are there count, and the others are as Pillow
// leaves them. Without, or where not one row is there, it is an error.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include "codec/format.h"

namespace vamhash {

/// ImageInfo::truncated of an image whose data ends in this row, counted from 0.
inline std::string ends_in_row(const Format& format, std::uint64_t row, std::uint64_t row_count) {
    return format_error(format, ImageStatus::truncated,
                        "the data ends in row " + std::to_string(row + 1) + " of " +
                            std::to_string(row_count))
        .what();
}

/// Reads rows up to an early end.
class EarlyEnd {
  public:
    explicit EarlyEnd(const DecodeOptions& options) : keep_(options.keep_truncated) {}

    /// Reads the next row by a call that may throw ImageError; false where the data ended in it, or
    /// before, and that is to be no error.
    template <typename Read>
    bool read_row(const Read& read) {
        if (ended_) {
            return false;
        }
        try {
            read();
        } catch (const ImageError& error) {
            if (!keep_ || error.status() != ImageStatus::truncated || rows_ == 0) {
                throw;
            }
            ended_ = true;
            return false;
        }
        ++rows_;
        return true;
    }

    [[nodiscard]] bool ended() const { return ended_; }
    [[nodiscard]] std::uint64_t rows() const { return rows_; } // read before it

  private:
    bool keep_;
    bool ended_ = false;
    std::uint64_t rows_ = 0;
};

} // namespace vamhash
