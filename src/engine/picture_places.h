// Where decoded pictures go in an arena: which part is open, and when one is complete.
//
// Pictures are put one behind the other into the open part. It is closed when the next one does not
// fit or it has as many as a batch may have; when nothing else is left to be decoded; and as soon
// as no other part is being hashed and it has a few. So the device has always something to do, and
// a batch is as large as what was decoded while the one before it was hashed.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include "engine/arena.h"

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <vector>

namespace vamhash {

/// Room for a picture.
struct PicturePlace {
    std::uint32_t part;
    std::uint64_t offset; // in the part
    std::span<std::uint8_t> bytes;
};

class PicturePlaces {
  public:
    /// Told of a part that is complete, on any thread, with the number of its pictures; must not
    /// throw.
    using Closed = std::function<void(std::uint32_t part, std::uint32_t pictures)>;

    /// The arena is used as long as this exists.
    PicturePlaces(const MappedArena& arena, Closed closed);

    /// Room for so many bytes; where all parts are full, waits or gives nothing, as the arena says.
    /// Nothing, too, where they are more than a part has. To be followed by put() or drop().
    std::optional<PicturePlace> take(std::uint64_t bytes);

    /// Whether JPEG files may be put where they are to be decoded fast.
    [[nodiscard]] bool take_files() const { return take_files_; }

    /// The picture at a place is there, and whoever is told of its part has been told of it.
    void put(const PicturePlace& place);
    /// There will be none.
    void drop(const PicturePlace& place);

    /// Nothing is being decoded, and nothing waits for it.
    void note_idle();

    /// A part has been hashed. Throws ChannelError if it was not.
    void free(std::uint32_t part);

    /// Nobody waits for room any more: there is no memory to wait with.
    void let_go();

  private:
    enum class State { free, open, closing, closed };
    struct Part {
        State state = State::free;
        std::span<std::uint8_t> bytes;
        std::uint64_t used = 0;
        std::uint32_t taken = 0; // places, and not dropped
        std::uint32_t put = 0;   // pictures
    };
    using Lock = std::unique_lock<std::mutex>;

    Part* find_open();
    bool has_room(std::uint64_t bytes);
    void close_if(bool condition);
    void settle(std::uint32_t number);

    const std::uint32_t batch_;
    const bool take_files_;
    const Closed closed_;
    std::mutex mutex_;
    std::condition_variable freed_;
    std::vector<Part> parts_;
    std::uint32_t closed_parts_ = 0;
    bool waits_;
};

} // namespace vamhash
