// A codec that does what a decoder taken over would do, for tests of the sandbox: an "image" that
// begins with the line MISBEHAVE says what (misdeeds.h), and the message of its error tells how it
// went. It is linked into an engine of the tests' own, vamhash-engine-misbehaving, by the linker's
// --wrap: calls of recognise() and load_codecs() come here first. It is never installed.
#include "codec/format.h"
#include "misdeeds.h"

#include <dlfcn.h>

namespace {

using namespace vamhash;

constexpr std::string_view signature = "MISBEHAVE\n";

/// The library that the codec would load at an image; nothing else in the engine needs it.
void load_library() {
    dlopen("libresolv.so.2", RTLD_NOW);
}

ImageInfo misbehave(std::span<const std::uint8_t> image, const DecodeOptions& /*options*/,
                    GreySink& /*sink*/) {
    std::string command(image.begin(), image.end());
    throw ImageError(ImageStatus::corrupt, try_misdeed(command.substr(signature.size())));
}

Orientation no_orientation(std::span<const std::uint8_t> /*image*/) {
    return Orientation::as_stored;
}

constexpr Format misbehaving{.name = "misdeed",
                             .title = "misbehaving",
                             .decode = misbehave,
                             .orientation = no_orientation,
                             .load = load_library};

} // namespace

const Format*
real_recognise(std::span<const std::uint8_t> image) __asm__("__real_" VAMHASH_RECOGNISE);
const Format*
wrapped_recognise(std::span<const std::uint8_t> image) __asm__("__wrap_" VAMHASH_RECOGNISE);
void real_load_codecs() __asm__("__real_" VAMHASH_LOAD_CODECS);
void wrapped_load_codecs() __asm__("__wrap_" VAMHASH_LOAD_CODECS);

const Format* wrapped_recognise(std::span<const std::uint8_t> image) {
    const std::string_view bytes(reinterpret_cast<const char*>(image.data()), image.size());
    return bytes.starts_with(signature) ? &misbehaving : real_recognise(image);
}

void wrapped_load_codecs() {
    real_load_codecs();
    misbehaving.load();
}
