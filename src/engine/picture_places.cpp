#include "engine/picture_places.h"

#include <algorithm>

namespace vamhash {

namespace {

/// Pictures that are worth a batch of their own where the device has nothing to do.
constexpr std::uint32_t few_pictures = 8;

} // namespace

PicturePlaces::PicturePlaces(const MappedArena& arena, Closed closed)
    : batch_(arena.arena().batch), take_files_(arena.arena().jpeg_files != 0),
      closed_(std::move(closed)), parts_(arena.arena().parts), waits_(arena.arena().waits != 0) {
    for (std::uint32_t i = 0; i < parts_.size(); ++i) {
        parts_[i].bytes = arena.part(i);
    }
}

/// The part that is open, or is opened now; null where none can be.
PicturePlaces::Part* PicturePlaces::find_open() {
    const auto find = [this](State state) {
        const auto found = std::find_if(parts_.begin(), parts_.end(),
                                        [&](const Part& part) { return part.state == state; });
        return found == parts_.end() ? nullptr : &*found;
    };
    Part* part = find(State::open);
    if (part == nullptr && (part = find(State::free)) != nullptr) {
        *part = {.state = State::open, .bytes = part->bytes};
    }
    return part;
}

/// Whether the open part has room; one that has none, or is opened and used no more, is closed.
bool PicturePlaces::has_room(std::uint64_t bytes) {
    for (;;) {
        Part* const part = find_open();
        if (part == nullptr) {
            return false;
        }
        if (part->taken < batch_ && bytes <= part->bytes.size() - part->used) {
            return true;
        }
        close_if(true);
    }
}

std::optional<PicturePlace> PicturePlaces::take(std::uint64_t bytes) {
    Lock lock(mutex_);
    constexpr std::uint64_t multiple = protocol::picture_alignment;
    bytes = (bytes + multiple - 1) / multiple * multiple;
    if (bytes > parts_.front().bytes.size()) {
        return std::nullopt;
    }
    freed_.wait(lock, [&] { return has_room(bytes) || !waits_; });
    if (!has_room(bytes)) {
        return std::nullopt;
    }
    Part& part = *find_open();
    const PicturePlace place{.part = static_cast<std::uint32_t>(&part - parts_.data()),
                             .offset = part.used,
                             .bytes = part.bytes.subspan(part.used, bytes)};
    part.used += bytes;
    ++part.taken;
    return place;
}

/// Closes the open part if it has a picture, or will have one.
void PicturePlaces::close_if(bool condition) {
    for (std::uint32_t i = 0; i < parts_.size() && condition; ++i) {
        if (parts_[i].state == State::open && parts_[i].taken > 0) {
            parts_[i].state = State::closing;
            settle(i);
        } else if (parts_[i].state == State::open && parts_[i].used > 0) {
            parts_[i].used = 0; // all places were dropped
        }
    }
}

/// Gives a part away if it is closing and complete.
void PicturePlaces::settle(std::uint32_t number) {
    Part& part = parts_[number];
    if (part.state != State::closing || part.put < part.taken) {
        return;
    }
    if (part.put == 0) {
        part.state = State::free;
        freed_.notify_all();
        return;
    }
    part.state = State::closed;
    ++closed_parts_;
    closed_(number, part.put);
}

void PicturePlaces::put(const PicturePlace& place) {
    const Lock lock(mutex_);
    Part& part = parts_[place.part];
    ++part.put;
    settle(place.part);
    close_if(closed_parts_ == 0 && part.state == State::open && part.put >= few_pictures);
}

void PicturePlaces::drop(const PicturePlace& place) {
    const Lock lock(mutex_);
    Part& part = parts_[place.part];
    --part.taken;
    if (place.offset + place.bytes.size() == part.used) {
        part.used = place.offset;
    }
    settle(place.part);
}

void PicturePlaces::note_idle() {
    const Lock lock(mutex_);
    close_if(true);
}

void PicturePlaces::free(std::uint32_t part) {
    const Lock lock(mutex_);
    if (part >= parts_.size() || parts_[part].state != State::closed) {
        throw ChannelError("a part of the arena is freed that was not given away");
    }
    parts_[part].state = State::free;
    --closed_parts_;
    freed_.notify_all();
    const auto open = std::find_if(parts_.begin(), parts_.end(), [](const Part& other) {
        return other.state == State::open && other.put >= few_pictures;
    });
    close_if(closed_parts_ == 0 && open != parts_.end());
}

void PicturePlaces::let_go() {
    const Lock lock(mutex_);
    waits_ = false;
    freed_.notify_all();
}

} // namespace vamhash
