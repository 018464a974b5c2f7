#include "hash/device_hasher.h"

#include "../../kernels/image_pass.h"
#include "hash/hash_bits.h"
#include "hash/lanczos.h"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <map>
#include <stdexcept>
#include <type_traits>
#include <utility>

namespace vamhash {

using plugin::Kernel;

namespace {

constexpr std::uint32_t most_side = 1'000'000;

// What a picture is resized to, and the hashes that are made of that.
struct Target {
    std::uint32_t width; // 0: the largest square of a power of two that fits
    std::uint32_t height;
    std::uint32_t hashes;
};

constexpr std::array<Target, 4> targets{{{9, 8, hash_dhash},
                                         {8, 8, hash_ahash | hash_whash16},
                                         {32, 32, hash_phash},
                                         {0, 0, hash_whash}}};

Target target_of(const Target& target, std::uint32_t width, std::uint32_t height) {
    if (target.width != 0) {
        return target;
    }
    const std::uint32_t side = std::max(std::bit_floor(std::min(width, height)), 8U);
    return {side, side, target.hashes};
}

// The windows and coefficients of all filters of a batch, each once.
class Filters {
  public:
    /// Where the windows of a filter begin.
    std::uint32_t windows_of(std::uint32_t in_size, std::uint32_t out_size) {
        const auto [place, is_new] = places_.try_emplace({in_size, out_size}, windows_.size());
        if (is_new) {
            const LanczosFilter filter(in_size, out_size);
            for (std::uint32_t i = 0; i < out_size; ++i) {
                const auto own = filter.coefficients(i);
                windows_.push_back(
                    {filter.window(i).first, filter.window(i).taps, coefficients_.size()});
                coefficients_.insert(coefficients_.end(), own.begin(), own.end());
            }
        }
        return static_cast<std::uint32_t>(place->second);
    }

    [[nodiscard]] std::span<const ImageWindow> windows() const { return windows_; }
    [[nodiscard]] std::span<const std::int32_t> coefficients() const { return coefficients_; }

  private:
    std::map<std::pair<std::uint32_t, std::uint32_t>, std::size_t> places_;
    std::vector<ImageWindow> windows_;
    std::vector<std::int32_t> coefficients_;
};

// The passes of one direction.
struct Direction {
    std::vector<ImagePass> passes;
    std::vector<std::uint64_t> first_lines{0}; // and the number of all

    // Returns where the first line is written, which is at `place`, and moves that behind the last.
    std::uint64_t add(ImagePass pass, std::uint32_t lines, std::uint64_t& place) {
        pass.out = place;
        passes.push_back(pass);
        first_lines.push_back(first_lines.back() + lines);
        place += std::uint64_t{lines} * pass.outputs;
        return pass.out;
    }
};

template <typename Item>
DeviceMemory upload(Device& device, std::span<Item> items) {
    DeviceMemory memory(device, items.size_bytes());
    device.write(memory, std::span<const std::remove_const_t<Item>>(items));
    return memory;
}

void check(const GreyPicture& picture) {
    if (picture.width == 0 || picture.height == 0 || picture.width > most_side ||
        picture.height > most_side ||
        picture.pixels.size() != std::size_t{picture.width} * picture.height) {
        throw std::invalid_argument(
            "a picture's sides have 1 to 1000000 pixels, and all are there");
    }
}

// A batch, step by step.
class Batch {
  public:
    Batch(Device& device, std::span<const GreyPicture> pictures, std::uint32_t wanted)
        : device_(device), pictures_(pictures), wanted_(wanted) {}

    std::vector<ImageHashes> hash();

  private:
    void plan();
    void add(const GreyPicture& picture, const Target& target);
    void resize();
    void run(const Direction& direction, const DeviceMemory& in, const DeviceMemory& out);
    [[nodiscard]] bool wants(std::uint32_t hashes) const { return (wanted_ & hashes) != 0; }

    Device& device_;
    const std::span<const GreyPicture> pictures_;
    const std::uint32_t wanted_;
    Filters filters_;
    Direction rows_;
    Direction columns_;
    std::uint64_t pixels_ = 0;       // of all pictures
    std::uint64_t between_ = 0;      // bytes that the passes over rows write
    std::uint64_t small_bytes_ = 0;  // of all small pictures, which come first
    std::uint64_t square_bytes_ = 0; // and of the squares behind them
    std::vector<ImageSquare> squares_;
    DeviceMemory windows_;
    DeviceMemory coefficients_;
    std::vector<std::uint8_t> small_; // pictures
    std::vector<std::uint64_t> sums_; // of the squares' blocks
};

void Batch::add(const GreyPicture& picture, const Target& target) {
    ImagePass pass{};
    pass.in = pixels_;
    pass.line_step = picture.width;
    pass.tap_step = 1;
    pass.outputs = target.width;
    pass.windows = filters_.windows_of(picture.width, target.width);
    const std::uint64_t resized = rows_.add(pass, picture.height, between_);
    pass = {};
    pass.in = resized;
    pass.output_step = 1;
    pass.tap_step = target.width;
    pass.outputs = target.width;
    pass.windows = filters_.windows_of(picture.height, target.height);
    pass.by_line = 1;
    const bool is_square = (target.hashes & hash_whash) != 0;
    const std::uint64_t out =
        columns_.add(pass, target.height, is_square ? square_bytes_ : small_bytes_);
    if (is_square) {
        squares_.push_back({out, target.width, 0});
    }
}

void Batch::plan() {
    for (const GreyPicture& picture : pictures_) {
        check(picture);
        for (const Target& target : targets) {
            if (target.width != 0 && wants(target.hashes)) {
                small_bytes_ += std::uint64_t{target.width} * target.height;
            }
        }
    }
    square_bytes_ = std::exchange(small_bytes_, 0);
    for (const GreyPicture& picture : pictures_) {
        for (const Target& target : targets) {
            if (wants(target.hashes)) {
                add(picture, target_of(target, picture.width, picture.height));
            }
        }
        pixels_ += picture.pixels.size();
    }
}

void Batch::run(const Direction& direction, const DeviceMemory& in, const DeviceMemory& out) {
    const DeviceMemory passes = upload(device_, std::span(direction.passes));
    const DeviceMemory first_lines = upload(device_, std::span(direction.first_lines));
    constexpr std::uint64_t most_lines = std::numeric_limits<std::int32_t>::max();
    const std::uint64_t lines = direction.first_lines.back();
    for (std::uint64_t first = 0; first < lines; first += most_lines) {
        device_.launch(Kernel::resample_lines, std::min(lines - first, most_lines), IMAGE_GROUP,
                       {in, passes, first_lines,
                        static_cast<std::uint32_t>(direction.passes.size()), first, windows_,
                        coefficients_, out});
    }
    device_.finish(); // with what is released here
}

void Batch::resize() {
    DeviceMemory in(device_, pixels_);
    std::uint64_t place = 0;
    for (const GreyPicture& picture : pictures_) {
        device_.write(in, picture.pixels, 0, place);
        place += picture.pixels.size();
    }
    windows_ = upload(device_, filters_.windows());
    coefficients_ = upload(device_, filters_.coefficients());
    const DeviceMemory between(device_, between_);
    const DeviceMemory out(device_, square_bytes_);
    run(rows_, in, between);
    run(columns_, between, out);
    small_.resize(small_bytes_);
    if (!small_.empty()) {
        device_.read(out, std::span(small_));
    }
    sums_.resize(64 * squares_.size());
    if (!squares_.empty()) {
        const DeviceMemory squares = upload(device_, std::span(squares_));
        const DeviceMemory sums(device_, sizeof(std::uint64_t) * sums_.size());
        device_.launch(Kernel::sum_image_blocks, sums_.size(), IMAGE_GROUP, {out, squares, sums});
        device_.read(sums, std::span(sums_));
    }
}

std::vector<ImageHashes> Batch::hash() {
    std::vector<ImageHashes> hashes(pictures_.size());
    plan();
    if (rows_.passes.empty()) {
        return hashes;
    }
    resize();
    const std::uint8_t* small = small_.data();
    const std::uint64_t* sums = sums_.data();
    const auto next = [&]<std::size_t size>(std::integral_constant<std::size_t, size>) {
        return std::span<const std::uint8_t, size>(std::exchange(small, small + size), size);
    };
    for (ImageHashes& own : hashes) {
        if (wants(hash_dhash)) {
            own.dhash = dhash_bits(next(std::integral_constant<std::size_t, 72>()));
        }
        if (wants(hash_ahash | hash_whash16)) {
            const auto picture = next(std::integral_constant<std::size_t, 64>());
            own.ahash = wants(hash_ahash) ? ahash_bits(picture) : 0;
            own.whash16 = wants(hash_whash16) ? whash16_bits(picture) : 0;
        }
        if (wants(hash_phash)) {
            own.phash = phash_bits(next(std::integral_constant<std::size_t, 1024>()));
        }
        if (wants(hash_whash)) {
            std::array<std::uint64_t, 64> blocks{};
            std::copy_n(std::exchange(sums, sums + 64), 64, blocks.begin());
            own.whash = whash_bits(blocks);
        }
    }
    return hashes;
}

} // namespace

std::uint64_t device_hash_bytes(std::uint32_t width, std::uint32_t height, std::uint32_t wanted) {
    std::uint64_t bytes = std::uint64_t{width} * height;
    for (const Target& any : targets) {
        if ((wanted & any.hashes) == 0) {
            continue;
        }
        const Target target = target_of(any, width, height);
        bytes += std::uint64_t{target.width} * (std::uint64_t{height} + target.height);
        for (const auto& [in, out] :
             {std::pair(width, target.width), std::pair(height, target.height)}) {
            // A window reaches three output samples to each side, or three input ones, and is
            // rounded to whole ones.
            const std::uint64_t taps = 6 * (std::uint64_t{in} / out + 1) + 2;
            bytes += out * (taps * sizeof(std::int32_t) + sizeof(ImageWindow)) + sizeof(ImagePass) +
                     2 * sizeof(std::uint64_t);
        }
    }
    return bytes + 64 * sizeof(std::uint64_t) + sizeof(ImageSquare);
}

std::vector<ImageHashes> hash_on_device(Device& device, std::span<const GreyPicture> pictures,
                                        std::uint32_t wanted) {
    return Batch(device, pictures, wanted).hash();
}

} // namespace vamhash
