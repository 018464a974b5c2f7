// The words that vamhash.so and vamhash-engine speak over their socketpair.
//
// A frame is a 16-byte header and up to 1 MB of payload; both ends run on one machine, so numbers
// are in its byte order. The engine speaks first (HELLO). After that every exchange is a request
//
//     BEGIN_HASH | BEGIN_PAIRS,  DATA ...,  END
//
// answered, once END has been read and not before, by
//
//     RESULT ...,  DONE      or      ERROR  (also after some RESULTs)
//
// with the request's id in every frame. Because one end always listens while the other speaks, a
// full socket can never block both. To cancel, the backend kills the engine.
//
// This header is included on both sides of the border, so it holds plain structs and constants.
#pragma once

#include <cstdint>

namespace vamhash::protocol {

constexpr std::uint32_t version = 1;
constexpr std::uint32_t magic = 0x31484d56; // "VMH1" in memory on a little-endian machine
constexpr std::uint32_t max_payload = 1U << 20;
constexpr std::uint32_t max_columns = 8; // hashes compared for one row by a join

/// Descriptor at which the engine finds its end of the socketpair.
constexpr int engine_socket = 3;

enum class Operation : std::uint16_t {
    hello = 1,
    begin_hash = 2,
    begin_pairs = 3,
    data = 4,
    end = 5,
    result = 6,
    done = 7,
    error = 8,
};

/// Status of an ERROR frame. The first eight are ImageStatus (codec/image.h) to the number.
enum class Fault : std::uint16_t {
    none = 0,
    image_truncated = 1,
    image_corrupt = 2,
    image_unsupported = 3,
    image_too_large = 4,
    image_not_found = 5,
    image_denied = 6,
    image_timeout = 7,
    out_of_memory = 100,
    internal = 101,
    bad_request = 102,
};

struct FrameHeader {
    std::uint32_t magic;
    std::uint32_t length; // of the payload, bytes
    std::uint16_t operation;
    std::uint16_t status; // a Fault in ERROR frames, 0 in all others
    std::uint32_t id;     // of the request; 0 in HELLO
};
static_assert(sizeof(FrameHeader) == 16);

/// Payload of HELLO.
struct Hello {
    std::uint32_t protocol_version;
    char build[24];        // the extension's version, zero-filled
    std::uint32_t sandbox; // what the engine has put around itself: sandbox_* bits
};
static_assert(sizeof(Hello) == 32);
constexpr std::uint32_t sandbox_seccomp = 1;            // its filter of system calls stands
constexpr std::uint32_t sandbox_landlock = 2;           // its limits on files stand
constexpr std::uint32_t sandbox_without_libseccomp = 4; // the build has no filters

/// Payload of BEGIN_HASH. DATA frames then carry the encoded image, END nothing.
struct HashRequest {
    std::uint32_t wanted; // bits of HashKind (hash/image_hasher.h)
    std::uint32_t flags;  // hash_fast | hash_orient
    std::uint64_t max_bytes;
    std::uint64_t max_pixels;
};
static_assert(sizeof(HashRequest) == 24);
constexpr std::uint32_t hash_fast = 1;
constexpr std::uint32_t hash_orient = 2;

/// Payload of the one RESULT of a hash request.
struct HashResult {
    std::uint64_t dhash;
    std::uint64_t ahash;
    std::uint64_t whash;
    std::uint64_t phash;
    std::uint64_t whash16;
    std::uint32_t width;
    std::uint32_t height;
    char format[8]; // zero-filled
};
static_assert(sizeof(HashResult) == 56);

/// Payload of BEGIN_PAIRS. DATA frames then carry whole rows of `columns` 64-bit hashes each,
/// END nothing.
struct PairsRequest {
    std::uint32_t columns; // 1 .. max_columns
    std::uint32_t threads; // 0: all cores
    std::uint8_t thresholds[max_columns];
};
static_assert(sizeof(PairsRequest) == 16);

/// RESULT frames of a join carry whole records of pair_record_size(columns) bytes: this, then the
/// distance in every column, one byte each, padded to a multiple of 4.
struct PairRecord {
    std::uint32_t a; // row numbers from 0, a < b
    std::uint32_t b;
};

/// Size in bytes of one pair in a RESULT frame.
constexpr std::uint32_t pair_record_size(std::uint32_t columns) {
    return sizeof(PairRecord) + ((columns + 3) / 4 * 4);
}

/// Payload of DONE.
struct Done {
    std::uint64_t result_bytes; // of payload in the request's RESULT frames
};
static_assert(sizeof(Done) == 8);

} // namespace vamhash::protocol
