// Pictures of an arena, hashed by an engine with a device: PoCL's CPU, or a better one. Whoever
// wrote them may say anything of them.
#include "codec/jpeg_layout.h"
#include "engine/pictures_job.h"
#include "engine/place_image.h"

#include "engine_thread.h"
#include "made_arena.h"
#include "made_jpeg.h"
#include "tested_devices.h"

#include <cstring>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <optional>
#include <string>
#include <vector>

namespace vamhash {
namespace {

using protocol::Operation;
using protocol::PictureStatus;
using test::bytes_of;

constexpr std::uint64_t arena_bytes = 12 << 20;
constexpr std::uint32_t parts = 3;

class PicturesJobTest : public testing::Test {
  protected:
    void SetUp() override {
        const std::vector<DeviceListing> devices = test::tested_devices();
        if (devices.empty()) {
            GTEST_SKIP() << "there is no device, not even PoCL's";
        }
        backend_name_ = devices[0].backend;
    }

    [[nodiscard]] protocol::PicturesRequest request(protocol::DeviceUse use) const {
        protocol::PicturesRequest request{};
        request.wanted = hash_all;
        request.device.use = static_cast<std::uint32_t>(use);
        request.device.device_id = -1;
        request.device.backends[0] =
            backend_name_ == "cuda" ? protocol::Backend::cuda : protocol::Backend::opencl;
        return request;
    }

    /// The payload of the next frame, which must be this one; nothing at the end.
    std::optional<std::vector<std::byte>> receive(Operation operation) {
        auto frame = engine_.receive();
        if (!frame) {
            return std::nullopt;
        }
        EXPECT_EQ(frame->operation, operation);
        return std::move(frame->payload);
    }

    template <typename Item>
    Item receive_one(Operation operation) {
        Item item{};
        const auto payload = receive(operation);
        EXPECT_TRUE(payload && payload->size() == sizeof item);
        if (payload && payload->size() == sizeof item) {
            std::memcpy(&item, payload->data(), sizeof item);
        }
        return item;
    }

    void begin(protocol::DeviceUse use = protocol::DeviceUse::on, bool asks = true) {
        begin(request(use), asks);
    }

    /// Begins a request, and has it granted a device. Returns what is said of that.
    protocol::DeviceReady begin(const protocol::PicturesRequest& request, bool asks = true) {
        engine_.send(Operation::begin_pictures, bytes_of(request));
        if (asks) {
            EXPECT_TRUE(receive(Operation::ask_device));
            const Descriptor leave(open("/dev/null", O_RDONLY | O_CLOEXEC));
            test::BackendFrames().grant(1).end().send(engine_.socket(), leave.number());
        }
        const auto ready = receive_one<protocol::DeviceReady>(Operation::result);
        EXPECT_NE(ready.device[0], '\0') << ready.reason;
        engine_.send(Operation::arena, bytes_of(arena_.arena()), memory_.number());
        return ready;
    }

    void send_batch(std::uint32_t part, const std::vector<protocol::Picture>& pictures) {
        const protocol::PictureBatch batch{.part = part,
                                           .pictures = static_cast<std::uint32_t>(pictures.size())};
        engine_.send(Operation::pictures, bytes_of(batch, std::as_bytes(std::span(pictures))));
    }

    std::vector<protocol::PictureHashes> receive_hashes(std::size_t count) {
        std::vector<protocol::PictureHashes> hashes;
        while (hashes.size() < count) {
            const auto payload = receive(Operation::result);
            if (!payload || payload->size() % sizeof(protocol::PictureHashes) != 0) {
                ADD_FAILURE();
                break;
            }
            hashes.resize(hashes.size() + payload->size() / sizeof(protocol::PictureHashes));
            std::memcpy(std::as_writable_bytes(std::span(hashes)).data() +
                            hashes.size() * sizeof(protocol::PictureHashes) - payload->size(),
                        payload->data(), payload->size());
        }
        return hashes;
    }

    protocol::PicturesDone end() {
        engine_.send(Operation::end);
        return receive_one<protocol::PicturesDone>(Operation::done);
    }

    /// Sends a batch with which the conversation ends.
    std::string fault_of(Operation operation, const std::vector<std::byte>& payload) {
        begin();
        engine_.send(operation, payload);
        return engine_.fault();
    }

    std::string backend_name_;
    const Descriptor memory_ = test::make_arena_memory(arena_bytes);
    const MappedArena arena_{memory_, test::arena_of(arena_bytes, parts)};
    std::unique_ptr<MappedArena> held_; // by the engine
    EngineDevice device_;
    test::EngineThread engine_{[this](Channel& channel, const protocol::FrameHeader& begin) {
        answer_pictures(channel, begin, device_, held_);
    }};
};

void expect_hashes(const protocol::PictureHashes& hashes, const ImageHashes& expected,
                   const std::string& what) {
    EXPECT_EQ(hashes.status, static_cast<std::uint32_t>(PictureStatus::hashed)) << what;
    const ImageHashes own{.dhash = hashes.dhash,
                          .ahash = hashes.ahash,
                          .whash = hashes.whash,
                          .phash = hashes.phash,
                          .whash16 = hashes.whash16};
    EXPECT_EQ(own, expected) << what;
}

/// Images of several kinds.
std::vector<Bytes> some_images() {
    std::vector<Bytes> images;
    for (const int sampling : {1, 2}) {
        for (const std::uint32_t width : {20U, 64U, 301U}) {
            JpegShape shape;
            shape.width = width;
            shape.h_sampling = sampling;
            shape.v_sampling = sampling;
            images.push_back(make_jpeg(shape));
        }
    }
    return images;
}

TEST_F(PicturesJobTest, HashesWhatWasPlaced) {
    begin();
    std::vector<std::pair<std::uint32_t, std::uint32_t>> closed;
    PicturePlaces places(arena_, [&](std::uint32_t part, std::uint32_t pictures) {
        closed.emplace_back(part, pictures);
    });
    std::uint64_t count = 0;
    for (int batch = 0; batch < 5; ++batch) {
        closed.clear();
        std::vector<protocol::Picture> pictures;
        std::vector<ImageHashes> expected;
        for (const Bytes& image : some_images()) {
            expected.push_back(hash_image(image, hash_all, {}).hashes);
            const PlacedImage placed = place_image(image, hash_all, {}, places);
            ASSERT_TRUE(placed.picture);
            EXPECT_EQ(placed.picture->picture.form,
                      static_cast<std::uint8_t>(protocol::PictureForm::coefficients));
            pictures.push_back(placed.picture->picture);
            places.put(placed.picture->place);
        }
        places.note_idle();
        ASSERT_EQ(closed.size(), 1U);
        EXPECT_EQ(closed[0].second, pictures.size());
        send_batch(closed[0].first, pictures);
        const auto hashes = receive_hashes(pictures.size());
        for (std::size_t i = 0; i < hashes.size(); ++i) {
            expect_hashes(hashes[i], expected[i], "image " + std::to_string(i));
        }
        places.free(closed[0].first);
        count += pictures.size();
    }
    const protocol::PicturesDone done = end();
    EXPECT_EQ(done.pictures, count);
    EXPECT_EQ(done.batches, 5U);
    EXPECT_EQ(done.holds_device, 1U);
    EXPECT_GT(done.device_bytes, 0U);
    EXPECT_GT(done.device_seconds, 0);
    EXPECT_EQ(done.done.result_bytes,
              sizeof(protocol::DeviceReady) + count * sizeof(protocol::PictureHashes));
    // The device stays: the next request asks for none.
    begin(protocol::DeviceUse::on, false);
    EXPECT_EQ(end().pictures, 0U);
}

TEST_F(PicturesJobTest, HashesGreyPixels) {
    begin();
    constexpr std::uint32_t width = 90;
    constexpr std::uint32_t height = 50;
    const std::span<std::uint8_t> pixels = arena_.part(2).subspan(128, width * height);
    for (std::size_t i = 0; i < pixels.size(); ++i) {
        pixels[i] = static_cast<std::uint8_t>(i * i % 251);
    }
    ImageHasher hasher(hash_all);
    hasher.start(width, height);
    hasher.rows(pixels.data(), width, height);
    protocol::Picture picture{};
    picture.offset = 128;
    picture.width = width;
    picture.height = height;
    send_batch(2, {picture});
    expect_hashes(receive_hashes(1).at(0), hasher.finish(), "grey");
    end();
}

TEST_F(PicturesJobTest, RefusesPicturesThatCannotBe) {
    begin();
    protocol::Picture grey{};
    grey.width = 64;
    grey.height = 64;
    protocol::Picture jpeg = grey;
    jpeg.form = static_cast<std::uint8_t>(protocol::PictureForm::coefficients);
    jpeg.orientation = 1;
    jpeg.colour = static_cast<std::uint8_t>(JpegColour::ycc);
    std::fill(std::begin(jpeg.across), std::end(jpeg.across), std::uint8_t{1});
    std::fill(std::begin(jpeg.down), std::end(jpeg.down), std::uint8_t{1});
    std::vector<protocol::Picture> pictures;
    const auto add = [&](protocol::Picture picture, auto change) {
        change(picture);
        pictures.push_back(picture);
    };
    const auto part = arena_bytes / parts;
    add(grey, [](auto& p) { p.width = 0; });
    add(grey, [](auto& p) { p.height = 0; });
    add(grey, [](auto& p) { p.width = 1'000'001; });
    add(grey, [](auto& p) { p.height = 0xffffffff; });
    add(grey, [](auto& p) { p.width = p.height = 100'000; });
    add(grey, [](auto& p) { p.offset = 32; });
    add(grey, [&](auto& p) { p.offset = part - 64 * 64 + 64; });
    add(grey, [&](auto& p) { p.offset = part; });
    add(grey, [](auto& p) { p.offset = ~std::uint64_t{63}; });
    add(grey, [](auto& p) { p.form = 3; });
    // A file, which nobody has asked for.
    add(jpeg, [](auto& p) {
        p.form = static_cast<std::uint8_t>(protocol::PictureForm::jpeg_file);
        p.bytes = 100;
    });
    add(jpeg, [](auto& p) { p.colour = 5; });
    add(jpeg, [](auto& p) { p.orientation = 0; });
    add(jpeg, [](auto& p) { p.orientation = 9; });
    add(jpeg, [](auto& p) { p.across[0] = 0; });
    add(jpeg, [](auto& p) { p.across[1] = 3; });
    add(jpeg, [](auto& p) { p.down[2] = 2; });
    add(jpeg, [](auto& p) { p.width = 65'501; });
    add(jpeg, [&](auto& p) { p.offset = part - 3 * (128 + 64 * 64 * 2) + 64; });
    const std::size_t wrong = pictures.size();
    pictures.push_back(grey);
    pictures.push_back(jpeg);
    send_batch(0, pictures);
    const auto hashes = receive_hashes(pictures.size());
    for (std::size_t i = 0; i < hashes.size(); ++i) {
        EXPECT_EQ(hashes[i].status, static_cast<std::uint32_t>(i < wrong ? PictureStatus::impossible
                                                                         : PictureStatus::hashed))
            << i;
    }
    EXPECT_EQ(end().pictures, 2U);
}

TEST_F(PicturesJobTest, SaysWhyTheDeviceDecodesNoFiles) {
    if (backend_name_ != "opencl") {
        GTEST_SKIP() << "the backend opencl has no decoder of files";
    }
    protocol::PicturesRequest wanted = request(protocol::DeviceUse::on);
    wanted.jpeg_files = 1;
    EXPECT_STREQ(begin(wanted).no_jpeg_files, "the backend opencl has no decoder of JPEGs");
    EXPECT_EQ(end().pictures, 0U);
}

TEST_F(PicturesJobTest, EndsAtABatchOfNoPart) {
    EXPECT_EQ(fault_of(Operation::pictures,
                       bytes_of(protocol::PictureBatch{.part = parts, .pictures = 0})),
              "a batch that cannot be");
}

TEST_F(PicturesJobTest, EndsAtABatchOfOtherPicturesThanItSays) {
    EXPECT_EQ(
        fault_of(Operation::pictures, bytes_of(protocol::PictureBatch{.part = 0, .pictures = 3})),
        "a batch that cannot be");
}

TEST_F(PicturesJobTest, EndsAtAnArenaOfAnotherSize) {
    begin();
    protocol::Arena larger = test::arena_of(2 * arena_bytes, parts);
    larger.number = 2;
    engine_.send(Operation::arena, bytes_of(larger), memory_.number());
    EXPECT_EQ(engine_.fault(), "an arena is not as large as it should be");
}

TEST_F(PicturesJobTest, TellsThatThereIsNoDevice) {
    protocol::PicturesRequest wanted = request(protocol::DeviceUse::automatic);
    wanted.device.device_id = 77;
    engine_.send(Operation::begin_pictures, bytes_of(wanted));
    const auto ready = receive_one<protocol::DeviceReady>(Operation::result);
    EXPECT_EQ(ready.device[0], '\0');
    EXPECT_NE(std::string(ready.reason).find("no device 77"), std::string::npos);
    EXPECT_EQ(end().holds_device, 0U);
    wanted.device.use = static_cast<std::uint32_t>(protocol::DeviceUse::on);
    engine_.send(Operation::begin_pictures, bytes_of(wanted));
    EXPECT_EQ(engine_.fault(), "no device can be used");
}

} // namespace
} // namespace vamhash
