// Makes JPEGs for benchmarks where there are no photographs: pictures with a photograph's spectrum.
//
//   make_jpegs FOLDER COUNT WIDTH HEIGHT
//
// Value noise of many octaves, each finer one weaker, with colours that only have the coarse ones,
// and a sensor's noise; quality 90, 4:2:0. At 12 megapixels that are about 3.5 MB, as of a camera.
#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <random>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <jpeglib.h> // after cstdio, which it wants

namespace {

// Cells of one octave, with values that are interpolated between their corners.
class Octave {
  public:
    Octave(std::uint32_t width, std::uint32_t height, double cell, double amplitude,
           std::mt19937& random)
        : cell_(cell), across_(static_cast<std::uint32_t>(width / cell) + 2),
          values_(across_ * (static_cast<std::size_t>(height / cell) + 2)), line_(across_) {
        std::uniform_real_distribution<float> value(static_cast<float>(-amplitude),
                                                    static_cast<float>(amplitude));
        std::ranges::generate(values_, [&] { return value(random); });
    }

    /// Adds it to a row.
    void add(std::uint32_t y, std::vector<float>& row) {
        const double down = y / cell_;
        const auto first = static_cast<std::size_t>(down);
        const auto share = static_cast<float>(down - static_cast<double>(first));
        const float* upper = values_.data() + first * across_;
        for (std::size_t i = 0; i < across_; ++i) {
            line_[i] = upper[i] + share * (upper[across_ + i] - upper[i]);
        }
        const auto step = static_cast<float>(1 / cell_);
        for (std::size_t x = 0; x < row.size(); ++x) {
            const float place = static_cast<float>(x) * step;
            const auto left = static_cast<std::size_t>(place);
            row[x] +=
                line_[left] + (place - static_cast<float>(left)) * (line_[left + 1] - line_[left]);
        }
    }

  private:
    double cell_;
    std::size_t across_;
    std::vector<float> values_;
    std::vector<float> line_;
};

// One channel: grey or a colour's difference from it.
class Channel {
  public:
    /// `finest` is the smallest cell, as pixels of a picture that is 4000 wide.
    Channel(std::uint32_t width, std::uint32_t height, double finest, double contrast,
            std::mt19937& random)
        : row_(width) {
        const double scale = width / 4000.0;
        constexpr double coarsest = 2000;
        for (double cell = coarsest; cell >= finest; cell /= 2) {
            octaves_.emplace_back(width, height, std::max(cell * scale, 1.0),
                                  contrast * std::pow(cell / coarsest, 0.34), random);
        }
    }

    const std::vector<float>& make(std::uint32_t y, float base) {
        std::ranges::fill(row_, base);
        for (Octave& octave : octaves_) {
            octave.add(y, row_);
        }
        return row_;
    }

  private:
    std::vector<Octave> octaves_;
    std::vector<float> row_;
};

std::vector<std::uint8_t> make_jpeg(std::uint32_t width, std::uint32_t height, unsigned seed) {
    std::mt19937 random(seed);
    Channel grey(width, height, 2, 55, random);
    Channel red(width, height, 60, 20, random);
    Channel blue(width, height, 60, 20, random);
    jpeg_compress_struct compress{};
    jpeg_error_mgr errors{};
    compress.err = jpeg_std_error(&errors);
    jpeg_create_compress(&compress);
    unsigned char* bytes = nullptr;
    unsigned long size = 0; // NOLINT(google-runtime-int): libjpeg's
    jpeg_mem_dest(&compress, &bytes, &size);
    compress.image_width = width;
    compress.image_height = height;
    compress.input_components = 3;
    compress.in_color_space = JCS_RGB;
    jpeg_set_defaults(&compress); // 4:2:0
    jpeg_set_quality(&compress, 90, TRUE);
    jpeg_start_compress(&compress, TRUE);
    std::vector<std::uint8_t> row(std::size_t{width} * 3);
    std::uint32_t state = seed * 2 + 1;
    for (std::uint32_t y = 0; y < height; ++y) {
        const std::vector<float>& luma = grey.make(y, 120);
        const std::vector<float>& more_red = red.make(y, 0);
        const std::vector<float>& more_blue = blue.make(y, 0);
        for (std::size_t x = 0; x < width; ++x) {
            state = state * 1664525 + 1013904223; // Numerical Recipes
            const float noise = static_cast<float>(static_cast<int>(state >> 28) - 8) * 1.2F;
            const float green = luma[x] + noise;
            const std::array pixel{green + more_red[x], green, green + more_blue[x]};
            for (std::size_t i = 0; i < pixel.size(); ++i) {
                row[3 * x + i] = static_cast<std::uint8_t>(std::clamp(pixel[i], 0.0F, 255.0F));
            }
        }
        JSAMPROW line = row.data();
        jpeg_write_scanlines(&compress, &line, 1);
    }
    jpeg_finish_compress(&compress);
    jpeg_destroy_compress(&compress);
    std::vector<std::uint8_t> image(bytes, bytes + size);
    std::free(bytes);
    return image;
}

int run(std::span<char*> arguments) {
    if (arguments.size() != 4) {
        std::fputs("usage: make_jpegs FOLDER COUNT WIDTH HEIGHT\n", stderr);
        return 2;
    }
    const std::string folder = arguments[0];
    const auto count = static_cast<unsigned>(std::stoul(arguments[1]));
    const auto width = static_cast<std::uint32_t>(std::stoul(arguments[2]));
    const auto height = static_cast<std::uint32_t>(std::stoul(arguments[3]));
    std::atomic<unsigned> next = 0;
    std::atomic<bool> failed = false;
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < std::max(1U, std::thread::hardware_concurrency()); ++i) {
        threads.emplace_back([&] {
            for (unsigned number = next++; number < count; number = next++) {
                const std::vector<std::uint8_t> image = make_jpeg(width, height, number);
                std::array<char, 16> name{};
                std::snprintf(name.data(), name.size(), "/%06u.jpg", number);
                std::ofstream file(folder + name.data(), std::ios::binary);
                file.write(reinterpret_cast<const char*>(image.data()),
                           static_cast<std::streamsize>(image.size()));
                failed = failed || !file.flush();
            }
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    if (failed) {
        throw std::runtime_error("could not write into " + folder);
    }
    return 0;
}

} // namespace

int main(int argc, char** argv) {
    try {
        return run(std::span(argv, argc).subspan(1));
    } catch (const std::exception& error) {
        std::fprintf(stderr, "make_jpegs: %s\n", error.what());
        return 1;
    }
}
