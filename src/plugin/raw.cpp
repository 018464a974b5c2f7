// vamhash_raw.so: camera RAW by LibRaw, as rawpy's postprocess(half_size=True, use_camera_wb=True,
// no_auto_bright=True, output_bps=8), which is what VAM Tools asks for: each 2 x 2 pixels of the
// sensor make one, white is the camera's, sRGB colours with the gamma of BT.709, upright by the
// camera's orientation.
//
// Where sensor data end before the picture does, or are damaged, LibRaw goes on and leaves the rest
// black: that is an error here, as in our other codecs.
#include "plugin/image_decoder.h"

#include <libraw/libraw.h>

#include <cstdio>
#include <exception>
#include <memory>
#include <new>

namespace vamhash::plugin {

namespace {

struct FreePicture {
    void operator()(libraw_processed_image_t* picture) const { LibRaw::dcraw_clear_mem(picture); }
};
using ProcessedPicture = std::unique_ptr<libraw_processed_image_t, FreePicture>;

/// A fault, to be caught before the border.
struct Fault {
    PictureStatus status;
    const char* what;
};

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
        // LibRaw only reads what it takes as not constant.
        auto* const image = const_cast<std::uint8_t*>(request_.image);
        check(raw_->open_buffer(image, request_.size));
        const libraw_image_sizes_t& sizes = raw_->imgdata.sizes;
        if (request_.check_size(request_.context, sizes.raw_width, sizes.raw_height) != 0) {
            return PictureStatus::stopped;
        }
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

PictureStatus decode(const PictureRequest* request, char* message,
                     std::size_t message_size) noexcept {
    try {
        return Decoder(*request).run();
    } catch (const Fault& fault) {
        std::snprintf(message, message_size, "%s", fault.what);
        return fault.status;
    } catch (const std::bad_alloc&) {
        std::snprintf(message, message_size, "out of memory");
        return PictureStatus::out_of_memory;
    } catch (const std::exception& error) {
        std::snprintf(message, message_size, "%s", error.what());
    } catch (...) {
        std::snprintf(message, message_size, "an unknown exception");
    }
    return PictureStatus::corrupt;
}

} // namespace

extern "C" [[gnu::visibility("default")]] ImageDecoderEntry vamhash_image_decoder_plugin;

const ImageDecoder* vamhash_image_decoder_plugin() noexcept {
    static const ImageDecoder plugin = {image_decoder_version, decode};
    return &plugin;
}

} // namespace vamhash::plugin
