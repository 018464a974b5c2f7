// The threads that read and hash many images: every image has one outcome, whatever happens to it.
#include "engine/image_workers.h"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <fcntl.h>
#include <latch>
#include <new>
#include <set>
#include <string>
#include <unistd.h>

#include <gtest/gtest.h>

namespace {

using namespace vamhash;
using protocol::Fault;

/// Takes outcomes from any thread.
class Outcomes {
  public:
    ImageWorkers::Take take() {
        return [this](ImageOutcome outcome) {
            const std::lock_guard lock(mutex_);
            order_.push_back(outcome.number);
            EXPECT_TRUE(all_.try_emplace(outcome.number, std::move(outcome)).second) << "twice";
        };
    }
    [[nodiscard]] std::size_t count() const { return all_.size(); }
    [[nodiscard]] const ImageOutcome& of(std::uint32_t number) const { return all_.at(number); }
    [[nodiscard]] const std::vector<std::uint32_t>& order() const { return order_; }

  private:
    std::mutex mutex_;
    std::map<std::uint32_t, ImageOutcome> all_;
    std::vector<std::uint32_t> order_;
};

ImageTask task_of(std::uint32_t number, std::string_view bytes) {
    ImageTask task;
    task.number = number;
    task.length = bytes.size();
    task.bytes = image_memory(bytes.size());
    std::copy(bytes.begin(), bytes.end(), task.bytes.get());
    return task;
}

/// A "hash" that can be foretold: the length and the first byte.
HashedImage foretold(std::span<const std::uint8_t> image) {
    HashedImage hashed;
    hashed.hashes.dhash = image.size();
    hashed.hashes.ahash = image.empty() ? 0 : image.front();
    return hashed;
}

/// What hashes every image where it is decoded.
template <typename Hash>
ImageWorkers::Hash without_arena(Hash hash) {
    return [hash](std::span<const std::uint8_t> image, bool to_arena) {
        EXPECT_FALSE(to_arena);
        return PlacedImage{.image = hash(image), .picture = {}};
    };
}

/// A file of zeros that is removed at its end.
class TemporaryFile {
  public:
    explicit TemporaryFile(std::size_t length) : file_(std::tmpfile()) {
        EXPECT_NE(file_, nullptr);
        resize(length);
    }
    ~TemporaryFile() { static_cast<void>(std::fclose(file_)); }
    TemporaryFile(const TemporaryFile&) = delete;
    TemporaryFile& operator=(const TemporaryFile&) = delete;

    void resize(std::size_t length) const {
        EXPECT_EQ(ftruncate(fileno(file_), static_cast<off_t>(length)), 0);
    }
    [[nodiscard]] ImageTask task(std::uint32_t number, std::size_t length) const {
        ImageTask task;
        task.number = number;
        task.length = length;
        task.file = Descriptor(dup(fileno(file_)));
        return task;
    }

  private:
    std::FILE* file_;
};

TEST(ImageWorkers, GiveEachImageItsOutcome) {
    for (const unsigned threads : {1U, 2U, 7U}) {
        Outcomes outcomes;
        ImageWorkers workers(threads, without_arena(foretold), outcomes.take());
        for (std::uint32_t i = 0; i < 500; i++) {
            workers.put(task_of(i, std::string(i, static_cast<char>(i % 100))));
        }
        const ImageWorkersReport report = workers.finish();
        EXPECT_EQ(report.images, 500U);
        EXPECT_LE(report.threads, threads);
        ASSERT_EQ(outcomes.count(), 500U);
        for (std::uint32_t i = 0; i < 500; i++) {
            EXPECT_EQ(outcomes.of(i).status, Fault::none);
            EXPECT_TRUE(outcomes.of(i).hashed);
            EXPECT_EQ(outcomes.of(i).image.hashes.dhash, i);
            EXPECT_EQ(outcomes.of(i).image.hashes.ahash, i % 100);
        }
    }
}

TEST(ImageWorkers, HashInTheOrderOfImagesOnOneThread) {
    Outcomes outcomes;
    ImageWorkers workers(1, without_arena(foretold), outcomes.take());
    for (std::uint32_t i = 0; i < 100; i++) {
        workers.put(task_of(i, "x"));
    }
    workers.finish();
    EXPECT_TRUE(std::ranges::is_sorted(outcomes.order()));
}

TEST(ImageWorkers, ReportNothingOfNoImages) {
    Outcomes outcomes;
    ImageWorkers workers(2, without_arena(foretold), outcomes.take());
    EXPECT_FALSE(workers.await_one());
    EXPECT_EQ(workers.finish().images, 0U);
}

TEST(ImageWorkers, TellWhatIsWrongWithAnImage) {
    const auto hash = [](std::span<const std::uint8_t> image) -> HashedImage {
        switch (image.front()) {
        case 'c':
            throw ImageError(ImageStatus::corrupt, "it is corrupt");
        case 'x':
            throw std::runtime_error("something else");
        case 't': {
            HashedImage hashed = foretold(image);
            hashed.info.truncated = "the lower half";
            return hashed;
        }
        default:
            return foretold(image);
        }
    };
    Outcomes outcomes;
    ImageWorkers workers(2, without_arena(hash), outcomes.take());
    std::uint32_t number = 0;
    for (const char* image : {"corrupt", "x", "truncated", "good"}) {
        workers.put(task_of(number++, image));
    }
    workers.finish();
    EXPECT_EQ(outcomes.of(0).status, Fault::image_corrupt);
    EXPECT_EQ(outcomes.of(0).message, "it is corrupt");
    EXPECT_FALSE(outcomes.of(0).hashed);
    EXPECT_EQ(outcomes.of(1).status, Fault::internal);
    EXPECT_EQ(outcomes.of(1).message, "something else");
    EXPECT_FALSE(outcomes.of(1).hashed);
    EXPECT_EQ(outcomes.of(2).status, Fault::image_truncated);
    EXPECT_EQ(outcomes.of(2).message, "the lower half");
    EXPECT_TRUE(outcomes.of(2).hashed);
    EXPECT_EQ(outcomes.of(2).image.hashes.dhash, 9U);
    EXPECT_EQ(outcomes.of(3).status, Fault::none);
}

TEST(ImageWorkers, HashAloneWhatDoesNotFitTogether) {
    // Memory for one of the images that begin with L and any number of others.
    std::atomic<int> large = 0;
    std::atomic<int> refused = 0;
    const auto hash = [&](std::span<const std::uint8_t> image) {
        if (image.front() != 'L') {
            return foretold(image);
        }
        const int others = large.fetch_add(1);
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
        large.fetch_sub(1);
        if (others > 0) {
            refused++;
            if (refused % 2 == 0) {
                throw std::bad_alloc();
            }
            throw ImageError(ImageStatus::out_of_memory, "as a codec says it");
        }
        return foretold(image);
    };
    Outcomes outcomes;
    ImageWorkers workers(4, without_arena(hash), outcomes.take());
    for (std::uint32_t i = 0; i < 120; i++) {
        workers.put(task_of(i, i % 3 == 0 ? "small" : "Large"));
    }
    workers.finish();
    EXPECT_GT(refused, 0);
    ASSERT_EQ(outcomes.count(), 120U);
    for (std::uint32_t i = 0; i < 120; i++) {
        EXPECT_EQ(outcomes.of(i).status, Fault::none) << outcomes.of(i).message;
    }
}

TEST(ImageWorkers, RefuseWhatDoesNotFitAlone) {
    const auto hash = [](std::span<const std::uint8_t> image) -> HashedImage {
        if (image.front() == 'L') {
            throw std::bad_alloc();
        }
        return foretold(image);
    };
    Outcomes outcomes;
    ImageWorkers workers(3, without_arena(hash), outcomes.take());
    for (std::uint32_t i = 0; i < 30; i++) {
        workers.put(task_of(i, i % 10 == 0 ? "Large" : "small"));
    }
    workers.finish();
    for (std::uint32_t i = 0; i < 30; i++) {
        EXPECT_EQ(outcomes.of(i).status, i % 10 == 0 ? Fault::out_of_memory : Fault::none);
        EXPECT_EQ(outcomes.of(i).hashed, i % 10 != 0);
    }
}

TEST(ImageWorkers, ReadFiles) {
    const TemporaryFile file(100'000);
    const TemporaryFile empty(0);
    const Descriptor directory(open("/", O_RDONLY | O_CLOEXEC));
    Outcomes outcomes;
    ImageWorkers workers(2, without_arena(foretold), outcomes.take());
    workers.put(file.task(0, 100'000));
    workers.put(file.task(1, 99'999));
    workers.put(file.task(2, 100'001));
    workers.put(empty.task(3, 0));
    ImageTask task;
    task.number = 4;
    task.length = 10;
    task.file = Descriptor(dup(directory.number()));
    workers.put(std::move(task));
    for (std::uint32_t i = 5; i < 200; i++) {
        workers.put(file.task(i, 100'000));
    }
    workers.finish();
    ASSERT_EQ(outcomes.count(), 200U);
    EXPECT_EQ(outcomes.of(0).image.hashes.dhash, 100'000U);
    for (const std::uint32_t changed : {1U, 2U}) {
        EXPECT_EQ(outcomes.of(changed).status, Fault::image_unreadable);
        EXPECT_EQ(outcomes.of(changed).message, "changed while it was read");
    }
    EXPECT_EQ(outcomes.of(3).status, Fault::none);
    EXPECT_EQ(outcomes.of(4).status, Fault::image_unreadable);
    EXPECT_EQ(outcomes.of(4).message, "could not be read: Is a directory");
    EXPECT_EQ(outcomes.of(199).image.hashes.dhash, 100'000U);
}

TEST(ImageWorkers, BoundWhatIsReadAhead) {
    // While one file is hashed that takes more than half of the room, another such is not read: cut
    // short then, it has changed.
    constexpr std::size_t length = protocol::kept_image_bytes(2) * 2 / 3;
    const TemporaryFile first(length);
    const TemporaryFile second(length);
    std::latch begun(1);
    std::latch cut(1);
    std::atomic<int> calls = 0;
    const auto hash = [&](std::span<const std::uint8_t> image) {
        if (calls++ == 0) {
            begun.count_down();
            cut.wait();
        }
        return foretold(image);
    };
    Outcomes outcomes;
    ImageWorkers workers(2, without_arena(hash), outcomes.take());
    workers.put(first.task(0, length));
    begun.wait();
    workers.put(second.task(1, length));
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    second.resize(1);
    cut.count_down();
    workers.finish();
    EXPECT_EQ(outcomes.of(0).status, Fault::none);
    EXPECT_EQ(outcomes.of(1).status, Fault::image_unreadable);
}

TEST(ImageWorkers, ReadAFileLargerThanAllRoomAlone) {
    constexpr std::size_t length = protocol::kept_image_bytes(2) + 1;
    const TemporaryFile file(length);
    Outcomes outcomes;
    ImageWorkers workers(2, without_arena(foretold), outcomes.take());
    for (std::uint32_t i = 0; i < 3; i++) {
        workers.put(file.task(i, length));
    }
    workers.finish();
    for (std::uint32_t i = 0; i < 3; i++) {
        EXPECT_EQ(outcomes.of(i).image.hashes.dhash, length);
    }
}

TEST(ImageWorkers, AwaitAnImageThatIsHashed) {
    std::latch go(1);
    const auto hash = [&](std::span<const std::uint8_t> image) {
        go.wait();
        return foretold(image);
    };
    Outcomes outcomes;
    ImageWorkers workers(1, without_arena(hash), outcomes.take());
    workers.put(task_of(0, "x"));
    std::thread later([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        go.count_down();
    });
    EXPECT_TRUE(workers.await_one());
    EXPECT_FALSE(workers.await_one());
    EXPECT_EQ(outcomes.count(), 1U);
    later.join();
}

TEST(ImageWorkers, DropWhatIsNotHashedAtTheirEnd) {
    std::latch begun(1);
    std::atomic<int> calls = 0;
    const auto hash = [&](std::span<const std::uint8_t> image) {
        if (calls++ == 0) {
            begun.count_down();
            std::this_thread::sleep_for(std::chrono::milliseconds(50));
        }
        return foretold(image);
    };
    Outcomes outcomes;
    {
        ImageWorkers workers(1, without_arena(hash), outcomes.take());
        for (std::uint32_t i = 0; i < 100; i++) {
            workers.put(task_of(i, "x"));
        }
        begun.wait();
    }
    EXPECT_EQ(calls, 1);
}

TEST(ImageWorkers, TellThatNothingIsLeft) {
    Outcomes outcomes;
    std::atomic<int> idle = 0;
    ImageWorkers workers(2, without_arena(foretold), outcomes.take(), [&] { idle++; });
    for (int i = 1; i <= 3; i++) {
        workers.put(task_of(static_cast<std::uint32_t>(i), "x"));
        workers.finish();
        EXPECT_EQ(idle, i);
    }
}

TEST(ImageWorkers, PutPicturesIntoTheArenaUnlessMemoryIsShort) {
    std::atomic<int> calls = 0;
    const auto hash = [&](std::span<const std::uint8_t> image, bool to_arena) {
        if (calls++ == 0) {
            throw std::bad_alloc();
        }
        PlacedImage placed{.image = foretold(image), .picture = {}};
        if (to_arena) {
            placed.picture = PlacedPicture{};
        }
        return placed;
    };
    Outcomes outcomes;
    ImageWorkers workers(1, hash, outcomes.take());
    for (const bool to_arena : {true, true, false}) {
        ImageTask task = task_of(static_cast<std::uint32_t>(outcomes.count()), "x");
        task.to_arena = to_arena;
        workers.put(std::move(task));
        workers.finish();
    }
    EXPECT_FALSE(outcomes.of(0).picture) << "the second time, alone";
    EXPECT_TRUE(outcomes.of(1).picture);
    EXPECT_FALSE(outcomes.of(2).picture);
    EXPECT_TRUE(outcomes.of(1).hashed);
}

} // namespace
