// Images per second of hashing JPEGs, by several methods that take turns: bench/images.sh runs it.
//
//   image_rates [--backend=auto|cuda|opencl|none] [--device=0] [--threads=1,2] [--rounds=3]
//               [--seconds=1] [--methods=exact,fast,...] NAME FILE.jpg ...
//
// The files are read again and again, from the page cache. The methods, each on so many decoding
// threads of the engine's:
//   decode       libjpeg-turbo's own decode to RGB
//   entropy      decoding to coefficients, which is the CPU's share of device
//   exact, fast  all five hashes on the CPU
//   device       the same as exact, from coefficients on the device: as with vamhash.gpu = on
//   device-auto  as with auto: an image for which the arena has no room is hashed by the CPU
//   device-fast  fast decoding on the CPU, hashes on the device
//   nvjpeg       fast decoding by the device's own decoder of JPEG files, if it has one: as with
//                vamhash.nvjpeg = on
// Each image's hashes are compared with those of hash_image(), or with those of its file alone by
// nvjpeg; another one is an error. How many bits fast decoding moves is told first.
//
// The rates are images per second, best and median of the rounds; the rest is of the best round.
// read, decode and wait are summed over the threads: reading files, the processor's time in images,
// and the other time in them: waiting for room in the arena, or for a processor that is busy.
// device is the time in which the device had a batch; the percentages are of threads * wall, and of
// wall for the device. Below, batches by themselves, as large as the arena has room for: `whole`
// with copies, kernels and host overlapping as they do, `apart` with each waited for.
#include "engine/hash_image.h"
#include "engine/process.h"
#include "image_pipeline.h"
#include "plain_decode.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdio>
#include <cstring>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace vamhash {
namespace {

using plugin::Kernel;

struct Method {
    std::string_view name;
    ImageWork work;
    Decoding decoding = Decoding::exact;
};
constexpr std::array methods{Method{"decode", ImageWork::decode},
                             Method{"entropy", ImageWork::entropy},
                             Method{"exact", ImageWork::hash},
                             Method{"fast", ImageWork::hash, Decoding::fast},
                             Method{"device", ImageWork::device},
                             Method{"device-auto", ImageWork::device_auto},
                             Method{"device-fast", ImageWork::device, Decoding::fast},
                             Method{"nvjpeg", ImageWork::device, Decoding::nvjpeg}};

bool is_on_device(const Method& method) {
    return method.work == ImageWork::device || method.work == ImageWork::device_auto;
}

struct Options {
    std::string backend = "auto";
    int device = 0;
    std::vector<unsigned> threads;
    int rounds = 3;
    double seconds = 1;
    std::vector<Method> methods{vamhash::methods.begin(), vamhash::methods.end()};
    std::string name;
    std::vector<TestImage> images;
};

// --- Devices.

std::unique_ptr<Device> open_device(const std::string& backend, int number) {
    static plugin::DeviceBackend with_times;
    with_times = with_timing(*load_device_backend(backend).backend);
    return std::make_unique<Device>(with_times, static_cast<std::uint32_t>(number));
}

// The device that is asked for, or with auto the first one there is; null if none is to be used.
std::unique_ptr<Device> find_device(const Options& options) {
    if (options.backend == "none") {
        return nullptr;
    }
    const bool any = options.backend == "auto";
    std::string reason;
    for (const DeviceListing& listing : any ? list_devices() : list_devices(options.backend)) {
        const plugin::DeviceProperties& properties = listing.properties;
        if (listing.number < 0 || properties.usable == 0) {
            reason += " " + listing.backend + ": " + properties.reason + ";";
        } else if (any || listing.number == options.device) {
            return open_device(listing.backend, listing.number);
        }
    }
    if (!any) {
        throw std::runtime_error("no such device;" + reason);
    }
    std::printf("# no device:%s\n", reason.c_str());
    return nullptr;
}

void print_device(const Device& device) {
    const plugin::DeviceProperties& properties = device.properties();
    std::printf("# %s, %s, %s, %u compute units%s\n", device.name().c_str(), properties.capability,
                properties.driver, properties.compute_units,
                properties.is_gpu != 0 ? "" : ": a CPU, whose times say nothing of a GPU");
}

// --- Images.

TestImage test_image(const std::string& path) {
    const std::vector<std::uint8_t> bytes = read_image(path);
    const HashedImage exact = hash_image(bytes, hash_all, DecodeOptions{});
    return {
        .path = path,
        .bytes = bytes.size(),
        .pixels = std::uint64_t{exact.info.width} * exact.info.height,
        .hashes = {exact.hashes, hash_image(bytes, hash_all, DecodeOptions{.fast = true}).hashes}};
}

void print_images(const Options& options) {
    double bytes = 0;
    double pixels = 0;
    for (const TestImage& image : options.images) {
        bytes += static_cast<double>(image.bytes);
        pixels += static_cast<double>(image.pixels);
    }
    const auto count = static_cast<double>(options.images.size());
    std::printf("# %s: %zu files of %.2f megapixels, %.3f bytes a pixel, %.2f MB each\n",
                options.name.c_str(), options.images.size(), pixels / count / 1e6, bytes / pixels,
                bytes / count / 1e6);
}

double megapixels(const Options& options) {
    double pixels = 0;
    for (const TestImage& image : options.images) {
        pixels += static_cast<double>(image.pixels);
    }
    return pixels / static_cast<double>(options.images.size()) / 1e6;
}

// --- What is measured.

double rate(const ImageRun& run) {
    return static_cast<double>(run.images) / run.wall;
}

void print_rates_head() {
    std::printf("%-8s %6s %-11s %7s %9s %9s %7s %7s %7s %7s %7s %8s %6s %7s %6s %7s %9s %5s\n",
                "images", "Mpixel", "method", "threads", "best", "median", "wall", "read", "decode",
                "wait", "device", "decode%", "wait%", "device%", "done", "batches", "on_device",
                "left");
}

void print_rates(const Options& options, const Method& method, unsigned threads,
                 std::vector<ImageRun> runs) {
    std::ranges::sort(runs, std::greater(), rate);
    const ImageRun& best = runs.front();
    const double of_threads = 100 / (threads * best.wall);
    std::printf("%-8s %6.2f %-11s %7u %9.2f %9.2f %7.3f %7.3f %7.3f %7.3f %7.3f %8.1f %6.1f %7.1f "
                "%6llu %7llu %9llu %5llu\n",
                options.name.c_str(), megapixels(options), std::string(method.name).c_str(),
                threads, rate(best), rate(runs[runs.size() / 2]), best.wall, best.reading,
                best.decoding, best.waiting, best.device, best.decoding * of_threads,
                best.waiting * of_threads, 100 * best.device / best.wall,
                static_cast<unsigned long long>(best.images),
                static_cast<unsigned long long>(best.batches),
                static_cast<unsigned long long>(best.on_device),
                static_cast<unsigned long long>(best.left));
    std::fflush(stdout);
}

void measure_rates(const Options& options, unsigned threads, DevicePipeline* pipeline) {
    std::map<std::string_view, std::vector<ImageRun>> runs;
    for (int round = 0; round < options.rounds; ++round) {
        for (const Method& method : options.methods) {
            if (pipeline != nullptr || !is_on_device(method)) {
                runs[method.name].push_back(run_images(options.images, method.work, method.decoding,
                                                       threads, options.seconds, pipeline));
            }
        }
    }
    for (const Method& method : options.methods) {
        if (!runs[method.name].empty()) {
            print_rates(options, method, threads, runs[method.name]);
        }
    }
}

void print_batches_head() {
    std::printf("%-8s %6s %-11s %8s %8s %9s %9s %8s %8s %8s %8s %8s %8s %8s %8s\n", "images",
                "Mpixel", "batch", "pictures", "MB_each", "rate", "whole", "apart", "write",
                "nvjpeg", "idct", "convert", "resample", "read", "host");
}

// How a device takes batches, of what the decoders would give it.
void measure_batches(const Options& options, DevicePipeline& pipeline) {
    for (const Method& method : options.methods) {
        if (method.work != ImageWork::device) {
            continue;
        }
        const auto batch = time_batch(options.images, method.decoding, options.seconds, pipeline);
        if (!batch) {
            std::printf("%-8s %6.2f %-11s has no room in the arena\n", options.name.c_str(),
                        megapixels(options), std::string(method.name).c_str());
            continue;
        }
        const auto pictures = static_cast<double>(batch->pictures);
        const auto ms = [&](double seconds) { return seconds * 1e3 / pictures; };
        const DeviceTimes& times = batch->times;
        const double resample =
            times.of(Kernel::resample_lines) + times.of(Kernel::sum_image_blocks);
        const double known = times.writes + times.clears + times.reads + resample +
                             times.jpeg_files + times.of(Kernel::decode_jpeg_blocks) +
                             times.of(Kernel::convert_jpeg_tiles);
        std::printf("%-8s %6.2f %-11s %8llu %8.2f %9.1f %9.4f %8.4f %8.4f %8.4f %8.4f %8.4f %8.4f "
                    "%8.4f %8.4f\n",
                    options.name.c_str(), megapixels(options), std::string(method.name).c_str(),
                    static_cast<unsigned long long>(batch->pictures),
                    static_cast<double>(batch->bytes) / pictures / 1e6, pictures / batch->whole,
                    ms(batch->whole), ms(batch->apart), ms(times.writes + times.clears),
                    ms(times.jpeg_files), ms(times.of(Kernel::decode_jpeg_blocks)),
                    ms(times.of(Kernel::convert_jpeg_tiles)), ms(resample), ms(times.reads),
                    ms(batch->apart - known));
    }
    std::fflush(stdout);
}

// The hashes of a picture's luma at its full size, as libjpeg-turbo decodes it: nvJPEG's is the
// same but for its own rounding.
ImageHashes hash_luma(const TestImage& image) {
    ImageHasher hasher(hash_all);
    decode_plainly(
        read_image(image.path), JCS_GRAYSCALE,
        [&](std::uint32_t width, std::uint32_t height) { hasher.start(width, height); },
        [&](const std::uint8_t* pixels, std::size_t stride, std::uint32_t rows) {
            hasher.rows(pixels, stride, rows);
        });
    return hasher.finish();
}

// How many bits of each hash a way of decoding moves from the exact ones.
template <typename HashesOf>
void print_moved_bits(const Options& options, const char* name, const HashesOf& hashes_of) {
    std::vector<ImageHashes> hashes;
    for (const TestImage& image : options.images) {
        hashes.push_back(hashes_of(image));
    }
    struct Hash {
        const char* name;
        std::uint64_t ImageHashes::*bits;
    };
    for (const Hash& hash : {Hash{"dhash", &ImageHashes::dhash}, Hash{"ahash", &ImageHashes::ahash},
                             Hash{"whash", &ImageHashes::whash}, Hash{"phash", &ImageHashes::phash},
                             Hash{"whash16", &ImageHashes::whash16}}) {
        int most = 0;
        double sum = 0;
        for (std::size_t i = 0; i < hashes.size(); ++i) {
            const ImageHashes& exact = options.images[i].by(Decoding::exact);
            const int moved = std::popcount(exact.*hash.bits ^ hashes[i].*hash.bits);
            most = std::max(most, moved);
            sum += moved;
        }
        std::printf("# %s moves %.3f bits of %s in the mean, %d at most\n", name,
                    sum / static_cast<double>(options.images.size()), hash.name, most);
    }
}

// Loads the device's decoder of JPEG files, and hashes the images by it; without one, its method is
// left out.
void begin_nvjpeg(Options& options, DevicePipeline& pipeline) {
    try {
        pipeline.device().load_jpeg_decoder();
    } catch (const NoJpegDecoder& error) {
        std::printf("# no nvjpeg: %s\n", error.what());
        std::erase_if(options.methods,
                      [](const Method& method) { return method.decoding == Decoding::nvjpeg; });
        return;
    }
    for (TestImage& image : options.images) {
        image.hashes.at(static_cast<std::size_t>(Decoding::nvjpeg)) =
            hash_by_nvjpeg(image.path, pipeline);
    }
    print_moved_bits(options, "nvjpeg",
                     [](const TestImage& image) { return image.by(Decoding::nvjpeg); });
}

int run(Options options) {
    keep_memory_between_requests(); // as the engine does
    keep_threads_small();
    print_images(options);
    const std::unique_ptr<Device> device = find_device(options);
    print_moved_bits(options, "fast",
                     [](const TestImage& image) { return image.by(Decoding::fast); });
    print_moved_bits(options, "luma", hash_luma);
    if (device) {
        print_device(*device);
        DevicePipeline pipeline(*device, options.threads.back());
        begin_nvjpeg(options, pipeline);
    }
    print_rates_head();
    for (const unsigned threads : options.threads) {
        std::optional<DevicePipeline> pipeline;
        if (device) {
            pipeline.emplace(*device, threads);
        }
        measure_rates(options, threads, pipeline ? &*pipeline : nullptr);
        if (pipeline && threads == options.threads.back()) {
            std::printf("# batches from an arena of %zu MB, %spinned; milliseconds a picture\n",
                        pipeline->arena(false, Decoding::exact).bytes().size() >> 20U,
                        pipeline->is_pinned() ? "" : "not ");
            print_batches_head();
            measure_batches(options, *pipeline);
        }
    }
    return 0;
}

// --- Arguments.

std::vector<std::string> words(const std::string& text) {
    std::vector<std::string> list;
    for (std::size_t begin = 0; begin <= text.size();) {
        const std::size_t end = std::min(text.find(',', begin), text.size());
        list.push_back(text.substr(begin, end - begin));
        begin = end + 1;
    }
    return list;
}

std::vector<Method> methods_of(const std::string& text) {
    std::vector<Method> list;
    for (const std::string& name : words(text)) {
        const auto found = std::ranges::find(methods, name, &Method::name);
        if (found == methods.end()) {
            throw std::invalid_argument("no such method: " + name);
        }
        list.push_back(*found);
    }
    return list;
}

Options parse(std::span<char*> arguments) {
    Options options;
    const std::map<std::string, std::function<void(const std::string&)>> known{
        {"--backend", [&](const auto& text) { options.backend = text; }},
        {"--device", [&](const auto& text) { options.device = std::stoi(text); }},
        {"--threads",
         [&](const auto& text) {
             for (const std::string& word : words(text)) {
                 options.threads.push_back(static_cast<unsigned>(std::stoul(word)));
             }
         }},
        {"--rounds", [&](const auto& text) { options.rounds = std::stoi(text); }},
        {"--seconds", [&](const auto& text) { options.seconds = std::stod(text); }},
        {"--methods", [&](const auto& text) { options.methods = methods_of(text); }},
    };
    std::size_t next = 0;
    for (; next < arguments.size() && std::strncmp(arguments[next], "--", 2) == 0; ++next) {
        const std::string argument = arguments[next];
        const std::size_t equals = std::min(argument.find('='), argument.size());
        const auto found = known.find(argument.substr(0, equals));
        if (found == known.end() || equals == argument.size()) {
            throw std::invalid_argument("no such argument: " + argument);
        }
        found->second(argument.substr(equals + 1));
    }
    if (next + 1 >= arguments.size() || options.rounds < 1) {
        throw std::invalid_argument("a NAME, and files");
    }
    options.name = arguments[next];
    for (char* const path : arguments.subspan(next + 1)) {
        options.images.push_back(test_image(path));
    }
    if (options.threads.empty()) {
        options.threads = {std::max(1U, std::thread::hardware_concurrency())};
    }
    return options;
}

} // namespace
} // namespace vamhash

int main(int argc, char** argv) {
    try {
        return vamhash::run(vamhash::parse(std::span(argv, argc).subspan(1)));
    } catch (const std::exception& error) {
        std::fprintf(stderr, "image_rates: %s\n", error.what());
        return 1;
    }
}
