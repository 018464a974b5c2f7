// The decoding engine's end of many images, with an arena: what is put there is what the image
// shows, a part is told of after its pictures and not written to before it is free again, and what
// has no room is hashed here.
#include "engine/arena_picture.h"
#include "engine/hash_image.h"
#include "engine/images_job.h"

#include "codec/jpeg_coefficients.h"
#include "hash/device_hasher.h"

#include "engine_thread.h"
#include "made_arena.h"
#include "made_image.h"
#include "made_jpeg.h"
#include "tested_devices.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <gtest/gtest.h>
#include <map>
#include <optional>
#include <poll.h>
#include <string>
#include <vector>

namespace vamhash {
namespace {

using protocol::Fault;
using protocol::ImageHashed;
using protocol::Operation;
using test::bytes_of;

constexpr std::uint32_t parts = 3;
constexpr std::uint64_t part_bytes = 64 * 1024;
constexpr std::uint64_t arena_bytes = parts * part_bytes;

/// A grey BMP of noise, upside down as they are.
Bytes noise_bmp(std::uint32_t width, std::uint32_t height, unsigned seed) {
    const std::size_t stride = (width + 3) / 4 * 4;
    Bytes palette;
    for (std::uint64_t i = 0; i < 256; ++i) {
        palette = joined({palette, number(i * 0x010101, 4)});
    }
    return joined({text_bytes("BM"), number(54 + palette.size() + stride * height, 4), number(0, 4),
                   number(54 + palette.size(), 4), number(40, 4), number(width, 4),
                   number(height, 4), number(1, 2), number(8, 2), number(0, 4), number(0, 4),
                   number(0, 8), number(256, 4), number(0, 4), palette,
                   random_values(stride * height, 256, seed)});
}

/// An answer as it came: a record with its message.
struct Record {
    protocol::ImageRecord record;
    std::string message;
    [[nodiscard]] ImageHashed hashed() const { return static_cast<ImageHashed>(record.hashed); }
};

class ImagesJobTest : public testing::Test {
  protected:
    void begin(std::uint32_t threads = 2, std::uint32_t flags = 0) {
        records_.clear();
        batches_.clear();
        placed_ = {};
        is_away_ = {};
        done_.reset();
        results_ = 0;
        engine_.send(Operation::begin_images,
                     bytes_of(protocol::ImagesRequest{.wanted = hash_all,
                                                      .flags = flags,
                                                      .threads = threads,
                                                      .unused = 0,
                                                      .max_bytes = 1 << 20,
                                                      .max_pixels = 1'000'000}));
    }

    void send_arena(const protocol::Arena& arena) {
        engine_.send(Operation::arena, bytes_of(arena), memory_.number());
    }

    /// An arena of the whole memory.
    void send_arena(std::uint32_t batch = protocol::max_images, bool waits = false) {
        send_arena(test::arena_of(arena_bytes, parts, batch, waits));
    }

    void send_image(std::uint32_t number, const Bytes& image, bool to_arena = true) {
        const protocol::ImageHeader header{.number = number,
                                           .flags = to_arena ? protocol::image_to_arena : 0U,
                                           .length = image.size()};
        engine_.send(Operation::image, bytes_of(header, std::as_bytes(std::span(image))));
    }

    void free_part(std::uint32_t part) {
        engine_.send(Operation::free_part,
                     bytes_of(protocol::ArenaPart{.part = part, .pictures = 0}));
    }

    /// Takes what comes until a condition holds.
    template <typename Condition>
    void receive_until(Condition condition) {
        while (!condition() && receive_one()) {
        }
        EXPECT_TRUE(condition());
    }

    /// Takes answers until there are so many.
    void receive_answers(std::size_t count) {
        receive_until([&] { return records_.size() >= count; });
    }

    /// Takes the next frame; false at the end.
    bool receive_one() {
        const auto frame = engine_.receive();
        if (!frame) {
            return false;
        }
        const std::vector<std::byte>& payload = frame->payload;
        switch (frame->operation) {
        case Operation::result:
            results_ += payload.size();
            take_records(payload);
            return true;
        case Operation::batch:
            EXPECT_EQ(payload.size(), sizeof(protocol::ArenaPart));
            take_batch(payload);
            return true;
        case Operation::done:
            EXPECT_EQ(payload.size(), sizeof(protocol::ImagesDone));
            std::memcpy(&done_.emplace(), payload.data(), sizeof(protocol::ImagesDone));
            return true;
        default:
            ADD_FAILURE() << "operation " << static_cast<int>(frame->operation);
            return false;
        }
    }

    void take_records(std::span<const std::byte> payload) {
        EXPECT_LE(payload.size(), protocol::max_image_results);
        while (!payload.empty()) {
            Record record{};
            ASSERT_GE(payload.size(), sizeof record.record);
            std::memcpy(&record.record, payload.data(), sizeof record.record);
            const std::uint32_t size = protocol::image_record_size(record.record.message_length);
            ASSERT_GE(payload.size(), size);
            record.message.assign(reinterpret_cast<const char*>(payload.data()) +
                                      sizeof record.record,
                                  record.record.message_length);
            payload = payload.subspan(size);
            if (record.hashed() == ImageHashed::placed) {
                ++placed_[record.record.part];
                EXPECT_FALSE(is_away_[record.record.part]) << "it is with the device";
            }
            EXPECT_TRUE(records_.try_emplace(record.record.number, record).second) << "twice";
        }
    }

    /// A part that is complete: with all its pictures, which have come before it.
    void take_batch(std::span<const std::byte> payload) {
        protocol::ArenaPart part{};
        std::memcpy(&part, payload.data(), sizeof part);
        ASSERT_LT(part.part, parts);
        EXPECT_GT(part.pictures, 0U);
        EXPECT_EQ(part.pictures, placed_[part.part]);
        placed_[part.part] = 0;
        is_away_[part.part] = true;
        batches_.push_back(part);
    }

    /// Frees a part that was told of.
    void give_back(std::uint32_t part) {
        is_away_[part] = false;
        free_part(part);
    }

    void end() {
        engine_.send(Operation::end);
        receive_until([&] { return done_.has_value(); });
        if (done_) {
            EXPECT_EQ(done_->done.result_bytes, results_);
            EXPECT_EQ(done_->images, records_.size());
        }
    }

    /// The picture that an image has become, as the engine with the device would read it.
    [[nodiscard]] DevicePicture placed(std::uint32_t number) const {
        const auto& record = records_.at(number).record;
        EXPECT_EQ(records_.at(number).hashed(), ImageHashed::placed) << "image " << number;
        const auto picture = picture_of(record.picture, arena_->part(record.part), true);
        EXPECT_TRUE(picture) << "image " << number;
        return picture.value_or(DevicePicture{});
    }

    /// Expects an image to be there pixel by pixel.
    void expect_pixels(std::uint32_t number, const Bytes& image) const {
        const DevicePicture picture = placed(number);
        const GreyPicture expected = picture_of(image);
        EXPECT_FALSE(picture.jpeg);
        EXPECT_EQ(picture.width, expected.width);
        EXPECT_EQ(picture.height, expected.height);
        EXPECT_TRUE(std::ranges::equal(picture.bytes, expected.pixels)) << "image " << number;
        EXPECT_EQ(records_.at(number).record.result.width, expected.width);
        EXPECT_EQ(records_.at(number).record.result.height, expected.height);
    }

    /// Expects an image to be hashed by the engine itself.
    void expect_hashed(std::uint32_t number, const Bytes& image) const {
        const Record& record = records_.at(number);
        const HashedImage expected = hash_image(image, hash_all, {});
        EXPECT_EQ(record.hashed(), ImageHashed::yes) << "image " << number;
        EXPECT_EQ(record.record.result.dhash, expected.hashes.dhash);
        EXPECT_EQ(record.record.result.phash, expected.hashes.phash);
        EXPECT_EQ(record.record.result.whash16, expected.hashes.whash16);
        const protocol::Picture none{};
        EXPECT_EQ(std::memcmp(&record.record.picture, &none, sizeof none), 0);
    }

    /// Whether something comes within so many milliseconds.
    [[nodiscard]] bool anything_comes(int milliseconds) const {
        pollfd waiting{.fd = engine_.socket(), .events = POLLIN, .revents = 0};
        return poll(&waiting, 1, milliseconds) > 0;
    }

    Descriptor memory_ = test::make_arena_memory(arena_bytes);
    std::optional<MappedArena> arena_{std::in_place, memory_, test::arena_of(arena_bytes, parts)};
    std::map<std::uint32_t, Record> records_;
    std::array<std::uint32_t, parts> placed_{}; // pictures in a part since it was free
    std::array<bool, parts> is_away_{};
    std::vector<protocol::ArenaPart> batches_;
    std::optional<protocol::ImagesDone> done_;
    std::uint64_t results_ = 0;
    std::unique_ptr<MappedArena> held_;                     // by the engine
    std::atomic<const std::uint8_t*> held_bytes_ = nullptr; // mapped at the end of the last request
    test::EngineThread engine_{[this](Channel& channel, const protocol::FrameHeader& begin) {
        answer_images(channel, begin, held_);
        held_bytes_ = held_ ? held_->bytes().data() : nullptr;
    }};
};

TEST_F(ImagesJobTest, PutsPicturesWhereTheySayTheyAre) {
    begin();
    send_arena();
    std::vector<Bytes> images;
    for (std::uint32_t i = 0; i < 40; ++i) {
        images.push_back(noise_bmp(1 + 7 * i % 90, 1 + 11 * i % 70, i));
        send_image(i, images.back());
    }
    // Nothing is lost of what is not given back, and the last part is told of without an END.
    receive_until([&] {
        return records_.size() == images.size() && placed_ == std::array<std::uint32_t, parts>{};
    });
    std::uint32_t count = 0;
    for (const protocol::ArenaPart& part : batches_) {
        count += part.pictures;
    }
    std::uint32_t expected = 0;
    for (std::uint32_t i = 0; i < images.size(); ++i) {
        if (records_.at(i).hashed() == ImageHashed::placed) {
            ++expected;
            expect_pixels(i, images[i]);
        } else {
            expect_hashed(i, images[i]);
        }
    }
    EXPECT_GT(count, 0U);
    EXPECT_EQ(count, expected);
    end();
    EXPECT_EQ(held_bytes_.load(), nullptr) << "it was for this request";
}

TEST_F(ImagesJobTest, PutsTheCoefficientsOfJpegs) {
    begin();
    send_arena();
    std::vector<Bytes> images;
    for (const bool progressive : {false, true}) {
        for (const int sampling : {1, 2}) {
            JpegShape shape;
            shape.h_sampling = sampling;
            shape.v_sampling = sampling;
            shape.progressive = progressive;
            images.push_back(make_jpeg(shape));
        }
    }
    for (std::uint32_t i = 0; i < images.size(); ++i) {
        send_image(i, images[i]);
    }
    receive_answers(images.size());
    std::vector<DevicePicture> pictures;
    for (std::uint32_t i = 0; i < images.size(); ++i) {
        pictures.push_back(placed(i));
        ASSERT_TRUE(pictures.back().jpeg) << i;
        Bytes expected;
        const auto layout = read_jpeg_coefficients(images[i], {}, [&](std::uint64_t bytes) {
            expected.resize(bytes);
            return expected.data();
        });
        EXPECT_EQ(pictures.back().jpeg, layout);
        EXPECT_TRUE(std::ranges::equal(pictures.back().bytes, expected)) << i;
    }
    for (const auto& device : test::open_tested_devices()) {
        const auto hashes = DeviceHasher(*device, hash_all, 0).hash(pictures);
        for (std::uint32_t i = 0; i < images.size(); ++i) {
            ASSERT_TRUE(hashes[i]);
            EXPECT_EQ(*hashes[i], hash_image(images[i], hash_all, {}).hashes) << i;
        }
    }
    end();
}

TEST_F(ImagesJobTest, PutsJpegFilesWhereTheyAreToBeDecodedFast) {
    const Bytes image = make_jpeg({.width = 160, .height = 130});
    const std::vector<Bytes> images{
        joined({image, text_bytes("behind its end")}),
        make_jpeg({.width = 160, .height = 120}), // fast decoding is exact
        make_jpeg({.width = 160, .height = 130, .progressive = true}),
        Bytes(image.begin(), image.end() - 2)};
    for (const bool takes_files : {true, false}) {
        begin(2, protocol::hash_fast);
        protocol::Arena arena = test::arena_of(arena_bytes, parts);
        arena.jpeg_files = takes_files ? 1 : 0;
        send_arena(arena);
        for (std::uint32_t i = 0; i < images.size(); ++i) {
            send_image(i, images[i]);
            receive_until([&] { return batches_.size() > i; });
            const DevicePicture picture = placed(i);
            EXPECT_EQ(picture.is_file, takes_files && i == 0) << i;
            EXPECT_FALSE(picture.jpeg) << i;
            if (picture.is_file) {
                EXPECT_TRUE(std::ranges::equal(picture.bytes, image));
                EXPECT_EQ(picture.width, 160U);
                EXPECT_EQ(picture.height, 130U);
                EXPECT_EQ(records_.at(i).record.result.width, 160U);
                EXPECT_EQ(records_.at(i).record.result.height, 130U);
            }
            give_back(batches_.at(i).part);
        }
        EXPECT_EQ(records_.at(3).record.status, static_cast<std::uint16_t>(Fault::image_truncated));
        end();
    }
}

TEST_F(ImagesJobTest, HashesWhatIsNotForTheArena) {
    begin();
    const Bytes image = noise_bmp(50, 40, 1);
    send_image(0, image);
    receive_answers(1);
    expect_hashed(0, image); // there was no arena
    send_arena();
    send_image(1, image, false);
    send_image(2, image);
    const Bytes large = noise_bmp(400, part_bytes / 400 + 1, 2);
    send_image(3, large);
    send_image(4, text_bytes("no image"));
    receive_answers(5);
    expect_hashed(1, image);
    expect_pixels(2, image);
    expect_hashed(3, large); // than a part
    EXPECT_EQ(records_.at(4).hashed(), ImageHashed::no);
    EXPECT_EQ(records_.at(4).record.status, static_cast<std::uint16_t>(Fault::image_unsupported));
    end();
    ASSERT_EQ(batches_.size(), 1U);
    EXPECT_EQ(batches_[0].pictures, 1U);
}

TEST_F(ImagesJobTest, PutsWhatIsThereOfATruncatedPicture) {
    begin();
    send_arena();
    Bytes image = noise_bmp(60, 60, 4);
    image.resize(image.size() - 1000);
    send_image(0, image);
    receive_answers(1);
    EXPECT_EQ(records_.at(0).record.status, static_cast<std::uint16_t>(Fault::image_truncated));
    EXPECT_FALSE(records_.at(0).message.empty());
    const GreyPicture expected = picture_of(image, {.keep_truncated = true});
    EXPECT_TRUE(std::ranges::equal(placed(0).bytes, expected.pixels));
    end();
}

TEST_F(ImagesJobTest, FreePartsAreUsedAgain) {
    begin(1);
    send_arena(protocol::max_images, true);
    const std::uint32_t side = 200; // one is in a part, and no other beside it
    std::vector<Bytes> images;
    for (std::uint32_t i = 0; i < 8; ++i) {
        images.push_back(noise_bmp(side, side, i));
        send_image(i, images.back());
    }
    for (std::uint32_t given = 0; given < images.size(); ++given) {
        receive_until([&] { return batches_.size() > given; });
        ASSERT_GT(batches_.size(), given);
        EXPECT_EQ(batches_[given].pictures, 1U);
        expect_pixels(given, images[given]);
        give_back(batches_[given].part);
    }
    end();
    EXPECT_EQ(batches_.size(), images.size());
}

TEST_F(ImagesJobTest, WaitsForRoomOnlyWhereItShould) {
    const std::uint32_t side = 200;
    for (const bool waits : {false, true}) {
        begin(2);
        send_arena(protocol::max_images, waits);
        std::vector<Bytes> images;
        for (std::uint32_t i = 0; i < parts + 3; ++i) {
            images.push_back(noise_bmp(side, side, i));
            send_image(i, images.back());
        }
        if (!waits) {
            receive_answers(images.size());
            unsigned hashed = 0;
            for (std::uint32_t i = 0; i < images.size(); ++i) {
                if (records_.at(i).hashed() == ImageHashed::yes) {
                    expect_hashed(i, images[i]);
                    ++hashed;
                }
            }
            EXPECT_EQ(hashed, 3U);
        } else {
            receive_until([&] { return batches_.size() == parts; });
            EXPECT_EQ(records_.size(), parts);
            EXPECT_FALSE(anything_comes(50));
            for (std::size_t given = 0; given < 3; ++given) {
                give_back(batches_[given].part);
                receive_until([&] { return batches_.size() > given + parts; });
            }
            EXPECT_EQ(records_.size(), images.size());
        }
        end();
    }
}

TEST_F(ImagesJobTest, KeepsToTheBatch) {
    begin(2);
    send_arena(5, true);
    const Bytes image = noise_bmp(8, 8, 1);
    std::size_t given = 0;
    for (std::uint32_t i = 0; i < 100; ++i) {
        send_image(i, image);
        while (anything_comes(0) && receive_one()) {
        }
        while (given < batches_.size()) {
            give_back(batches_[given++].part);
        }
    }
    while (records_.size() < 100 && receive_one()) {
        while (given < batches_.size()) {
            give_back(batches_[given++].part);
        }
    }
    receive_until([&] { return placed_ == std::array<std::uint32_t, parts>{}; });
    EXPECT_GE(batches_.size(), 20U);
    for (const protocol::ArenaPart& part : batches_) {
        EXPECT_LE(part.pictures, 5U);
    }
    end();
}

TEST_F(ImagesJobTest, KeepsAnArenaThatIsUsedAgain) {
    const Bytes image = noise_bmp(30, 20, 3);
    protocol::Arena arena = test::arena_of(arena_bytes, parts);
    arena.kept = 1;
    const std::uint8_t* mapping = nullptr;
    for (std::uint32_t request = 0; request < 3; ++request) {
        begin();
        if (request < 2) {
            send_arena(arena);
        }
        send_image(request, image);
        receive_answers(1);
        if (request < 2) {
            expect_pixels(request, image);
        } else {
            expect_hashed(request, image); // it is not this request's
        }
        end();
        EXPECT_NE(held_bytes_.load(), nullptr);
        EXPECT_TRUE(request == 0 || held_bytes_.load() == mapping);
        mapping = held_bytes_.load();
    }
    // Another one takes its place, and goes with its request.
    memory_ = test::make_arena_memory(arena_bytes);
    arena_.emplace(memory_, test::arena_of(arena_bytes, parts));
    arena.number = 2;
    arena.kept = 0;
    begin();
    send_arena(arena);
    send_image(7, image);
    receive_answers(1);
    expect_pixels(7, image);
    end();
    EXPECT_EQ(held_bytes_.load(), nullptr);
}

TEST_F(ImagesJobTest, EndsPromptlyWhileDecodersWaitForRoom) {
    begin(2);
    send_arena(protocol::max_images, true);
    for (std::uint32_t i = 0; i < parts + 4; ++i) {
        send_image(i, noise_bmp(200, 200, i));
    }
    receive_until([&] { return batches_.size() == parts; });
    const auto closed = std::chrono::steady_clock::now();
    engine_.close();
    EXPECT_EQ(engine_.fault(), "a request ends without END");
    EXPECT_LT(std::chrono::steady_clock::now() - closed, std::chrono::seconds(10));
}

TEST_F(ImagesJobTest, LetsDecodersGoAtTheEnd) {
    begin(2);
    send_arena(protocol::max_images, true);
    std::vector<Bytes> images;
    for (std::uint32_t i = 0; i < parts + 2; ++i) {
        images.push_back(noise_bmp(200, 200, i));
        send_image(i, images.back());
    }
    end(); // no backend sends it now, but nothing may hang then
    EXPECT_EQ(records_.size(), images.size());
}

TEST_F(ImagesJobTest, EndsAtASecondArena) {
    begin();
    send_arena();
    send_arena();
    EXPECT_EQ(engine_.fault(), "a request with two arenas");
}

TEST_F(ImagesJobTest, EndsAtAnArenaLargerThanItsMemory) {
    begin();
    send_arena(test::arena_of(2 * arena_bytes, parts));
    EXPECT_EQ(engine_.fault(), "an arena is not as large as it should be");
}

TEST_F(ImagesJobTest, EndsAtAnArenaThatCannotBe) {
    begin();
    send_arena(test::arena_of(arena_bytes, 0));
    EXPECT_EQ(engine_.fault(), "an arena that cannot be");
}

TEST_F(ImagesJobTest, EndsAtAnArenaWithoutMemory) {
    begin();
    engine_.send(Operation::arena, bytes_of(test::arena_of(arena_bytes, parts)));
    EXPECT_EQ(engine_.fault(), "an arena that cannot be");
}

TEST_F(ImagesJobTest, EndsAtAPartThatWasNotGivenAway) {
    begin();
    send_arena();
    free_part(0);
    EXPECT_EQ(engine_.fault(), "a part of the arena is freed that was not given away");
}

TEST_F(ImagesJobTest, EndsAtAPartThatIsFreedTwice) {
    begin();
    send_arena();
    send_image(0, noise_bmp(9, 9, 1));
    receive_until([&] { return !batches_.empty(); });
    free_part(0);
    free_part(0);
    EXPECT_EQ(engine_.fault(), "a part of the arena is freed that was not given away");
}

TEST_F(ImagesJobTest, EndsAtAPartThereIsNot) {
    begin();
    send_arena();
    free_part(parts);
    EXPECT_EQ(engine_.fault(), "a part of the arena is freed that was not given away");
}

} // namespace
} // namespace vamhash
