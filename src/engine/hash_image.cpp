#include "engine/hash_image.h"

namespace vamhash {

namespace {

class HashingSink : public GreySink {
  public:
    HashingSink(std::uint32_t wanted, Isa isa) : hasher_(wanted, isa) {}
    void start(std::uint32_t width, std::uint32_t height) override { hasher_.start(width, height); }
    void rows(const std::uint8_t* pixels, std::size_t stride, std::uint32_t count) override {
        hasher_.rows(pixels, stride, count);
    }
    ImageHashes finish() { return hasher_.finish(); }

  private:
    ImageHasher hasher_;
};

} // namespace

HashedImage hash_image(std::span<const std::uint8_t> image, std::uint32_t wanted,
                       const DecodeOptions& options, Isa isa) {
    HashingSink sink(wanted, isa);
    const ImageInfo info = decode_grey(image, options, sink);
    return {.hashes = sink.finish(), .info = info};
}

} // namespace vamhash
