#include "codec/picture_plugin.h"

#include "codec/grey.h"
#include "codec/row_groups.h"
#include "plugin/beside_program.h"

#include <array>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <exception>
#include <malloc.h>
#include <new>
#include <utility>

namespace vamhash {

namespace {

using plugin::Picture;
using plugin::PictureStatus;

/// What the plugin's two calls back need, and what came of them.
struct Call {
    const Format& format;
    const DecodeOptions& options;
    GreySink& sink;
    ImageInfo info{};
    std::exception_ptr error; // that a call back ended with
};

/// Runs a call back's work; an exception waits until the plugin has returned.
template <typename Work>
int run_guarded(Call& call, const Work& work) noexcept {
    try {
        work();
        return 0;
    } catch (...) {
        call.error = std::current_exception();
        return 1;
    }
}

int check_claimed_size(void* context, std::uint64_t width, std::uint64_t height) noexcept {
    Call& call = *static_cast<Call*>(context);
    return run_guarded(call, [&] { check_size(call.format, width, height, call.options); });
}

void give_picture(const Picture& picture, Call& call) {
    // Again: a file may decode to more than it claimed.
    check_size(call.format, picture.width, picture.height, call.options);
    const GreyRow to_grey = rgb_to_grey(best_isa());
    call.sink.start(picture.width, picture.height);
    give_rows(call.sink, picture.width, picture.height, [&](std::uint32_t y, std::uint8_t* grey) {
        const std::uint8_t* const row = picture.pixels + y * picture.stride;
        if (picture.channels == 1) {
            std::memcpy(grey, row, picture.width);
        } else {
            to_grey(row, grey, picture.width);
        }
    });
    call.info = {
        .width = picture.full_width, .height = picture.full_height, .format = call.format.name};
}

int take_picture(void* context, const Picture* picture) noexcept {
    Call& call = *static_cast<Call*>(context);
    return run_guarded(call, [&] { give_picture(*picture, call); });
}

ImageStatus image_status(PictureStatus status) {
    switch (status) {
    case PictureStatus::truncated:
        return ImageStatus::truncated;
    case PictureStatus::unsupported:
        return ImageStatus::unsupported;
    case PictureStatus::too_large:
        return ImageStatus::too_large;
    case PictureStatus::out_of_memory:
        return ImageStatus::out_of_memory;
    default:
        return ImageStatus::corrupt;
    }
}

/// Makes the process one that these libraries can live in.
void prepare_for_libraries() {
    // An image is decoded on one thread; what else a library may start has to fit in the engine's
    // limit on address space. Each thread that allocates would get an arena of its own, which
    // reserves 64 MB.
    mallopt(M_ARENA_MAX, 1);
    // OpenMP's runtime reads this when it is loaded.
    setenv("OMP_NUM_THREADS", "1", 1);
    // All memory is zero when it is handed out, but for pieces of less than a kilobyte: glibc fills
    // it with this number's complement. libheif leaves what damaged tiles of a grid should cover as
    // it finds it; its hash would be another each time, and tell of other images.
    mallopt(M_PERTURB, 0xff);
}

} // namespace

PicturePlugin::PicturePlugin(const std::string& file, std::string library)
    : path_(path_beside_program(file)), library_(std::move(library)) {}

void PicturePlugin::open() {
    prepare_for_libraries();
    // Local, so that what the library brings stays out of the way of the engine's own.
    void* const library = dlopen(path_.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
        fault_ = dlerror();
        return;
    }
    auto* const entry =
        reinterpret_cast<plugin::ImageDecoderEntry*>(dlsym(library, plugin::image_decoder_entry));
    if (entry == nullptr) {
        fault_ = path_ + " is not a plugin of vamhash";
        return;
    }
    const plugin::ImageDecoder* const decoder = entry();
    if (decoder->version != plugin::image_decoder_version) {
        fault_ = path_ + " is of version " + std::to_string(decoder->version) + ", not " +
                 std::to_string(plugin::image_decoder_version);
        return;
    }
    decoder_ = decoder;
}

void PicturePlugin::load() noexcept {
    const std::lock_guard lock(mutex_);
    // Not tried again: in a sandbox in which nothing can be opened, that would be the reason given.
    if (decoder_ != nullptr || !fault_.empty()) {
        return;
    }
    try {
        open();
    } catch (const std::exception&) {
        decoder_ = nullptr; // out of memory: decode() will say so
    }
}

/// The decoder, which does not change once it is there. Throws where it cannot be loaded.
const plugin::ImageDecoder& PicturePlugin::loaded(const Format& format) {
    load();
    const std::lock_guard lock(mutex_);
    if (decoder_ == nullptr) {
        if (fault_.empty() || fault_.ends_with(std::strerror(ENOMEM))) {
            fault_.clear();
            throw std::bad_alloc();
        }
        throw format_error(format, ImageStatus::unsupported,
                           library_ + " could not be loaded: " + fault_);
    }
    return *decoder_;
}

ImageInfo PicturePlugin::decode(const Format& format, std::span<const std::uint8_t> image,
                                const DecodeOptions& options, GreySink& sink) {
    const plugin::ImageDecoder& decoder = loaded(format);
    Call call{.format = format, .options = options, .sink = sink, .info = {}, .error = nullptr};
    const plugin::PictureRequest request{.image = image.data(),
                                         .size = image.size(),
                                         .max_pixels = options.max_pixels,
                                         .check_size = check_claimed_size,
                                         .take = take_picture,
                                         .context = &call};
    std::array<char, 200> message{};
    const PictureStatus status = decoder.decode(&request, message.data(), message.size());
    if (call.error != nullptr) {
        std::rethrow_exception(call.error);
    }
    if (status != PictureStatus::done) {
        throw format_error(format, image_status(status), message.data());
    }
    return call.info;
}

} // namespace vamhash
