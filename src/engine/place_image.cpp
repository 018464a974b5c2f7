#include "engine/place_image.h"

#include "codec/format.h"
#include "codec/jpeg.h"
#include "codec/jpeg_coefficients.h"
#include "codec/orient.h"
#include "codec/plain_jpeg.h"
#include "engine/arena_picture.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace vamhash {

namespace {

/// A place that is dropped unless it is kept.
class HeldPlace {
  public:
    explicit HeldPlace(PicturePlaces& places) : places_(places) {}
    ~HeldPlace() { drop(); }
    HeldPlace(const HeldPlace&) = delete;
    HeldPlace& operator=(const HeldPlace&) = delete;

    /// The memory of a new place, or nullptr.
    std::uint8_t* take(std::uint64_t bytes) {
        drop();
        place_ = places_.take(bytes);
        return place_ ? place_->bytes.data() : nullptr;
    }
    void drop() {
        if (place_) {
            places_.drop(*std::exchange(place_, std::nullopt));
        }
    }
    [[nodiscard]] bool is_taken() const { return place_.has_value(); }
    PicturePlace keep() { return *std::exchange(place_, std::nullopt); }

  private:
    PicturePlaces& places_;
    std::optional<PicturePlace> place_;
};

/// Puts rows into the arena; where there is no room, hashes them.
class PlacingSink : public GreySink {
  public:
    PlacingSink(std::uint32_t wanted, PicturePlaces& places) : place_(places), hasher_(wanted) {}

    void start(std::uint32_t width, std::uint32_t height) override {
        width_ = width;
        height_ = height;
        next_ = nullptr;
        if (width > 0 && height > 0 && width <= max_image_side && height <= max_image_side) {
            next_ = place_.take(std::uint64_t{width} * height);
        }
        left_ = std::size_t{width} * height;
        if (next_ == nullptr) {
            hasher_.start(width, height);
        }
    }
    void rows(const std::uint8_t* pixels, std::size_t stride, std::uint32_t count) override {
        if (next_ == nullptr) {
            hasher_.rows(pixels, stride, count);
            return;
        }
        for (std::uint32_t i = 0; i < count && left_ >= width_; ++i) {
            std::memcpy(next_, pixels + i * stride, width_);
            next_ += width_;
            left_ -= width_;
        }
    }

    /// What has become of the rows.
    PlacedImage finish(ImageInfo info) {
        PlacedImage placed{.image = {.hashes = {}, .info = std::move(info)}, .picture = {}};
        if (next_ == nullptr) {
            placed.image.hashes = hasher_.finish();
            return placed;
        }
        const PicturePlace place = place_.keep();
        placed.picture = {place, picture_record(place.offset, width_, height_)};
        return placed;
    }

  private:
    HeldPlace place_;
    ImageHasher hasher_;
    std::uint32_t width_ = 0;
    std::uint32_t height_ = 0;
    std::uint8_t* next_ = nullptr;
    std::size_t left_ = 0;
};

/// What is said of a JPEG's picture in the arena.
template <typename Stored>
PlacedImage placed_jpeg(std::span<const std::uint8_t> image, const DecodeOptions& options,
                        const Stored& stored, HeldPlace& held) {
    const Orientation orientation =
        options.orient ? jpeg_format.orientation(image) : Orientation::as_stored;
    PlacedImage placed;
    placed.image.info.width = stored.width;
    placed.image.info.height = stored.height;
    placed.image.info.format = jpeg_format.name;
    if (swaps_axes(orientation)) {
        std::swap(placed.image.info.width, placed.image.info.height);
    }
    const PicturePlace place = held.keep();
    placed.picture = {place, picture_record(place.offset, stored, orientation)};
    return placed;
}

/// A JPEG by its coefficients, where that can be.
std::optional<PlacedImage> place_coefficients(std::span<const std::uint8_t> image,
                                              const DecodeOptions& options, PicturePlaces& places) {
    HeldPlace held(places);
    const std::optional<JpegLayout> layout = read_jpeg_coefficients(
        image, options, [&](std::uint64_t bytes) { return held.take(bytes); });
    if (!layout || !held.is_taken()) {
        return std::nullopt;
    }
    return placed_jpeg(image, options, *layout, held);
}

/// A JPEG as the file it is, where that can be and fast decoding is not exact anyway.
std::optional<PlacedImage> place_file(std::span<const std::uint8_t> image,
                                      const DecodeOptions& options, PicturePlaces& places) {
    const std::optional<PlainJpeg> file = plain_jpeg(image, options);
    if (!file || jpeg_fast_scale(file->width, file->height) == 1) {
        return std::nullopt;
    }
    HeldPlace held(places);
    std::uint8_t* const memory = held.take(file->bytes);
    if (memory == nullptr) {
        return std::nullopt;
    }
    std::memcpy(memory, image.data(), file->bytes);
    return placed_jpeg(image, options, *file, held);
}

/// A JPEG as a device takes it, if it is one and that can be.
std::optional<PlacedImage> place_jpeg(std::span<const std::uint8_t> image,
                                      const DecodeOptions& options, PicturePlaces& places) {
    if (!options.fast) {
        return place_coefficients(image, options, places);
    }
    return places.take_files() ? place_file(image, options, places) : std::nullopt;
}

} // namespace

PlacedImage place_image(std::span<const std::uint8_t> image, std::uint32_t wanted,
                        const DecodeOptions& options, PicturePlaces& places) {
    if (std::optional<PlacedImage> placed = place_jpeg(image, options, places)) {
        return *std::move(placed);
    }
    PlacingSink sink(wanted, places);
    ImageInfo info = decode_grey(image, options, sink);
    return sink.finish(std::move(info));
}

} // namespace vamhash
