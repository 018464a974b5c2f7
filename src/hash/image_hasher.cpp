#include "hash/image_hasher.h"

#include "codec/image.h"
#include "hash/hash_bits.h"
#include "hash/resample.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

namespace vamhash {

namespace {

/// A picture of fixed size, filled by a resampler.
template <std::size_t width, std::size_t height>
class Picture {
  public:
    Picture(std::uint32_t in_width, std::uint32_t in_height, Isa isa)
        : resampler_(in_width, in_height, width, height, isa) {}

    [[nodiscard]] std::uint32_t row_bytes() const { return resampler_.row_bytes(); }
    [[nodiscard]] std::span<const std::uint8_t, width * height> pixels() const { return pixels_; }

    void push(const std::uint8_t* rows, std::size_t stride, std::uint32_t count) {
        resampler_.push(rows, stride, count);
        while (const std::uint8_t* row = resampler_.next_row()) {
            std::memcpy(pixels_.data() + filled_ * width, row, width);
            ++filled_;
        }
    }

  private:
    Resampler resampler_;
    std::size_t filled_ = 0;
    std::array<std::uint8_t, width * height> pixels_{};
};

/// The block sums of the largest square of a power of two that fits the image.
class BlockPicture {
  public:
    BlockPicture(std::uint32_t in_width, std::uint32_t in_height, Isa isa)
        : BlockPicture(in_width, in_height,
                       std::max(std::bit_floor(std::min(in_width, in_height)), smallest_side),
                       isa) {}

    [[nodiscard]] std::uint32_t row_bytes() const { return resampler_.row_bytes(); }
    [[nodiscard]] std::uint64_t whash_bits() const { return sums_.whash_bits(); }

    void push(const std::uint8_t* rows, std::size_t stride, std::uint32_t count) {
        resampler_.push(rows, stride, count);
        while (const std::uint8_t* row = resampler_.next_row())
            sums_.add_row(row);
    }

  private:
    static constexpr std::uint32_t smallest_side = 8;

    BlockPicture(std::uint32_t in_width, std::uint32_t in_height, std::uint32_t side, Isa isa)
        : resampler_(in_width, in_height, side, side, isa), sums_(side) {}

    Resampler resampler_;
    BlockSums sums_;
};

} // namespace

struct ImageHasher::Impl {
    Impl(std::uint32_t wanted_hashes, Isa instructions)
        : wanted(wanted_hashes), isa(instructions) {}

    std::uint32_t wanted;
    Isa isa;
    std::uint32_t width = 0;
    std::uint32_t rows_left = 0;

    std::optional<Picture<9, 8>> dhash_picture;
    std::optional<Picture<8, 8>> small_picture; // of ahash and whash16
    std::optional<Picture<32, 32>> phash_picture;
    std::optional<BlockPicture> block_picture;

    // Rows wait here until they are 16, or where a kernel reads past a row's end.
    std::vector<std::uint8_t> waiting;
    std::size_t waiting_stride = 0;
    std::uint32_t waiting_rows = 0;
    bool always_wait = false;

    /// Calls f with each picture that the wanted hashes need.
    template <typename Function>
    void for_each_picture(Function f) {
        if (dhash_picture)
            f(*dhash_picture);
        if (small_picture)
            f(*small_picture);
        if (phash_picture)
            f(*phash_picture);
        if (block_picture)
            f(*block_picture);
    }

    void push(const std::uint8_t* rows, std::size_t stride, std::uint32_t count) {
        for_each_picture([&](auto& picture) { picture.push(rows, stride, count); });
        rows_left -= count;
    }
};

ImageHasher::ImageHasher(std::uint32_t wanted, Isa isa)
    : impl_(std::make_unique<Impl>(wanted, isa)) {}

ImageHasher::~ImageHasher() = default;

void ImageHasher::start(std::uint32_t width, std::uint32_t height) {
    if (width == 0 || height == 0)
        throw ImageError(ImageStatus::corrupt, "image has no pixels");
    if (width > max_image_side || height > max_image_side) {
        throw ImageError(ImageStatus::too_large,
                         "image is " + std::to_string(width) + " x " + std::to_string(height) +
                             " pixels, a side may have " + std::to_string(max_image_side));
    }
    Impl& state = *impl_;
    state.width = width;
    state.rows_left = height;
    state.waiting_rows = 0;
    const auto prepare = [&](auto& picture, std::uint32_t kinds) {
        picture.reset();
        if ((state.wanted & kinds) != 0)
            picture.emplace(width, height, state.isa);
    };
    prepare(state.dhash_picture, hash_dhash);
    prepare(state.small_picture, hash_ahash | hash_whash16);
    prepare(state.phash_picture, hash_phash);
    prepare(state.block_picture, hash_whash);

    std::uint32_t row_bytes = width;
    state.for_each_picture(
        [&](const auto& picture) { row_bytes = std::max(row_bytes, picture.row_bytes()); });
    state.always_wait = row_bytes > width;
    state.waiting_stride = row_bytes;
    state.waiting.assign(state.waiting_stride * rows_per_group, 0);
}

void ImageHasher::rows(const std::uint8_t* pixels, std::size_t stride, std::uint32_t count) {
    Impl& state = *impl_;
    count = std::min(count, state.rows_left - state.waiting_rows);
    while (count > 0) {
        std::uint32_t taken = rows_per_group;
        if (state.waiting_rows == 0 && count >= rows_per_group && !state.always_wait) {
            state.push(pixels, stride, taken);
        } else {
            taken = std::min(count, rows_per_group - state.waiting_rows);
            for (std::uint32_t row = 0; row < taken; ++row) {
                std::memcpy(state.waiting.data() +
                                (state.waiting_rows + row) * state.waiting_stride,
                            pixels + row * stride, state.width);
            }
            state.waiting_rows += taken;
            if (state.waiting_rows == rows_per_group || state.waiting_rows == state.rows_left) {
                state.push(state.waiting.data(), state.waiting_stride, state.waiting_rows);
                state.waiting_rows = 0;
            }
        }
        pixels += taken * stride;
        count -= taken;
    }
}

ImageHashes ImageHasher::finish() {
    const Impl& state = *impl_;
    ImageHashes hashes;
    if (state.dhash_picture)
        hashes.dhash = dhash_bits(state.dhash_picture->pixels());
    if ((state.wanted & hash_ahash) != 0)
        hashes.ahash = ahash_bits(state.small_picture->pixels());
    if ((state.wanted & hash_whash16) != 0)
        hashes.whash16 = whash16_bits(state.small_picture->pixels());
    if (state.phash_picture)
        hashes.phash = phash_bits(state.phash_picture->pixels());
    if (state.block_picture)
        hashes.whash = state.block_picture->whash_bits();
    return hashes;
}

} // namespace vamhash
