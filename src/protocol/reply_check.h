// What an engine's reply must be for its backend to believe it.
//
// An engine reads untrusted images, so to the backend every byte that it sends is hostile. Each of
// these functions looks at one header or payload, given what was asked for, and returns what is
// wrong with it, as the detail of the error, or nullptr. They are apart from src/pg so that
// tests/fuzz can try them with millions of replies. A backend may longjmp out of anything: so there
// is plain data here, and nothing that throws or allocates. Nor is there a standard header that
// disagrees with postgres.h about the names of C functions.
#pragma once

#include "protocol/frame.h"

#include <cfloat>
#include <cstddef>

namespace vamhash::protocol {

/// The length of an ERROR's payload at most.
constexpr std::uint32_t max_error_length = 1000;

/// PROGRESS tells of the phases 1 to this one: JoinPhase (join/report.h).
constexpr std::uint32_t join_phases = 4;

/// Checks a header of any frame; `id` is that of the running request, 0 before the first.
inline const char* check_header(const FrameHeader& header, std::uint32_t id) {
    if (header.magic != magic) {
        return "bad magic number";
    }
    if (header.length > max_payload) {
        return "a frame is too long";
    }
    return header.id == id ? nullptr : "answer to another request";
}

/// Checks the header of a frame that answers a request.
inline const char* check_answer(const FrameHeader& header) {
    switch (static_cast<Operation>(header.operation)) {
    case Operation::result:
    case Operation::progress:
        return nullptr;
    case Operation::batch:
        return header.length == sizeof(ArenaPart) ? nullptr : "BATCH has a wrong length";
    case Operation::ask:
        return header.length == 0 ? nullptr : "ASK has a wrong length";
    case Operation::ask_device:
        return header.length == 0 ? nullptr : "ASK_DEVICE has a wrong length";
    case Operation::done:
        return header.length >= sizeof(Done) ? nullptr : "DONE has a wrong length";
    case Operation::error:
        return header.length <= max_error_length ? nullptr : "an error message is too long";
    default:
        return "unexpected operation";
    }
}

/// Checks what DONE says of the results; `results` is the bytes of payload in RESULT frames.
inline const char* check_done(const Done& done, std::uint64_t results) {
    return done.result_bytes == results ? nullptr : "DONE does not match the results";
}

/// Checks the hashes of an image. Width and height become SQL integers.
inline const char* check_hash_result(const HashResult& result) {
    constexpr std::uint32_t max_side = 0x7fffffff;

    if (result.width < 1 || result.width > max_side || result.height < 1 ||
        result.height > max_side || result.format[0] == '\0') {
        return "an image without size or format";
    }
    for (const char c : result.format) {
        if (c != '\0' && !((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))) {
            return "an image format that is not a word";
        }
    }
    return result.format[sizeof(result.format) - 1] == '\0' ? nullptr
                                                            : "an image format that does not end";
}

/// What was asked of an image.
struct ImageAsked {
    bool is_file;
    std::uint32_t parts; // of the arena into which its picture may be put; 0: into none
};

/// Checks one record about many images: what can be said of an image of which this was asked. Its
/// message is apart. Whether there is such a picture is for its reader to find out.
inline const char* check_image_record(const ImageRecord& record, const ImageAsked& asked) {
    const auto fault = static_cast<Fault>(record.status);
    const auto hashed = static_cast<ImageHashed>(record.hashed);
    bool possible = hashed == ImageHashed::no || hashed == ImageHashed::yes ||
                    (hashed == ImageHashed::placed && record.part < asked.parts);

    switch (fault) {
    case Fault::none:
        possible = possible && hashed != ImageHashed::no && record.message_length == 0;
        break;
    case Fault::image_truncated:
        break;
    case Fault::image_unreadable:
        possible = possible && asked.is_file && hashed == ImageHashed::no;
        break;
    case Fault::image_corrupt:
    case Fault::image_unsupported:
    case Fault::image_too_large:
    case Fault::out_of_memory:
    case Fault::internal:
        possible = possible && hashed == ImageHashed::no;
        break;
    default:
        possible = false;
    }
    if (!possible) {
        return "an image's status that cannot be";
    }
    return hashed == ImageHashed::no ? nullptr : check_hash_result(record.result);
}

/// Checks that a record with its message, whose header is whole, is within so many bytes.
inline const char* check_image_record_size(const ImageRecord& record, std::uint64_t left) {
    const bool whole = record.message_length <= max_image_message &&
                       left >= image_record_size(record.message_length);

    return whole ? nullptr : "a part of an image's record";
}

/// Checks a message that is no string: characters without a zero.
inline const char* check_message(const char* bytes, std::uint32_t length) {
    for (std::uint32_t i = 0; i < length; i++) {
        if (bytes[i] < ' ' || bytes[i] > '~') {
            return "a message that is not text";
        }
    }
    return nullptr;
}

/// Is it a text of printable characters, with a zero at its end?
template <std::size_t size>
bool is_words(const char (&text)[size]) {
    for (const char c : text) {
        if (c == '\0') {
            return true;
        }
        if (c < ' ' || c > '~') {
            return false;
        }
    }
    return false;
}

/// Checks the progress of a join.
inline const char* check_progress(const Progress& progress) {
    const bool possible = progress.phase >= 1 && progress.phase <= join_phases &&
                          (progress.total == 0 || progress.done <= progress.total) &&
                          progress.estimated_pairs >= -DBL_MAX &&
                          progress.estimated_pairs <= DBL_MAX && is_words(progress.device);

    return possible ? nullptr : "PROGRESS that cannot be";
}

/// Is it a number of seconds?
inline bool is_duration(double seconds) {
    return seconds >= 0 && seconds < 1e12;
}

/// Checks the report of a join of so many rows.
inline const char* check_report(const JoinDone& report, std::uint64_t left_rows,
                                std::uint64_t right_rows) {
    if (report.left_rows != left_rows || report.right_rows != right_rows) {
        return "a report of other rows";
    }
    const bool possible =
        is_words(report.isa) && is_words(report.scheme) && is_duration(report.grouping_seconds) &&
        is_duration(report.planning_seconds) && is_duration(report.comparing_seconds) &&
        is_duration(report.forming_seconds) && is_duration(report.device_seconds) &&
        is_words(report.device) && is_words(report.fallback) && report.holds_device <= 1;

    return possible ? nullptr : "a report that cannot be";
}

/// More devices than a machine has.
constexpr std::uint32_t max_devices = 256;

/// Checks a record of a device, before which so many came.
inline const char* check_device(const DeviceRecord& device, std::uint32_t before) {
    constexpr std::uint64_t max_bytes = 0x7fffffffffffffff; // an SQL bigint
    const bool words = is_words(device.backend) && is_words(device.name) &&
                       is_words(device.capability) && is_words(device.driver) &&
                       is_words(device.reason);
    const bool possible = words && device.backend[0] != '\0' && device.usable <= 1 &&
                          device.device_id >= (device.usable == 1 ? 0 : -1) &&
                          device.memory_bytes <= max_bytes &&
                          (device.free_bytes <= max_bytes || device.free_bytes == unknown_bytes);

    if (before >= max_devices) {
        return "more devices than there can be";
    }
    return possible ? nullptr : "a device that cannot be";
}

/// Checks the report of many images.
inline const char* check_images_report(const ImagesDone& report) {
    const bool possible = is_duration(report.reading_seconds) &&
                          is_duration(report.decoding_seconds) && report.threads <= 0x7fffffff;

    return possible ? nullptr : "a report that cannot be";
}

/// Checks what is said of a device that is to hash pictures.
inline const char* check_device_ready(const DeviceReady& ready) {
    const bool possible =
        is_words(ready.device) && is_words(ready.reason) && is_words(ready.no_jpeg_files);

    return possible ? nullptr : "a device that cannot be";
}

/// Checks the report of so many pictures.
inline const char* check_pictures_report(const PicturesDone& report, std::uint64_t pictures) {
    const bool possible = report.pictures <= pictures && is_duration(report.device_seconds) &&
                          report.failures <= 1 && report.holds_device <= 1 &&
                          is_words(report.failure);

    return possible ? nullptr : "a report that cannot be";
}

/// Checks an answer about a path; errno is a number below 4096.
inline const char* check_open_record(const OpenRecord& record) {
    return record.error < 4096 ? nullptr : "an error of opening a file that cannot be";
}

/// A join of pairs, and how many more of them there can be.
struct PairsCheck {
    const PairsRequest* request;
    std::uint64_t left_rows;
    std::uint64_t right_rows; // in a join of one set, its rows again
    std::uint64_t pairs_left; // most_pairs() at first
};

/// The number of pairs that the rows can make at most.
inline std::uint64_t most_pairs(const PairsCheck& check) {
    const std::uint64_t rows = check.left_rows;

    if (check.request->sets == 2) {
        return rows * check.right_rows;
    }
    return rows % 2 == 0 ? rows / 2 * (rows - 1) : rows * ((rows - 1) / 2);
}

/// Checks the next pair, with its distance in each column.
inline const char* check_pair(PairsCheck& check, const PairRecord& pair,
                              const std::uint8_t* distances) {
    if (check.pairs_left == 0) {
        return "more pairs than there are";
    }
    check.pairs_left--;
    if (pair.a >= check.left_rows || pair.b >= check.right_rows ||
        (check.request->sets == 1 && pair.a >= pair.b)) {
        return "a pair of rows that are not there";
    }
    for (std::uint32_t i = 0; i < check.request->columns; i++) {
        if (distances[i] > check.request->thresholds[i]) {
            return "a pair beyond the distance asked for";
        }
    }
    return nullptr;
}

/// Checks a row before ASK, of so many rows of the join. `next` is the least number that it may
/// have, and becomes that of the row after it.
inline const char* check_grouped_row(const GroupedRow& row, std::uint64_t rows,
                                     std::uint64_t* next) {
    if (row.row < *next || row.row >= rows) {
        return "rows that are not there, or not in order";
    }
    *next = std::uint64_t{row.row} + 1;
    return nullptr;
}

/// Groups being received: what was asked for, and what the next member must fit to.
struct GroupsCheck {
    const GroupsRequest* request;
    std::uint64_t rows;
    std::uint32_t* ranks; // by row, from 1; 0: similar to none, or already a member of a group
    std::uint64_t ranked; // rows that had a rank at first
    GroupMember last;
    std::uint32_t group_rank; // the least of the last group
    std::uint32_t last_rank;
    std::uint32_t members; // of the last group, so far
    bool has_center;
};

/// The greatest distance that a member may have to its group's centre.
inline std::uint32_t max_member_distance(const GroupsRequest& request) {
    return request.method == static_cast<std::uint32_t>(GroupMethod::connected) ? 64
                                                                                : request.threshold;
}

/// The greatest distance that two members of a group may have.
inline std::uint32_t max_diameter(const GroupsRequest& request) {
    switch (static_cast<GroupMethod>(request.method)) {
    case GroupMethod::complete:
        return request.threshold;
    case GroupMethod::star:
        return request.threshold < 32 ? 2 * request.threshold : 64;
    default:
        return 64;
    }
}

/// Checks that the last group received is whole.
inline const char* check_group_end(const GroupsCheck& check) {
    const bool whole = check.members == check.last.size && (check.members == 0 || check.has_center);

    return whole ? nullptr : "a group that is not whole";
}

/// Checks a member by itself.
inline const char* check_member_alone(const GroupsCheck& check, const GroupMember& member) {
    if (member.row >= check.rows || check.ranks[member.row] == 0) {
        return "a member that is not there, or in two groups";
    }
    if (member.size < 2 || member.size > check.ranked) {
        return "a group of a size that cannot be";
    }
    if (member.diameter > max_diameter(*check.request) ||
        member.distance > max_member_distance(*check.request) ||
        member.distance > member.diameter) {
        return "a member beyond the distance asked for";
    }
    if (member.is_center > 1 || (member.is_center == 1 && member.distance != 0)) {
        return "a centre that is none";
    }
    return nullptr;
}

/// Checks that a member may follow those received before it. Takes its rank, so that it can be no
/// member again.
inline const char* check_member(GroupsCheck& check, const GroupMember& member) {
    if (const char* violation = check_member_alone(check, member)) {
        return violation;
    }
    const std::uint32_t rank = check.ranks[member.row];

    check.ranks[member.row] = 0;
    if (member.group != check.last.group) {
        if (const char* violation = check_group_end(check)) {
            return violation;
        }
        if (member.group != check.last.group + 1 || rank <= check.group_rank) {
            return "groups that are not in order";
        }
        check.group_rank = rank;
        check.members = 0;
        check.has_center = false;
    } else if (rank <= check.last_rank || check.members == 0) {
        return "members that are not in order";
    } else if (member.size != check.last.size || member.diameter != check.last.diameter) {
        return "members of one group that contradict each other";
    }
    if (member.is_center != 0 && check.has_center) {
        return "a group of two centres";
    }
    check.has_center = check.has_center || member.is_center != 0;
    check.last_rank = rank;
    check.last = member;
    return ++check.members > member.size ? "a group that is not whole" : nullptr;
}

} // namespace vamhash::protocol
