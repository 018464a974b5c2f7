#include "image_pipeline.h"

#include "codec/jpeg_coefficients.h"
#include "engine/arena_picture.h"
#include "engine/image_workers.h"
#include "engine/picture_places.h"
#include "engine/place_image.h"
#include "plain_decode.h"
#include "stopwatch.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <ctime>
#include <exception>
#include <fcntl.h>
#include <fstream>
#include <iterator>
#include <mutex>
#include <stdexcept>
#include <sys/mman.h>
#include <thread>
#include <unistd.h>
#include <utility>

namespace vamhash {

namespace {

// As in src/pg/picture_arena.cpp.
constexpr std::uint64_t bytes_per_decoder = std::uint64_t{108} << 20;
constexpr std::uint64_t least_bytes = std::uint64_t{288} << 20;
constexpr std::uint64_t share_of_memory = 8;
constexpr std::uint32_t parts = 3;
constexpr std::uint64_t part_multiple = 4096;

// Images that are begun and not decoded, for each decoder.
constexpr std::uint64_t images_per_decoder = 8;

protocol::Arena arena_for(unsigned decoders) {
    const std::uint64_t memory = static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES)) *
                                 static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
    const std::uint64_t bytes = std::min({std::max(decoders * bytes_per_decoder, least_bytes),
                                          memory / share_of_memory, protocol::max_arena});
    return {.bytes = bytes / parts / part_multiple * part_multiple * parts,
            .parts = parts,
            .batch = protocol::max_images,
            .waits = 0,
            .number = 1,
            .kept = 0,
            .jpeg_files = 0};
}

DecodeOptions options_of(Decoding decoding) {
    return {.fast = decoding != Decoding::exact};
}

Descriptor make_memory(std::uint64_t bytes) {
    Descriptor memory(memfd_create("pictures", MFD_CLOEXEC));
    if (memory.number() < 0 || ftruncate(memory.number(), static_cast<off_t>(bytes)) != 0) {
        throw std::runtime_error("no memory for an arena");
    }
    return memory;
}

double processor_seconds() {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

// Reads coefficients into memory that its thread keeps.
void decode_entropy(std::span<const std::uint8_t> image) {
    thread_local std::vector<std::uint64_t> memory;
    const auto layout = read_jpeg_coefficients(image, DecodeOptions{}, [&](std::uint64_t bytes) {
        memory.resize(std::max<std::size_t>(memory.size(), bytes / sizeof memory[0] + 2));
        const auto address = reinterpret_cast<std::uintptr_t>(memory.data());
        return reinterpret_cast<std::uint8_t*>((address + 15) / 16 * 16);
    });
    if (!layout) {
        throw std::runtime_error("a JPEG without coefficients");
    }
}

// One run.
class Pipeline {
  public:
    Pipeline(std::span<const TestImage> images, ImageWork work, Decoding decoding,
             unsigned decoders, DevicePipeline* device)
        : images_(images), work_(work), decoders_(decoders), decoding_(decoding),
          options_(options_of(decoding)) {
        if (work == ImageWork::device || work == ImageWork::device_auto) {
            arena_ = &device->arena(work == ImageWork::device, decoding);
            places_.emplace(*arena_, [this](std::uint32_t part, std::uint32_t /*pictures*/) {
                const std::lock_guard lock(mutex_);
                closed_.push_back(part);
                changed_.notify_one();
            });
            hasher_.emplace(device->device(), hash_all);
        }
    }

    ImageRun run(double seconds);

  private:
    struct Placed {
        std::uint32_t number;
        protocol::Picture picture;
    };

    PlacedImage process(std::span<const std::uint8_t> image);
    PlacedImage process_timed(std::span<const std::uint8_t> image);
    void take(const ImageOutcome& outcome);
    void put(ImageWorkers& workers);
    void check(std::uint32_t number, const ImageHashes& hashes);
    void hash_parts();
    void hash_part(std::uint32_t part);
    void hash_left();

    [[nodiscard]] const TestImage& image(std::uint32_t number) const {
        return images_[number % images_.size()];
    }

    const std::span<const TestImage> images_;
    const ImageWork work_;
    const unsigned decoders_;
    const Decoding decoding_;
    const DecodeOptions options_;
    const MappedArena* arena_ = nullptr;
    std::optional<DeviceHasher> hasher_;

    std::mutex mutex_;
    std::condition_variable changed_;
    std::array<std::vector<Placed>, parts> placed_;
    std::vector<std::uint32_t> closed_; // parts
    bool decoders_are_done_ = false;
    std::vector<std::uint32_t> left_; // for the thread that hashes
    std::string fault_;
    ImageRun run_;

    std::uint32_t put_ = 0;
    std::atomic<std::uint32_t> ended_ = 0;
    std::optional<PicturePlaces> places_; // goes first: it calls
};

PlacedImage Pipeline::process(std::span<const std::uint8_t> image) {
    switch (work_) {
    case ImageWork::decode:
        decode_rgb(image);
        return {};
    case ImageWork::entropy:
        decode_entropy(image);
        return {};
    case ImageWork::hash:
        return {.image = hash_image(image, hash_all, options_), .picture = {}};
    default:
        return place_image(image, hash_all, options_, *places_);
    }
}

PlacedImage Pipeline::process_timed(std::span<const std::uint8_t> image) {
    const Stopwatch watch;
    const double begin = processor_seconds();
    PlacedImage placed = process(image);
    const double decoding = processor_seconds() - begin;
    const double waiting = watch.seconds() - decoding;
    const std::lock_guard lock(mutex_);
    run_.decoding += decoding;
    run_.waiting += std::max(waiting, 0.0);
    return placed;
}

// Remembers the first image that went wrong.
void Pipeline::check(std::uint32_t number, const ImageHashes& hashes) {
    const TestImage& expected = image(number);
    if (!(hashes == expected.by(decoding_))) {
        const std::lock_guard lock(mutex_);
        fault_ = expected.path + ": other hashes than its own";
    }
}

void Pipeline::take(const ImageOutcome& outcome) {
    ++ended_;
    if (!outcome.hashed) {
        const std::lock_guard lock(mutex_);
        fault_ = image(outcome.number).path + ": " + outcome.message;
    } else if (outcome.picture) {
        {
            const std::lock_guard lock(mutex_);
            placed_.at(outcome.picture->place.part)
                .push_back({outcome.number, outcome.picture->picture});
        }
        places_->put(outcome.picture->place);
    } else if (work_ != ImageWork::decode && work_ != ImageWork::entropy) {
        check(outcome.number, outcome.image.hashes);
    }
}

void Pipeline::put(ImageWorkers& workers) {
    const TestImage& next = image(put_);
    ImageTask task;
    task.number = put_;
    task.length = next.bytes;
    task.file = Descriptor(open(next.path.c_str(), O_RDONLY | O_CLOEXEC));
    task.to_arena = true;
    if (task.file.number() < 0) {
        throw std::runtime_error(next.path + " could not be opened");
    }
    workers.put(std::move(task));
    ++put_;
}

void Pipeline::hash_part(std::uint32_t part) {
    std::vector<Placed> placed;
    {
        const std::lock_guard lock(mutex_);
        placed.swap(placed_.at(part));
    }
    std::vector<DevicePicture> pictures;
    pictures.reserve(placed.size());
    for (const Placed& one : placed) {
        pictures.push_back(picture_of(one.picture, arena_->part(part), true).value());
    }
    const Stopwatch watch;
    const auto hashes = hasher_->hash(pictures);
    run_.device += watch.seconds();
    places_->free(part);
    ++run_.batches;
    run_.on_device += placed.size();
    for (std::size_t i = 0; i < placed.size(); ++i) {
        if (hashes[i]) {
            check(placed[i].number, *hashes[i]);
        } else {
            left_.push_back(placed[i].number);
        }
    }
}

// The life of the thread that has the device.
void Pipeline::hash_parts() {
    for (;;) {
        std::uint32_t part = 0;
        {
            std::unique_lock lock(mutex_);
            changed_.wait(lock, [this] { return decoders_are_done_ || !closed_.empty(); });
            if (closed_.empty()) {
                return;
            }
            part = closed_.front();
            closed_.erase(closed_.begin());
        }
        try {
            hash_part(part);
        } catch (const std::exception& error) {
            const std::lock_guard lock(mutex_);
            fault_ = error.what();
            places_->let_go(); // no part will be free again
        }
    }
}

void Pipeline::hash_left() {
    run_.left = left_.size();
    run_.on_device -= left_.size();
    for (const std::uint32_t number : left_) {
        check(number, hash_image(read_image(image(number).path), hash_all, options_).hashes);
    }
}

ImageRun Pipeline::run(double seconds) {
    const Stopwatch watch;
    std::thread device;
    if (hasher_) {
        device = std::thread([this] { hash_parts(); });
    }
    {
        ImageWorkers workers(
            decoders_,
            [this](std::span<const std::uint8_t> image, bool /*to_arena*/) {
                return process_timed(image);
            },
            [this](const ImageOutcome& outcome) { take(outcome); },
            [this] {
                if (places_) {
                    places_->note_idle();
                }
            });
        try {
            do {
                while (put_ - ended_ < decoders_ * images_per_decoder) {
                    put(workers);
                }
                workers.await_one();
            } while (watch.seconds() < seconds);
        } catch (const std::exception& error) {
            const std::lock_guard lock(mutex_);
            fault_ = error.what();
        }
        const ImageWorkersReport report = workers.finish();
        run_.images = report.images;
        run_.reading = report.reading.count();
    }
    if (device.joinable()) {
        {
            const std::lock_guard lock(mutex_);
            decoders_are_done_ = true;
        }
        changed_.notify_one();
        device.join();
    }
    hash_left();
    run_.wall = watch.seconds();
    if (!fault_.empty()) {
        throw std::runtime_error(fault_);
    }
    return run_;
}

} // namespace

std::vector<std::uint8_t> read_image(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) {
        throw std::runtime_error(path + " could not be read");
    }
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

DevicePipeline::DevicePipeline(Device& device, unsigned decoders)
    : device_(device), arena_(make_memory(arena_for(decoders).bytes), arena_for(decoders)) {
    std::ranges::fill(arena_.bytes(), std::uint8_t{0}); // so that its pages are there
    pinned_ = PinnedMemory(device, std::as_bytes(arena_.bytes()));
}

const MappedArena& DevicePipeline::arena(bool waits, Decoding decoding) {
    protocol::Arena arena = arena_.arena();
    arena.waits = waits ? 1 : 0;
    arena.jpeg_files = decoding == Decoding::nvjpeg ? 1 : 0;
    arena_.use_as(arena);
    return arena_;
}

ImageRun run_images(std::span<const TestImage> images, ImageWork work, Decoding decoding,
                    unsigned decoders, double seconds, DevicePipeline* pipeline) {
    return Pipeline(images, work, decoding, decoders, pipeline).run(seconds);
}

ImageHashes hash_by_nvjpeg(const std::string& path, DevicePipeline& pipeline) {
    const MappedArena& arena = pipeline.arena(false, Decoding::nvjpeg);
    PicturePlaces places(arena, [](std::uint32_t /*part*/, std::uint32_t /*pictures*/) {});
    const auto bytes = read_image(path);
    const DecodeOptions options = options_of(Decoding::nvjpeg);
    const PlacedImage placed = place_image(bytes, hash_all, options, places);
    if (placed.picture) {
        const DevicePicture picture =
            picture_of(placed.picture->picture, arena.part(placed.picture->place.part), true)
                .value();
        const auto hashes = DeviceHasher(pipeline.device(), hash_all).hash({&picture, 1});
        if (hashes[0]) {
            return *hashes[0];
        }
    }
    return hash_image(bytes, hash_all, options).hashes;
}

std::optional<BatchTimes> time_batch(std::span<const TestImage> images, Decoding decoding,
                                     double seconds, DevicePipeline& pipeline) {
    const MappedArena& arena = pipeline.arena(false, decoding);
    PicturePlaces places(arena, [](std::uint32_t /*part*/, std::uint32_t /*pictures*/) {});
    std::vector<DevicePicture> pictures;
    BatchTimes best;
    for (std::size_t i = 0; i < protocol::max_images; ++i) {
        const auto bytes = read_image(images[i % images.size()].path);
        const PlacedImage placed = place_image(bytes, hash_all, options_of(decoding), places);
        if (!placed.picture || placed.picture->place.part != 0) {
            break;
        }
        pictures.push_back(picture_of(placed.picture->picture, arena.part(0), true).value());
        best.bytes += pictures.back().bytes.size();
    }
    best.pictures = pictures.size();
    if (pictures.empty()) {
        return std::nullopt;
    }
    DeviceHasher hasher(pipeline.device(), hash_all);
    hasher.hash(pictures); // makes filters, and room on the device
    const Stopwatch watch;
    do {
        const Stopwatch whole;
        hasher.hash(pictures);
        best.whole = best.whole == 0 ? whole.seconds() : std::min(best.whole, whole.seconds());
        double apart = 0;
        const DeviceTimes times = time_device_calls([&] {
            const Stopwatch one;
            hasher.hash(pictures);
            apart = one.seconds();
        });
        if (best.apart == 0 || apart < best.apart) {
            best.apart = apart;
            best.times = times;
        }
    } while (watch.seconds() < seconds);
    return best;
}

} // namespace vamhash
