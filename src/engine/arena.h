// The memory that `decode` and `compute` share where a device hashes images (protocol/frame.h).
//
// The backend makes it and seals its size: no access to it can fail because somebody has cut it
// short. What lies in it can change at any time to the engine that reads it.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include "engine/channel.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <span>

namespace vamhash {

/// An arena in this process's address space.
class MappedArena {
  public:
    /// Throws std::bad_alloc where there is no room, ChannelError where it is not as large as it is
    /// said to be.
    MappedArena(const Descriptor& memory, const protocol::Arena& arena);
    ~MappedArena();
    MappedArena(const MappedArena&) = delete;
    MappedArena& operator=(const MappedArena&) = delete;

    [[nodiscard]] const protocol::Arena& arena() const { return arena_; }
    [[nodiscard]] std::span<std::uint8_t> bytes() const { return bytes_; }
    [[nodiscard]] std::span<std::uint8_t> part(std::uint32_t part) const;

    /// Divides the same memory otherwise, for another request.
    void use_as(const protocol::Arena& arena) { arena_ = arena; }

  private:
    protocol::Arena arena_;
    std::span<std::uint8_t> bytes_;
};

/// Takes room in the address space for one arena, in which it is then mapped: so it does not count
/// for a limit on the address space that is set later.
void reserve_arena_room();

/// Reads the ARENA frame whose header was read, and maps its memory, unless `held` is the same one
/// already. Calls `before_unmapping` if another one goes for it.
void take_arena(
    Channel& channel, const protocol::FrameHeader& frame, std::unique_ptr<MappedArena>& held,
    const std::function<void()>& before_unmapping = [] {});

} // namespace vamhash
