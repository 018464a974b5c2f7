// vamhash_raw.so: camera RAW by LibRaw, as rawpy's postprocess(half_size=True, use_camera_wb=True,
// no_auto_bright=True, output_bps=8), which is what VAM Tools asks for: each 2 x 2 pixels of the
// sensor make one, white is the camera's, sRGB colours with the gamma of BT.709, upright by the
// camera's orientation.
//
// Where sensor data end before the picture does, or are damaged, LibRaw goes on and leaves the rest
// black: that is an error here, as in our other codecs.
#include "plugin/image_decoder_entry.h"

#include <libraw/libraw.h>

#include <array>
#include <memory>
#include <new>
#include <string_view>

namespace vamhash::plugin {

namespace {

struct FreePicture {
    void operator()(libraw_processed_image_t* picture) const { LibRaw::dcraw_clear_mem(picture); }
};
using ProcessedPicture = std::unique_ptr<libraw_processed_image_t, FreePicture>;

/// The size of the stack's part that LibRaw uses; its greatest frames have some tens of kilobytes.
constexpr std::size_t stack_size = std::size_t{256} << 10;

/// Writes zeros where the calls that follow will have their variables. Damaged directories make
/// LibRaw use some that it has not set: a hash would be another each time, and could tell of an
/// earlier image.
[[gnu::noinline]] void clear_stack() {
    std::array<volatile std::uint8_t, stack_size> variables;
    for (volatile std::uint8_t& variable : variables) {
        variable = 0;
    }
}

/// Throws what a LibRaw function's result means.
void check(int result) {
    switch (result) {
    case LIBRAW_SUCCESS:
        return;
    case LIBRAW_IO_ERROR:
        throw Fault{.status = PictureStatus::truncated, .what = "the data ends before the picture"};
    case LIBRAW_UNSUFFICIENT_MEMORY:
    case LIBRAW_MEMPOOL_OVERFLOW:
        throw std::bad_alloc();
    case LIBRAW_TOO_BIG:
        throw Fault{.status = PictureStatus::too_large, .what = libraw_strerror(result)};
    case LIBRAW_DATA_ERROR:
    case LIBRAW_BAD_CROP:
        throw Fault{.status = PictureStatus::corrupt, .what = libraw_strerror(result)};
    default: // no camera that it knows, or a compression that it was built without
        throw Fault{.status = PictureStatus::unsupported, .what = libraw_strerror(result)};
    }
}

class Decoder {
  public:
    explicit Decoder(const PictureRequest& request)
        : request_(request), raw_(std::make_unique<LibRaw>()) {
        // The type of an offset differs between versions. The first fault is what counts.
        raw_->set_dataerror_handler(
            [](void* self, const char* /*file*/, auto offset) {
                static_cast<Decoder*>(self)->past_end_ = offset < 0;
            },
            this);
    }

    PictureStatus run() {
        clear_stack();
        // LibRaw only reads what it takes as not constant.
        auto* const image = const_cast<std::uint8_t*>(request_.image);
        check(raw_->open_buffer(image, request_.size));
        const libraw_image_sizes_t& sizes = raw_->imgdata.sizes;
        if (request_.check_size(request_.context, sizes.raw_width, sizes.raw_height) != 0) {
            return PictureStatus::stopped;
        }
        check_amount(sizes);
        check(raw_->unpack());
        check_data();
        // Without the options, this is the size at full resolution.
        int width = 0;
        int height = 0;
        int colours = 0;
        int bits = 0;
        raw_->get_mem_image_format(&width, &height, &colours, &bits);
        const ProcessedPicture processed = process();
        const Picture picture{.pixels = processed->data,
                              .stride = std::size_t{processed->width} * processed->colors,
                              .width = processed->width,
                              .height = processed->height,
                              .channels = processed->colors,
                              .full_width = static_cast<std::uint32_t>(width),
                              .full_height = static_cast<std::uint32_t>(height)};
        return request_.take(request_.context, &picture) == 0 ? PictureStatus::done
                                                              : PictureStatus::stopped;
    }

  private:
    /// Throws where there cannot be enough sensor data. That of Panasonic, LibRaw takes from memory
    /// that it has not set where the file has no more.
    void check_amount(const libraw_image_sizes_t& sizes) const {
        const auto& unpacker = raw_->get_internal_data_pointer()->unpacker_data;
        const auto offset = unpacker.data_offset;
        const std::uint64_t there =
            offset < 0 || static_cast<std::uint64_t>(offset) >= request_.size
                ? 0
                : request_.size - static_cast<std::uint64_t>(offset);
        libraw_decoder_info_t decoder{};
        check(raw_->get_decoder_info(&decoder));
        const std::string_view name = decoder.decoder_name == nullptr ? "" : decoder.decoder_name;
        std::uint64_t needed = 1;
        if (name == "panasonic_load_raw()") {
            // So many pixels of a row are in 16 bytes. Where the parts of a block are stored the
            // other way round, its first pixels need all of it.
            const unsigned pixels =
                unpacker.pana_encoding != 5 ? 14 : (unpacker.pana_bpp == 12 ? 10 : 9);
            const std::uint64_t block = unpacker.load_flags != 0 ? 0x4000 : 1;
            needed = std::uint64_t{sizes.raw_width + pixels - 1} / pixels * 16 * sizes.raw_height;
            needed = (needed + block - 1) / block * block;
        } else if (name.starts_with("panasonic")) {
            needed = std::uint64_t{sizes.raw_width} * sizes.raw_height; // more than a byte a pixel
        }
        if (there < needed) {
            throw Fault{.status = PictureStatus::truncated,
                        .what = "the data ends before the picture"};
        }
    }

    /// Throws where sensor data was missing or damaged.
    void check_data() const {
        if (raw_->error_count() > 0) {
            throw past_end_
                ? Fault{.status = PictureStatus::truncated,
                        .what = "the data ends before the picture"}
                : Fault{.status = PictureStatus::corrupt, .what = "its data is damaged"};
        }
    }

    [[nodiscard]] ProcessedPicture process() const {
        libraw_output_params_t& options = raw_->imgdata.params;
        options.half_size = 1;
        options.use_camera_wb = 1;
        options.no_auto_bright = 1;
        options.output_bps = 8;
        check(raw_->dcraw_process());
        int result = LIBRAW_SUCCESS;
        ProcessedPicture picture(raw_->dcraw_make_mem_image(&result));
        check(result);
        if (picture == nullptr || picture->type != LIBRAW_IMAGE_BITMAP ||
            (picture->colors != 1 && picture->colors != 3)) {
            throw Fault{.status = PictureStatus::unsupported, .what = "its colours are not RGB"};
        }
        return picture;
    }

    const PictureRequest& request_;
    std::unique_ptr<LibRaw> raw_; // some hundred kilobytes
    bool past_end_ = false;       // where sensor data was missing
};

} // namespace

extern "C" [[gnu::visibility("default")]] ImageDecoderEntry vamhash_image_decoder_plugin;

const ImageDecoder* vamhash_image_decoder_plugin() noexcept {
    return image_decoder_by<Decoder>();
}

} // namespace vamhash::plugin
