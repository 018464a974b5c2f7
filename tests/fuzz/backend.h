// A backend's end of the protocol: reads an engine's replies as src/pg does, by the checks of
// protocol/reply_check.h. Whatever these let through is looked at again here, in another way.
#pragma once

#include "fuzz.h"
#include "protocol/reply_check.h"

#include <array>
#include <functional>
#include <map>
#include <optional>

namespace vamhash::fuzz {

/// How the answer to a request ended.
enum class Ending {
    done,      // well
    error,     // with the engine's own error
    violation, // with a reply that no engine may send
    cut,       // with the end of the replies
    refused    // by the backend: a key with several hashes, or no answer about a device
};

struct PairsJob {
    protocol::PairsRequest params;
    std::uint64_t left_rows;
    std::uint64_t right_rows;
};

/// Groups to be received. `rank_of` is called with the rows that the engine asks about, and gives
/// as many ranks, or nothing to end the request.
struct GroupsJob {
    protocol::GroupsRequest params;
    std::uint64_t rows;
    std::function<std::optional<std::vector<std::uint32_t>>(std::span<const protocol::GroupedRow>)>
        rank_of;
};

/// Many images, by their numbers. A hostile backend may have given several the same.
struct ImagesJob {
    struct Images {
        protocol::ImageAsked asked;
        std::uint64_t count;
    };
    std::map<std::uint32_t, Images> images;
    std::uint32_t parts; // of the arena; 0: there is none
};

/// Answers ASK_DEVICE: whether a device is granted, or nothing to end the request.
using DeviceAnswer = std::function<std::optional<bool>()>;

/// Reads what an engine sends.
class Backend {
  public:
    /// `answer_device` is called whenever an engine asks for a device.
    Backend(std::span<const std::uint8_t> replies, DeviceAnswer answer_device)
        : rest_(replies), answer_device_(std::move(answer_device)) {}

    /// Whether all replies have been read.
    [[nodiscard]] bool at_end() const { return rest_.empty(); }
    /// What was wrong, where the ending was a violation.
    [[nodiscard]] const char* violation() const { return violation_; }

    Ending receive_hello();
    Ending receive_hash(std::uint32_t id);
    Ending receive_pairs(std::uint32_t id, const PairsJob& job);
    Ending receive_groups(std::uint32_t id, const GroupsJob& job);
    Ending receive_devices(std::uint32_t id);
    Ending receive_images(std::uint32_t id, const ImagesJob& job);
    /// Of so many pictures, which an engine is to hash on a device.
    Ending receive_pictures(std::uint32_t id, std::uint64_t pictures);

  private:
    struct Reply {
        protocol::Operation operation;
        Bytes payload; // in memory of its own length
    };

    std::optional<Reply> receive();
    std::optional<Reply> receive_of_many();
    std::optional<Reply> receive_of_join(std::uint64_t left_rows, std::uint64_t right_rows);
    bool take(void* target, std::size_t length);
    bool check(const char* violation);
    bool check_report(const protocol::JoinDone& report, std::uint64_t left_rows,
                      std::uint64_t right_rows);
    bool answer_device();
    void begin(std::uint32_t id);
    void fail(Ending ending);
    bool take_records(const Bytes& payload, ImagesJob& left,
                      std::array<std::uint64_t, protocol::max_parts>& placed);
    bool take_batch(const Bytes& payload, const ImagesJob& job,
                    std::array<std::uint64_t, protocol::max_parts>& placed);
    bool take_ready(const Bytes& payload);
    bool take_pictures_done(const Bytes& payload, std::uint64_t pictures);
    std::optional<std::vector<protocol::GroupedRow>> receive_rows(const GroupsJob& job);

    std::span<const std::uint8_t> rest_;
    DeviceAnswer answer_device_;
    bool asked_device_ = false;   // in this request
    bool device_granted_ = false; // ever
    std::uint32_t id_ = 0;
    std::uint64_t results_ = 0; // bytes
    Ending ending_ = Ending::done;
    const char* violation_ = nullptr;
};

} // namespace vamhash::fuzz
