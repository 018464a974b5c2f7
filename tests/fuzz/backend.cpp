#include "backend.h"

#include <set>

namespace vamhash::fuzz {

using protocol::Operation;

namespace {

/// The structs that a payload is, as many as there are whole ones.
template <typename Record>
std::vector<Record> records_of(const Bytes& payload) {
    std::vector<Record> records(payload.size() / sizeof(Record));
    if (!records.empty()) {
        std::memcpy(records.data(), payload.data(), records.size() * sizeof(Record));
    }
    return records;
}

/// Whether a text that passed as words ends within its field, as what prints it relies on.
void check_text(std::span<const char> text) {
    require(std::find(text.begin(), text.end(), '\0') != text.end(), "a text without an end");
}

void check_pair_again(const PairsJob& job, const protocol::PairRecord& pair,
                      const std::uint8_t* distances) {
    const bool one_set = job.params.sets == 1;
    require(pair.a < job.left_rows, "a row a that is not there");
    require(pair.b < (one_set ? job.left_rows : job.right_rows), "a row b that is not there");
    require(!one_set || pair.a < pair.b, "a pair that is not in order");
    for (std::uint32_t i = 0; i < job.params.columns; ++i) {
        require(distances[i] <= job.params.thresholds[i], "a distance beyond the threshold");
    }
}

/// Groups that were let through are as the manual says: of two rows or more, which were asked
/// about, each in one group, with one centre, in the order of their ranks.
void check_groups_again(const std::vector<protocol::GroupMember>& members,
                        const std::vector<std::uint32_t>& ranks) {
    std::set<std::uint32_t> rows;
    std::uint32_t last_first_rank = 0;
    for (std::size_t first = 0, group = 1; first < members.size(); ++group) {
        const std::size_t size = members[first].size;
        require(size >= 2 && size <= members.size() - first, "a group that is not whole");
        require(ranks[members[first].row] > last_first_rank, "groups in no order");
        last_first_rank = ranks[members[first].row];
        unsigned centres = 0;
        for (std::size_t i = first; i < first + size; ++i) {
            const protocol::GroupMember& member = members[i];
            require(member.group == group && member.size == size, "a member of another group");
            require(rows.insert(member.row).second, "a row in two groups");
            require(ranks[member.row] != 0, "a row that was not asked about");
            require(i == first || ranks[member.row] > ranks[members[i - 1].row],
                    "members in no order");
            require(member.distance <= member.diameter && member.diameter <= 64,
                    "a distance that cannot be");
            centres += member.is_center;
        }
        require(centres == 1, "a group without one centre");
        first += size;
    }
}

} // namespace

void Backend::fail(Ending ending) {
    ending_ = ending;
}

bool Backend::check(const char* violation) {
    if (violation != nullptr) {
        violation_ = violation;
        fail(Ending::violation);
    }
    return violation == nullptr;
}

bool Backend::take(void* target, std::size_t length) {
    if (rest_.size() < length) {
        rest_ = {};
        fail(Ending::cut);
        return false;
    }
    if (length > 0) {
        std::memcpy(target, rest_.data(), length);
    }
    rest_ = rest_.subspan(length);
    return true;
}

void Backend::begin(std::uint32_t id) {
    id_ = id;
    results_ = 0;
    asked_device_ = false;
    ending_ = Ending::done;
}

/// The next frame of the answer: RESULT, PROGRESS, ASK, ASK_DEVICE or DONE; nothing where the
/// answer ends otherwise.
std::optional<Backend::Reply> Backend::receive() {
    protocol::FrameHeader header{};
    if (!take(&header, sizeof header) || !check(protocol::check_header(header, id_)) ||
        !check(protocol::check_answer(header))) {
        return std::nullopt;
    }
    Reply reply{.operation = static_cast<Operation>(header.operation),
                .payload = Bytes(header.length)};
    if (!take(reply.payload.data(), header.length)) {
        return std::nullopt;
    }
    if (reply.operation == Operation::error) {
        fail(Ending::error);
        return std::nullopt;
    }
    if (reply.operation == Operation::result) {
        results_ += header.length;
    }
    if (reply.operation == Operation::done) {
        protocol::Done done{};
        std::memcpy(&done, reply.payload.data(), sizeof done);
        if (!check(protocol::check_done(done, results_))) {
            return std::nullopt;
        }
    }
    return reply;
}

/// Answers ASK_DEVICE; false where the answer to the request ends.
bool Backend::answer_device() {
    if (!check(results_ > 0 || asked_device_ ? "ASK_DEVICE too late, or twice" : nullptr)) {
        return false;
    }
    asked_device_ = true;
    const std::optional<bool> granted = answer_device_();
    if (!granted) {
        fail(Ending::refused);
        return false;
    }
    device_granted_ = device_granted_ || *granted;
    return true;
}

bool Backend::check_report(const protocol::JoinDone& report, std::uint64_t left_rows,
                           std::uint64_t right_rows) {
    if (!check(protocol::check_report(report, left_rows, right_rows))) {
        return false;
    }
    check_text(report.isa);
    check_text(report.scheme);
    check_text(report.device);
    check_text(report.fallback);
    const bool has_device = report.device[0] != '\0' || report.holds_device != 0;
    return check(has_device && !device_granted_ ? "a report of a device that was not granted"
                                                : nullptr);
}

/// The same for a join: takes PROGRESS, and the report in DONE, and answers ASK_DEVICE.
std::optional<Backend::Reply> Backend::receive_of_join(std::uint64_t left_rows,
                                                       std::uint64_t right_rows) {
    for (;;) {
        auto reply = receive();
        if (!reply) {
            return std::nullopt;
        }
        if (reply->operation == Operation::done) {
            protocol::JoinDone report{};
            if (reply->payload.size() != sizeof report) {
                check("DONE has a wrong length");
                return std::nullopt;
            }
            std::memcpy(&report, reply->payload.data(), sizeof report);
            if (!check_report(report, left_rows, right_rows)) {
                return std::nullopt;
            }
            return reply;
        }
        if (reply->operation == Operation::ask_device) {
            if (!answer_device()) {
                return std::nullopt;
            }
            continue;
        }
        if (reply->operation != Operation::progress) {
            return reply;
        }
        protocol::Progress progress{};
        if (reply->payload.size() != sizeof progress) {
            check("PROGRESS has a wrong length");
            return std::nullopt;
        }
        std::memcpy(&progress, reply->payload.data(), sizeof progress);
        if (!check(protocol::check_progress(progress))) {
            return std::nullopt;
        }
        check_text(progress.device);
    }
}

Ending Backend::receive_hello() {
    protocol::FrameHeader header{};
    protocol::Hello hello{};
    id_ = 0;
    ending_ = Ending::done;
    if (take(&header, sizeof header) && check(protocol::check_header(header, 0))) {
        const bool is_hello = header.operation == static_cast<std::uint16_t>(Operation::hello) &&
                              header.length == sizeof hello;
        if (check(is_hello ? nullptr : "expected HELLO")) {
            take(&hello, sizeof hello);
        }
    }
    return ending_;
}

Ending Backend::receive_hash(std::uint32_t id) {
    begin(id);
    auto reply = receive();
    if (!reply) {
        return ending_;
    }
    protocol::HashResult result{};
    if (reply->operation != Operation::result || reply->payload.size() != sizeof result) {
        check("expected the hashes of one image");
        return ending_;
    }
    std::memcpy(&result, reply->payload.data(), sizeof result);
    if (!check(protocol::check_hash_result(result))) {
        return ending_;
    }
    check_text(result.format);
    require(static_cast<std::int32_t>(result.width) > 0 &&
                static_cast<std::int32_t>(result.height) > 0,
            "a size that is no SQL integer");
    reply = receive();
    if (reply &&
        (reply->operation != Operation::done || reply->payload.size() != sizeof(protocol::Done))) {
        check("expected DONE after the hashes of one image");
    }
    return ending_;
}

Ending Backend::receive_pairs(std::uint32_t id, const PairsJob& job) {
    begin(id);
    protocol::PairsCheck pairs{};
    pairs.request = &job.params;
    pairs.left_rows = job.left_rows;
    pairs.right_rows = job.params.sets == 1 ? job.left_rows : job.right_rows;
    pairs.pairs_left = protocol::most_pairs(pairs);
    const std::size_t size = protocol::pair_record_size(job.params.columns);
    for (;;) {
        const auto reply = receive_of_join(job.left_rows, job.right_rows);
        if (!reply || reply->operation == Operation::done) {
            return ending_;
        }
        if (reply->operation != Operation::result || reply->payload.size() % size != 0) {
            check("unexpected operation, or a part of a pair");
            return ending_;
        }
        for (std::size_t at = 0; at < reply->payload.size(); at += size) {
            protocol::PairRecord pair{};
            std::memcpy(&pair, reply->payload.data() + at, sizeof pair);
            const std::uint8_t* distances = reply->payload.data() + at + sizeof pair;
            if (!check(protocol::check_pair(pairs, pair, distances))) {
                return ending_;
            }
            check_pair_again(job, pair, distances);
        }
    }
}

/// The rows that the engine asks about; none where there is no such row, nothing where the answer
/// ends.
std::optional<std::vector<protocol::GroupedRow>> Backend::receive_rows(const GroupsJob& job) {
    std::vector<protocol::GroupedRow> rows;
    std::uint64_t next = 0;
    for (;;) {
        const auto reply = receive_of_join(job.rows, 0);
        if (!reply) {
            return std::nullopt;
        }
        if (reply->operation != Operation::result) {
            const bool asked = reply->operation == Operation::ask;
            if (asked ? rows.size() < 2 : !rows.empty()) {
                check(asked ? "ASK about no rows" : "DONE without ASK");
                return std::nullopt;
            }
            return rows;
        }
        if (reply->payload.size() % sizeof(protocol::GroupedRow) != 0) {
            check("a part of a row");
            return std::nullopt;
        }
        for (const auto& row : records_of<protocol::GroupedRow>(reply->payload)) {
            if (!check(protocol::check_grouped_row(row, job.rows, &next))) {
                return std::nullopt;
            }
            rows.push_back(row);
        }
    }
}

Ending Backend::receive_groups(std::uint32_t id, const GroupsJob& job) {
    begin(id);
    const auto asked = receive_rows(job);
    if (!asked || asked->empty()) {
        return ending_;
    }
    const auto given = job.rank_of(*asked);
    if (!given) {
        return Ending::refused;
    }
    require(given->size() == asked->size(), "a backend gives a rank for each row");
    std::vector<std::uint32_t> ranks(job.rows);
    for (std::size_t i = 0; i < asked->size(); ++i) {
        ranks[(*asked)[i].row] = (*given)[i];
    }
    std::vector<std::uint32_t> ranks_left = ranks;
    protocol::GroupsCheck groups{};
    groups.request = &job.params;
    groups.rows = job.rows;
    groups.ranks = ranks_left.data();
    groups.ranked = asked->size();
    std::vector<protocol::GroupMember> members;
    for (;;) {
        const auto reply = receive_of_join(job.rows, 0);
        if (!reply) {
            return ending_;
        }
        if (reply->operation == Operation::done) {
            break;
        }
        if (reply->operation != Operation::result ||
            reply->payload.size() % sizeof(protocol::GroupMember) != 0) {
            check("unexpected operation, or a part of a member");
            return ending_;
        }
        for (const auto& member : records_of<protocol::GroupMember>(reply->payload)) {
            if (!check(protocol::check_member(groups, member))) {
                return ending_;
            }
            members.push_back(member);
        }
    }
    if (check(protocol::check_group_end(groups))) {
        check_groups_again(members, ranks);
    }
    return ending_;
}

Ending Backend::receive_devices(std::uint32_t id) {
    begin(id);
    std::uint32_t count = 0;
    for (;;) {
        const auto reply = receive();
        if (!reply) {
            return ending_;
        }
        if (reply->operation != Operation::result) {
            const bool is_done = reply->operation == Operation::done &&
                                 reply->payload.size() == sizeof(protocol::Done);
            check(is_done ? nullptr : "expected DONE after the devices");
            return ending_;
        }
        if (!check(reply->payload.size() % sizeof(protocol::DeviceRecord) == 0
                       ? nullptr
                       : "a part of a device")) {
            return ending_;
        }
        for (const auto& device : records_of<protocol::DeviceRecord>(reply->payload)) {
            if (!check(protocol::check_device(device, count++))) {
                return ending_;
            }
            check_text(device.backend);
            check_text(device.name);
            check_text(device.capability);
            check_text(device.driver);
            check_text(device.reason);
            require(static_cast<std::int64_t>(device.memory_bytes) >= 0, "memory that is none");
        }
    }
}

/// The next frame of an answer that comes while the request is still sent: each must be whole in
/// the backend's buffer.
std::optional<Backend::Reply> Backend::receive_of_many() {
    constexpr std::size_t buffer = 8192;
    auto reply = receive();
    if (reply && sizeof(protocol::FrameHeader) + reply->payload.size() > buffer) {
        check("a frame is too long");
        return std::nullopt;
    }
    return reply;
}

/// Takes the records of a RESULT: of images that have no answer yet.
bool Backend::take_records(const Bytes& payload, ImagesJob& left,
                           std::array<std::uint64_t, protocol::max_parts>& placed) {
    for (std::size_t at = 0; at < payload.size();) {
        protocol::ImageRecord record{};
        const std::size_t rest = payload.size() - at;
        if (!check(rest < sizeof record ? "a part of an image's record" : nullptr)) {
            return false;
        }
        std::memcpy(&record, payload.data() + at, sizeof record);
        const auto image = left.images.find(record.number);
        if (!check(protocol::check_image_record_size(record, rest)) ||
            !check(image == left.images.end() ? "an answer about an image that was not sent"
                                              : nullptr) ||
            !check(protocol::check_image_record(record, image->second.asked)) ||
            !check(protocol::check_message(reinterpret_cast<const char*>(payload.data()) + at +
                                               sizeof record,
                                           record.message_length))) {
            return false;
        }
        if (record.hashed != static_cast<std::uint8_t>(protocol::ImageHashed::no)) {
            check_text(record.result.format);
            require(static_cast<std::int32_t>(record.result.width) > 0 &&
                        static_cast<std::int32_t>(record.result.height) > 0,
                    "a size that is no SQL integer");
        }
        if (record.hashed == static_cast<std::uint8_t>(protocol::ImageHashed::placed)) {
            require(record.part < left.parts, "a picture in no part");
            ++placed[record.part];
        }
        if (--image->second.count == 0) {
            left.images.erase(image);
        }
        at += protocol::image_record_size(record.message_length);
    }
    return true;
}

/// Takes BATCH: of all pictures that were put into a part since it was last told of.
bool Backend::take_batch(const Bytes& payload, const ImagesJob& job,
                         std::array<std::uint64_t, protocol::max_parts>& placed) {
    protocol::ArenaPart part{};
    std::memcpy(&part, payload.data(), sizeof part);
    if (!check(part.part >= job.parts ? "a part of the arena that there is not" : nullptr) ||
        !check(part.pictures == 0 || part.pictures != placed[part.part]
                   ? "a batch of other pictures than were placed"
                   : nullptr)) {
        return false;
    }
    placed[part.part] = 0;
    return true;
}

Ending Backend::receive_images(std::uint32_t id, const ImagesJob& job) {
    begin(id);
    ImagesJob left = job;
    std::array<std::uint64_t, protocol::max_parts> placed{};
    for (;;) {
        const auto reply = receive_of_many();
        if (!reply) {
            return ending_;
        }
        if (reply->operation == Operation::result) {
            if (!take_records(reply->payload, left, placed)) {
                return ending_;
            }
        } else if (reply->operation == Operation::batch) {
            if (!take_batch(reply->payload, job, placed)) {
                return ending_;
            }
        } else if (reply->operation == Operation::done) {
            protocol::ImagesDone report{};
            if (!check(left.images.empty() ? nullptr : "DONE before END") ||
                !check(reply->payload.size() == sizeof report ? nullptr
                                                              : "DONE has a wrong length")) {
                return ending_;
            }
            std::memcpy(&report, reply->payload.data(), sizeof report);
            check(protocol::check_images_report(report));
            return ending_;
        } else {
            check("unexpected operation");
            return ending_;
        }
    }
}

bool Backend::take_ready(const Bytes& payload) {
    protocol::DeviceReady ready{};
    if (!check(payload.size() == sizeof ready ? nullptr : "a device of a wrong length")) {
        return false;
    }
    std::memcpy(&ready, payload.data(), sizeof ready);
    if (!check(protocol::check_device_ready(ready))) {
        return false;
    }
    check_text(ready.device);
    check_text(ready.reason);
    check_text(ready.no_jpeg_files);
    return true;
}

bool Backend::take_pictures_done(const Bytes& payload, std::uint64_t pictures) {
    protocol::PicturesDone report{};
    if (!check(payload.size() == sizeof report ? nullptr : "DONE has a wrong length")) {
        return false;
    }
    std::memcpy(&report, payload.data(), sizeof report);
    if (!check(protocol::check_pictures_report(report, pictures))) {
        return false;
    }
    check_text(report.failure);
    require(report.pictures <= pictures && report.device_seconds >= 0 && report.failures <= 1,
            "a report that cannot be");
    const bool has_device = report.pictures > 0 || report.holds_device != 0;
    return check(has_device && !device_granted_ ? "a report of a device that was not granted"
                                                : nullptr);
}

Ending Backend::receive_pictures(std::uint32_t id, std::uint64_t pictures) {
    begin(id);
    bool is_ready = false;
    std::uint64_t left = pictures;
    for (;;) {
        const auto reply = receive_of_many();
        if (!reply) {
            return ending_;
        }
        if (reply->operation == Operation::ask_device) {
            if (!answer_device()) {
                return ending_;
            }
        } else if (reply->operation == Operation::result && !is_ready) {
            if (!take_ready(reply->payload)) {
                return ending_;
            }
            is_ready = true;
        } else if (reply->operation == Operation::result) {
            const auto hashes = records_of<protocol::PictureHashes>(reply->payload);
            if (!check(reply->payload.size() % sizeof(protocol::PictureHashes) == 0
                           ? nullptr
                           : "a part of a picture's hashes") ||
                !check(hashes.size() > left ? "hashes of more pictures than it was given"
                                            : nullptr)) {
                return ending_;
            }
            left -= hashes.size();
            for (const auto& picture : hashes) {
                constexpr auto last =
                    static_cast<std::uint32_t>(protocol::PictureStatus::impossible);
                if (!check(picture.status > last ? "a picture's status that cannot be" : nullptr)) {
                    return ending_;
                }
            }
        } else {
            const bool is_end = reply->operation == Operation::done && is_ready && left == 0;
            if (check(is_end ? nullptr : "DONE before END")) {
                take_pictures_done(reply->payload, pictures);
            }
            return ending_;
        }
    }
}

} // namespace vamhash::fuzz
