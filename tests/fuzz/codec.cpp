// A codec with a hostile image: VAMHASH_FUZZED_FORMAT's, or without it whichever recognises the
// image. Beyond crashes, it finds a picture that is not the same each time and in every way that it
// can be had, and one whose hashes are not the same by every instruction set.
#include "codec/format.h"
#include "codec/jpeg.h"
#include "codec/jpeg_coefficients.h"
#include "codec/plain_jpeg.h"
#include "engine/hash_image.h"
#include "picture.h"

#ifdef VAMHASH_FUZZED_PLUGIN
// Memory is handed out as zeros, as picture_plugin.cpp has it done where malloc() is glibc's.
// NOLINTNEXTLINE(bugprone-reserved-identifier)
extern "C" const char* __asan_default_options() {
    return "malloc_fill_byte=0:max_malloc_fill_size=1000000000";
}
#endif

// libheif 1.15 leaves dav1d 40 bytes of data that it cannot decode.
// GCC's run-time library is shared, and sees only what is visible.
// NOLINTNEXTLINE(bugprone-reserved-identifier)
extern "C" [[gnu::visibility("default")]] const char* __lsan_default_suppressions() {
    return "leak:libdav1d";
}

namespace vamhash {

#ifdef VAMHASH_FUZZED_FORMAT
extern const Format VAMHASH_FUZZED_FORMAT;
#endif

namespace {

using namespace fuzz;

/// Small, so that there are many pictures a second.
constexpr std::uint64_t max_pixels = 100'000;

/// The format to look at an image by; nullptr where it is none that can be read.
const Format* format_of(std::span<const std::uint8_t> image) {
    const Format* format = recognise(image);
    if (format == nullptr || format->decode == nullptr) {
        return nullptr;
    }
#ifdef VAMHASH_FUZZED_FORMAT
    return format == &VAMHASH_FUZZED_FORMAT ? format : nullptr;
#else
    return format;
#endif
}

Outcome decode(std::span<const std::uint8_t> image, DecodeOptions options) {
    options.max_pixels = max_pixels;
    return outcome_of([&](GreySink& sink) { return decode_grey(image, options, sink); });
}

/// What is stored, from the codec itself.
Outcome decode_stored(const Format& format, std::span<const std::uint8_t> image) {
    const DecodeOptions options{.max_pixels = max_pixels};
    return outcome_of([&](GreySink& sink) { return format.decode(image, options, sink); });
}

void check_size_of(const Outcome& picture, const Format& format) {
    require(picture.info.format == format.name, "a picture of another format");
    require(std::uint64_t{picture.info.width} * picture.info.height <= max_pixels,
            "a picture of too many pixels");
}

/// A JPEG's grey comes about in another way by each instruction set.
void check_instruction_sets(std::span<const std::uint8_t> image, const Outcome& stored) {
    for (const Isa isa : available_isas()) {
        const DecodeOptions options{.max_pixels = max_pixels};
        require(outcome_of([&](GreySink& sink) {
                    return decode_jpeg(image, options, sink, isa);
                }) == stored,
                "a JPEG differs by instruction set");
    }
}

/// An eighth of a JPEG's size comes about without libjpeg, or by libjpeg alone.
void check_means(std::span<const std::uint8_t> image) {
    for (const bool keep_truncated : {false, true}) {
        const DecodeOptions options{
            .fast = true, .keep_truncated = keep_truncated, .max_pixels = max_pixels};
        const auto decode_by = [&](Isa isa) {
            return outcome_of(
                [&](GreySink& sink) { return decode_jpeg(image, options, sink, isa, 1); });
        };
        const Outcome expected = decode_by(Isa::scalar);
        const Outcome means = decode_by(best_isa());
        require(means == expected && means.info.truncated == expected.info.truncated,
                "a JPEG at an eighth of its size is not libjpeg's");
    }
}

/// Coefficients, and the memory that they are in.
struct Coefficients {
    std::optional<JpegLayout> layout;
    std::vector<std::uint8_t> memory;
};

Coefficients coefficients_of(std::span<const std::uint8_t> image, CoefficientReaders readers) {
    Coefficients read;
    const auto place = [&](std::uint64_t bytes) {
        read.memory = std::vector<std::uint8_t>(bytes);
        return read.memory.data();
    };
    read.layout = read_jpeg_coefficients(image, {.max_pixels = max_pixels}, place, readers);
    return read;
}

/// Coefficients are read of a picture that decodes, all of it, and into nothing but their memory;
/// those that the own reader reads are libjpeg's.
void check_coefficients(std::span<const std::uint8_t> image, const Outcome& stored) {
    const auto [layout, memory] = coefficients_of(image, CoefficientReaders::libjpeg);
    require(!layout || (stored.good() && layout->width == stored.width &&
                        layout->height == stored.height && jpeg_bytes(*layout) == memory.size()),
            "coefficients of a JPEG that does not decode, or of another size");
    const Coefficients own = coefficients_of(image, CoefficientReaders::own);
    require(!own.layout || (own.layout == layout && own.memory == memory),
            "coefficients that are not libjpeg's");
}

/// A plain file is that picture, without what is behind its end.
void check_plain_file(std::span<const std::uint8_t> image, const Outcome& stored) {
    const auto plain = plain_jpeg(image, {.max_pixels = max_pixels});
    require(!plain || decode(image.first(plain->bytes), {}) == stored,
            "a plain JPEG is another picture without what is behind its end");
    require(!plain || !stored.good() ||
                (plain->width == stored.width && plain->height == stored.height),
            "a plain JPEG of another size");
}

/// The grid of a fast decode is the picture's, or of a half, a quarter or an eighth of its size.
void check_fast_grid(const Outcome& fast) {
    const auto scaled = [&](std::uint32_t scale) {
        return fast.width == (fast.info.width + scale - 1) / scale &&
               fast.height == (fast.info.height + scale - 1) / scale;
    };
    require(scaled(1) || scaled(2) || scaled(4) || scaled(8), "a fast decode of an odd size");
}

/// The hashes of the image are those of the picture, by every instruction set.
void check_hashes(std::span<const std::uint8_t> image, DecodeOptions options,
                  const Outcome& picture) {
    options.max_pixels = max_pixels;
    try {
        const HashedImage hashed = hash_image(image, hash_all, options);
        require(picture.good(), "an image hashes that does not decode");
        require(hashed.info.width == picture.info.width &&
                    hashed.info.height == picture.info.height,
                "an image hashes with another size");
        for (const Isa isa : available_isas()) {
            require(hashes_of(picture.pixels, picture.width, picture.height, isa,
                              [] { return 16; }) == hashed.hashes,
                    "hashes differ by instruction set");
        }
    } catch (const ImageError& error) {
        require(error.status() == picture.status, "an image decodes that does not hash");
    }
}

void check_image(const Format& format, std::span<const std::uint8_t> image) {
    const Outcome stored = decode_stored(format, image);
    const Orientation orientation =
        format.orientation != nullptr ? format.orientation(image) : Orientation::as_stored;
    require(orientation >= Orientation::as_stored &&
                orientation <= Orientation::rotate_anticlockwise,
            "an orientation that is none");
    const Outcome upright = turned(stored, orientation);
    const Outcome& exact = format.always_upright ? upright : stored;
    require(decode(image, {}) == exact, "a picture differs the second time");
    require(decode(image, {.orient = true}) == upright, "a picture is turned wrongly");
    check_hashes(image, {.orient = true}, upright);
    if (stored.good()) {
        check_size_of(stored, format);
    }

    const Outcome fast = decode(image, {.fast = true});
    check_hashes(image, {.fast = true}, fast);
    if (&format != &jpeg_format) {
        require(fast == exact, "a fast decode differs where there is none");
        return;
    }
    if (fast.good()) {
        check_fast_grid(fast);
    }
    check_instruction_sets(image, stored);
    check_means(image);
    check_coefficients(image, stored);
    check_plain_file(image, stored);
}

} // namespace
} // namespace vamhash

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::span image(data, size);
    if (const vamhash::Format* format = vamhash::format_of(image)) {
        vamhash::check_image(*format, image);
    } else {
#ifndef VAMHASH_FUZZED_FORMAT
        vamhash::fuzz::require(!vamhash::decode(image, {}).good(), "an unknown format is read");
#endif
    }
    return 0;
}
