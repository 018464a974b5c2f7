#include "engine/arena.h"

#include <new>
#include <sys/mman.h>
#include <sys/stat.h>
#include <utility>

namespace vamhash {

namespace {

void* room = nullptr; // reserved, with nothing mapped in it
bool room_is_used = false;

std::uint64_t part_bytes(const protocol::Arena& arena) {
    return arena.bytes / arena.parts;
}

bool is_possible(const protocol::Arena& arena) {
    return arena.parts >= 1 && arena.parts <= protocol::max_parts && arena.bytes > 0 &&
           arena.bytes <= protocol::max_arena && arena.bytes % arena.parts == 0 &&
           part_bytes(arena) % protocol::picture_alignment == 0 && arena.batch >= 1 &&
           arena.batch <= protocol::max_images && arena.jpeg_files <= 1;
}

} // namespace

void reserve_arena_room() {
    void* const place = mmap(nullptr, protocol::max_arena, PROT_NONE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    room = place == MAP_FAILED ? nullptr : place;
}

MappedArena::MappedArena(const Descriptor& memory, const protocol::Arena& arena) : arena_(arena) {
    struct stat status {};
    if (fstat(memory.number(), &status) != 0 || std::cmp_not_equal(status.st_size, arena.bytes)) {
        throw ChannelError("an arena is not as large as it should be");
    }
    const bool in_room = room != nullptr && !room_is_used;
    void* const place = mmap(in_room ? room : nullptr, arena.bytes, PROT_READ | PROT_WRITE,
                             MAP_SHARED | (in_room ? MAP_FIXED : 0), memory.number(), 0);
    if (place == MAP_FAILED) {
        throw std::bad_alloc();
    }
    room_is_used = room_is_used || in_room;
    bytes_ = {static_cast<std::uint8_t*>(place), arena.bytes};
}

MappedArena::~MappedArena() {
    if (bytes_.data() != room) {
        munmap(bytes_.data(), bytes_.size());
        return;
    }
    // The room stays taken.
    room_is_used =
        mmap(room, bytes_.size(), PROT_NONE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED;
}

std::span<std::uint8_t> MappedArena::part(std::uint32_t part) const {
    return bytes_.subspan(part * part_bytes(arena_), part_bytes(arena_));
}

void take_arena(Channel& channel, const protocol::FrameHeader& frame,
                std::unique_ptr<MappedArena>& held, const std::function<void()>& before_unmapping) {
    const auto arena = channel.read_struct<protocol::Arena>(frame);
    const Descriptor memory = channel.take_descriptor();
    if (memory.number() < 0 || !is_possible(arena)) {
        throw ChannelError("an arena that cannot be");
    }
    if (held && held->arena().number == arena.number && held->arena().bytes == arena.bytes) {
        held->use_as(arena);
        return;
    }
    if (held) {
        before_unmapping();
        held.reset();
    }
    held = std::make_unique<MappedArena>(memory, arena);
}

} // namespace vamhash
