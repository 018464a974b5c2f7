// Grey rows in, 64-bit perceptual hashes out: ImageHash 4.3.2 on Pillow 11, bit for bit.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include "simd/isa.h"

#include <cstddef>
#include <cstdint>
#include <memory>

namespace vamhash {

/// Pixels of a side at most: the filters and windows of an image take up to 200 bytes a row and a
/// column.
constexpr std::uint32_t max_image_side = 1'000'000;

/// Bits of the set of hashes to compute; the values travel in frames.
enum HashKind : std::uint32_t {
    hash_dhash = 1,
    hash_ahash = 2,
    hash_whash = 4,
    hash_phash = 8,
    hash_whash16 = 16,
    hash_all = 31,
};

/// The hashes of one image, first bit (top left) most significant. Those not asked for are 0.
struct ImageHashes {
    std::uint64_t dhash = 0;
    std::uint64_t ahash = 0;
    std::uint64_t whash = 0;
    std::uint64_t phash = 0;
    std::uint64_t whash16 = 0;
    friend bool operator==(const ImageHashes&, const ImageHashes&) = default;
};

/// Resamples one image's rows as they come and finishes with its hashes. Any number of rows a call
/// will do; multiples of 16 are used where they lie, others are copied first. Holds no copy of the
/// whole image. Not thread-safe; one per image.
class ImageHasher {
  public:
    explicit ImageHasher(std::uint32_t wanted = hash_all, Isa isa = best_isa());
    ~ImageHasher();
    ImageHasher(const ImageHasher&) = delete;
    ImageHasher& operator=(const ImageHasher&) = delete;

    /// Throws ImageError if a side is 0 or more than a million pixels.
    void start(std::uint32_t width, std::uint32_t height);
    void rows(const std::uint8_t* pixels, std::size_t stride, std::uint32_t count);
    /// Call once, after exactly `height` rows.
    ImageHashes finish();

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

} // namespace vamhash
