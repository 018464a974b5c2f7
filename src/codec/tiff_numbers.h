// The numbers of a TIFF file, by their places.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include <cstdint>
#include <span>

namespace vamhash {

/// Reads numbers of the file in its byte order; 0 where the file ends before.
class TiffNumbers {
  public:
    explicit TiffNumbers(std::span<const std::uint8_t> image)
        : image_(image), big_endian_(!image.empty() && image[0] == 'M') {}

    [[nodiscard]] std::uint64_t at(std::uint64_t offset, unsigned byte_count) const {
        if (offset > image_.size() || image_.size() - offset < byte_count) {
            return 0;
        }
        std::uint64_t value = 0;
        for (unsigned i = 0; i < byte_count; ++i) {
            value = value << 8U | image_[offset + (big_endian_ ? i : byte_count - 1 - i)];
        }
        return value;
    }

  private:
    std::span<const std::uint8_t> image_;
    bool big_endian_;
};

} // namespace vamhash
