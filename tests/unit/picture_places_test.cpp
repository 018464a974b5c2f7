// Where pictures go in an arena, and when a part of it is complete.
#include "engine/picture_places.h"

#include "made_arena.h"

#include <atomic>
#include <chrono>
#include <gtest/gtest.h>
#include <thread>
#include <vector>

namespace vamhash {
namespace {

constexpr std::uint64_t part_bytes = 4096;

/// An arena of some parts, and the parts that were closed, with their pictures.
class Places {
  public:
    explicit Places(std::uint32_t parts, std::uint32_t batch = protocol::max_images,
                    bool waits = false)
        : arena_(test::make_arena_memory(parts * part_bytes),
                 test::arena_of(parts * part_bytes, parts, batch, waits)),
          places(arena_, [this](std::uint32_t part, std::uint32_t pictures) {
              closed.emplace_back(part, pictures);
          }) {}

  private:
    MappedArena arena_;

  public:
    std::vector<std::pair<std::uint32_t, std::uint32_t>> closed;
    PicturePlaces places;
};

using Closed = std::vector<std::pair<std::uint32_t, std::uint32_t>>;

TEST(PicturePlaces, PutOnePictureBehindAnother) {
    Places some(1);
    const auto first = some.places.take(100);
    const auto second = some.places.take(1);
    ASSERT_TRUE(first && second);
    EXPECT_EQ(first->offset, 0U);
    EXPECT_EQ(second->offset, 128U) << "a multiple of 64";
    EXPECT_EQ(second->bytes.data() - first->bytes.data(), 128);
    EXPECT_FALSE(some.places.take(part_bytes - 191)) << "there is another in it, and it is full";
    some.places.put(*second);
    EXPECT_TRUE(some.closed.empty()) << "one is being decoded";
    some.places.put(*first);
    EXPECT_EQ(some.closed, (Closed{{0, 2}}));
}

TEST(PicturePlaces, OpenTheNextPartWhereOneIsFull) {
    Places some(2);
    const auto first = some.places.take(part_bytes);
    const auto second = some.places.take(64);
    ASSERT_TRUE(first && second);
    EXPECT_NE(first->part, second->part);
    some.places.put(*first);
    EXPECT_EQ(some.closed, (Closed{{first->part, 1}}));
    EXPECT_FALSE(some.places.take(part_bytes)) << "no part is free";
    some.places.put(*second);
    EXPECT_EQ(some.closed.size(), 2U) << "that closed the other, in which it had no room";
    some.places.free(first->part);
    EXPECT_TRUE(some.places.take(part_bytes));
}

TEST(PicturePlaces, HaveNoRoomForWhatIsLargerThanAPart) {
    Places some(2, protocol::max_images, true);
    EXPECT_FALSE(some.places.take(part_bytes + 1)) << "nor wait for it";
}

TEST(PicturePlaces, CloseABatchThatIsFull) {
    Places some(2, 2);
    for (int i = 0; i < 3; ++i) {
        some.places.put(*some.places.take(64));
    }
    EXPECT_EQ(some.closed, (Closed{{0, 2}}));
    some.places.note_idle();
    EXPECT_EQ(some.closed, (Closed{{0, 2}, {1, 1}}));
}

TEST(PicturePlaces, CloseWhereNothingIsLeftToBeDecoded) {
    Places some(2);
    some.places.note_idle();
    EXPECT_TRUE(some.closed.empty()) << "nothing is in it";
    const auto first = some.places.take(64);
    some.places.put(*some.places.take(64));
    some.places.note_idle();
    EXPECT_TRUE(some.closed.empty());
    some.places.put(*first);
    EXPECT_EQ(some.closed, (Closed{{0, 2}}));
}

TEST(PicturePlaces, KeepTheDeviceBusy) {
    Places some(3);
    for (int i = 0; i < 20; ++i) {
        some.places.put(*some.places.take(64));
    }
    ASSERT_EQ(some.closed.size(), 1U) << "as soon as there are a few, and then no other";
    const std::uint32_t few = some.closed[0].second;
    EXPECT_LT(few, 20U);
    some.places.free(some.closed[0].first);
    ASSERT_EQ(some.closed.size(), 2U) << "what came meanwhile";
    EXPECT_EQ(some.closed[1].second, 20 - few);
}

TEST(PicturePlaces, ForgetWhatIsDropped) {
    Places some(1);
    const auto dropped = some.places.take(128);
    some.places.drop(*dropped);
    EXPECT_EQ(some.places.take(part_bytes)->offset, 0U) << "its room is there again";
    Places others(1);
    const auto kept = others.places.take(64);
    const auto between = others.places.take(64);
    const auto last = others.places.take(64);
    others.places.drop(*between);
    others.places.put(*kept);
    others.places.note_idle();
    EXPECT_TRUE(others.closed.empty());
    others.places.drop(*last);
    EXPECT_EQ(others.closed, (Closed{{0, 1}}));
    // A part that was closed for nothing is free.
    Places none(1);
    const auto only = none.places.take(64);
    EXPECT_FALSE(none.places.take(part_bytes));
    none.places.drop(*only);
    EXPECT_TRUE(none.closed.empty());
    EXPECT_TRUE(none.places.take(part_bytes));
}

TEST(PicturePlaces, WaitForRoomWhereTheyShould) {
    Places some(1, protocol::max_images, true);
    some.places.put(*some.places.take(part_bytes));
    std::atomic<bool> has_room = false;
    std::thread waits([&] { has_room = some.places.take(64).has_value(); });
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    const bool had_room = has_room;
    some.places.free(0); // it was closed for want of room
    waits.join();
    EXPECT_FALSE(had_room);
    EXPECT_TRUE(has_room);
    EXPECT_EQ(some.closed, (Closed{{0, 1}}));
}

TEST(PicturePlaces, DoNotWaitWhenLetGo) {
    Places some(1, protocol::max_images, true);
    some.places.put(*some.places.take(part_bytes));
    some.places.note_idle();
    std::atomic<bool> has_room = true;
    std::thread waits([&] { has_room = some.places.take(64).has_value(); });
    some.places.let_go();
    waits.join();
    EXPECT_FALSE(has_room);
}

TEST(PicturePlaces, RefuseToFreeWhatWasNotGivenAway) {
    Places some(2);
    EXPECT_THROW(some.places.free(0), ChannelError);
    EXPECT_THROW(some.places.free(2), ChannelError);
    some.places.put(*some.places.take(64));
    EXPECT_THROW(some.places.free(0), ChannelError);
}

TEST(MappedArena, RefusesMemoryOfAnotherSize) {
    const Descriptor memory = test::make_arena_memory(part_bytes);
    EXPECT_THROW(MappedArena(memory, test::arena_of(2 * part_bytes, 1)), ChannelError);
}

TEST(MappedArena, IsSharedAndHasParts) {
    const Descriptor memory = test::make_arena_memory(2 * part_bytes);
    const MappedArena one(memory, test::arena_of(2 * part_bytes, 2));
    const MappedArena other(memory, test::arena_of(2 * part_bytes, 2));
    one.part(1)[3] = 77;
    EXPECT_EQ(other.bytes()[part_bytes + 3], 77);
    EXPECT_EQ(other.part(0).size(), part_bytes);
}

} // namespace
} // namespace vamhash
