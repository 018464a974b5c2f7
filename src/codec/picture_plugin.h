// Decodes by a codec in a library of its own (plugin/image_decoder.h), which is loaded at the first
// image that needs it.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include "codec/format.h"
#include "plugin/image_decoder.h"

#include <mutex>
#include <string>

namespace vamhash {

/// A plugin beside the program, loaded or not.
class PicturePlugin {
  public:
    /// `file` is its name there, `library` that of the image library in it, for messages. The path
    /// is looked for now: a sandbox hides it.
    PicturePlugin(const std::string& file, std::string library);

    [[nodiscard]] const std::string& path() const { return path_; }

    /// Loads it where that was not tried before. What went wrong, decode() says.
    void load() noexcept;

    /// Decodes an image and gives the sink its rows, all at once. Throws ImageError.
    ImageInfo decode(const Format& format, std::span<const std::uint8_t> image,
                     const DecodeOptions& options, GreySink& sink);

  private:
    void open();
    const plugin::ImageDecoder& loaded(const Format& format);

    std::string path_;
    std::string library_;
    std::mutex mutex_;  // threads may come to their first image at once
    std::string fault_; // why it could not be loaded
    const plugin::ImageDecoder* decoder_ = nullptr;
};

} // namespace vamhash
