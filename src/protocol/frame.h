// The words that vamhash.so and vamhash-engine speak over their socketpair.
//
// A frame is a 16-byte header and up to 1 MB of payload; both ends run on one machine, so numbers
// are in its byte order. The engine speaks first (HELLO). After that every exchange is a request
//
//     BEGIN_HASH | BEGIN_PAIRS | BEGIN_GROUPS,  DATA ...,  END
//
// answered, once END has been read and not before, by
//
//     RESULT ...,  DONE      or      ERROR  (also after some RESULTs)
//
// with the request's id in every frame; PROGRESS may come between RESULTs. A join of two sets has a
// second DATA ..., END, of the right set. For groups the engine answers with the rows that are in
// one and with ASK instead of DONE; the backend ranks these rows' keys, sends the ranks as another
// DATA ..., END, and the engine answers with the groups. Where no row is in one, DONE comes at
// once.
//
// How many engines of a cluster may hold a device at once is limited, and only the backends can
// count them. An engine that holds none and would use one sends ASK_DEVICE, before any RESULT and
// once a request at most; the backend answers with a DeviceGrant in DATA, and END. If it grants
// one, the first byte of DATA brings a descriptor (SCM_RIGHTS): the engine counts for as long as it
// keeps that open, and so until it ends, however it does; it closes it when it has given the device
// back. BEGIN_DEVICES, END asks for a DeviceRecord of each device there is, in RESULT frames.
//
// Because one end always listens while the other speaks, a full socket can never block both. To
// cancel, the backend kills the engine.
//
// Many images are one request in which both ends speak at once:
//
//     BEGIN_IMAGES,  (IMAGE, DATA ...) ...,  END
//
// answered, while more images come, by RESULT ... and, once END has been read and every image has
// been answered, by DONE. An image's answer comes when it is known, not in the images' order. Here
// a full socket cannot block both ends because the backend never waits to send alone: it waits
// until it can send or receive, and takes what has come. The engine's writer thus always gets rid
// of what it has, whatever its reader is doing; and the reader waits for nothing but the decoders,
// which wait for nobody.
//
// Many files are opened by an engine that does nothing else, also while both ends speak:
//
//     BEGIN_OPEN,  PATH ...,  END
//
// answered by RESULT ... as files are opened, in any order, and once END has been read and every
// path has been answered, by DONE. With a RESULT's first byte come the descriptors that it tells
// of.
//
// Many images may be hashed on a device, which another engine has (`compute`). Both engines then
// share memory, the arena, which the backend makes and cannot be made larger or smaller. To the one
// that decodes the backend sends, between images,
//
//     ARENA      once, with a descriptor (SCM_RIGHTS) of the memory by its first byte
//     FREE_PART  of a batch that has been hashed
//
// The arena has parts. A picture is put into the part that is open, and its image answered with
// where it is instead of hashes. When a part is complete, BATCH tells of it, after the answers of
// all pictures in it; nothing more is written there before FREE_PART. Pictures of an image whose
// IMAGE does not say image_to_arena are hashed where they are decoded, and so are others for which
// there is no room.
//
// The engine with the device has a request beside it:
//
//     BEGIN_PICTURES,  ARENA,  PICTURES ...,  END
//
// answered by ASK_DEVICE, if it holds no device; by RESULT with a DeviceReady, before which the
// backend sends nothing more; by RESULT ... with a PictureHashes for each picture of each PICTURES,
// in order; and, once END has been read, by DONE. Here, too, the backend never waits to send alone.
// Where a device must be used and fails, ERROR ends the request at any time, and its engine is not
// used again.
//
// This header is included on both sides of the border, so it holds plain structs and constants.
#pragma once

#include <cstdint>

namespace vamhash::protocol {

constexpr std::uint32_t version = 7;
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
    begin_groups = 9,
    ask = 10,
    progress = 11,
    begin_images = 12,
    image = 13,
    begin_devices = 14,
    ask_device = 15,
    begin_open = 16,
    path = 17,
    begin_pictures = 18,
    arena = 19,
    free_part = 20,
    batch = 21,
    pictures = 22,
};

/// Status of an ERROR frame, and of one of many images. The first eight, and out_of_memory, are
/// ImageStatus (codec/image.h) to the number.
enum class Fault : std::uint16_t {
    none = 0,
    image_truncated = 1,
    image_corrupt = 2,
    image_unsupported = 3,
    image_too_large = 4,
    image_not_found = 5,
    image_denied = 6,
    image_timeout = 7,
    image_unreadable = 8, // a file that could not be read, or changed while it was
    out_of_memory = 100,
    internal = 101,
    bad_request = 102,
    too_many_pairs = 103,
    memory_limit = 104,
    method_missing = 105, // a join method whose plugin is not installed
    no_device = 106,      // a device must be used, and none can be
    device_failed = 107,  // a device must be used, and failed
};

/// An ERROR's payload is its message; a second line, where there is one, is a detail. Hints are the
/// backend's: it knows what a user can do.

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

/// Payload of BEGIN_IMAGES.
struct ImagesRequest {
    std::uint32_t wanted;  // as in HashRequest
    std::uint32_t flags;   // as in HashRequest
    std::uint32_t threads; // that decode, 1 or more
    std::uint32_t unused;
    std::uint64_t max_bytes; // of one image
    std::uint64_t max_pixels;
};
static_assert(sizeof(ImagesRequest) == 32);

/// Images that the backend may have sent and not got an answer for.
constexpr std::uint32_t max_images = 1024;

/// Files among them. The engine holds a descriptor of each; those it has read already count, too.
constexpr std::uint32_t max_files = 256;

/// Bytes of encoded images that one process keeps at once, the backend until they are answered, the
/// engine of files that it has read: room for so many threads to decode a photograph each, and for
/// some to come. Or one image, if it is larger.
constexpr std::uint64_t kept_image_bytes(std::uint32_t threads) {
    return (std::uint64_t{32} + std::uint64_t{8} * threads) << 20;
}

/// The payload of IMAGE begins with this. The image's first bytes follow in the same frame and the
/// others in DATA frames, as many as are needed for `length`. Or, with image_is_file, nothing
/// follows, and the frame's first byte brings a descriptor (SCM_RIGHTS) of an open regular file,
/// which must have this length to its end.
struct ImageHeader {
    std::uint32_t number; // the backend's: it comes back with the answer
    std::uint32_t flags;
    std::uint64_t length;
};
static_assert(sizeof(ImageHeader) == 16);
constexpr std::uint32_t image_is_file = 1;
constexpr std::uint32_t image_to_arena = 2; // its picture may be put into the arena

/// Parts of an arena, and pictures in them, begin at multiples of so many bytes.
constexpr std::uint32_t picture_alignment = 64;

/// Payload of ARENA. Parts are of equal size and follow one another.
struct Arena {
    std::uint64_t bytes;      // of all parts
    std::uint32_t parts;      // 1 .. max_parts
    std::uint32_t batch;      // pictures in a part at most, 1 .. max_images
    std::uint32_t waits;      // 1: an image waits for room; 0: it is hashed where it is decoded
    std::uint32_t number;     // of the arena in its session: an engine that has it keeps it mapped
    std::uint32_t kept;       // 1: it will be used again, by another request
    std::uint32_t jpeg_files; // 1: a JPEG that is to be decoded fast may be put as the file it is
};
static_assert(sizeof(Arena) == 32);
constexpr std::uint32_t max_parts = 4;
constexpr std::uint64_t max_arena = std::uint64_t{2} << 30;

/// Payload of FREE_PART, and of BATCH.
struct ArenaPart {
    std::uint32_t part;
    std::uint32_t pictures; // in it; 0 in FREE_PART
};
static_assert(sizeof(ArenaPart) == 8);

enum class PictureForm : std::uint8_t {
    grey = 0,         // pixels, row by row, upright
    coefficients = 1, // of a JPEG (codec/jpeg_layout.h)
    jpeg_file = 2,    // where the arena may have them
};

/// A picture in a part of the arena.
struct Picture {
    std::uint64_t offset; // in the part
    std::uint32_t width;  // pixels, as stored
    std::uint32_t height;
    std::uint8_t form;        // a PictureForm
    std::uint8_t colour;      // a JpegColour; of coefficients, as what follows it; otherwise 0
    std::uint8_t orientation; // of a file, too
    std::uint8_t unused;
    std::uint8_t across[4]; // JpegSampling of each component
    std::uint8_t down[4];
    std::uint32_t bytes; // of a file; otherwise 0
};
static_assert(sizeof(Picture) == 32);

enum class ImageHashed : std::uint8_t {
    no = 0,
    yes = 1,    // `result` holds what was wanted
    placed = 2, // the picture is in the arena; `result` holds all but hashes
};

/// RESULT frames of many images carry whole records: this, then `message_length` bytes that say
/// what is wrong, padded with zeros to a multiple of 8.
struct ImageRecord {
    std::uint32_t number;
    std::uint16_t status; // a Fault
    std::uint8_t hashed;  // an ImageHashed
    std::uint8_t part;    // of the arena, in which the picture is
    std::uint32_t message_length;
    std::uint32_t unused;
    HashResult result;
    Picture picture; // where it is in the arena; otherwise all zero
};
static_assert(sizeof(ImageRecord) == 104);
constexpr std::uint32_t max_image_message = 499;

/// Bytes of a record whose message has this length.
constexpr std::uint32_t image_record_size(std::uint32_t message_length) {
    return sizeof(ImageRecord) + ((message_length + 7) / 8 * 8);
}

/// The most payload in a RESULT frame of images or pictures: the backend takes each frame out of a
/// buffer in which it must be whole.
constexpr std::uint32_t max_image_results = 4096;

/// The payload of PATH begins with this; the path follows, absolute or empty, without a zero.
struct PathHeader {
    std::uint32_t number; // the backend's: it comes back with the answer
    std::uint32_t flags;
};
static_assert(sizeof(PathHeader) == 8);
constexpr std::uint32_t open_folder = 1; // only to know where it is, not to read it

/// Bytes of a path; the kernel takes no longer one.
constexpr std::uint32_t max_path = 4095;

/// Files that are being opened at once: a file server that takes 5 ms for each then gives 10,000 a
/// second.
constexpr std::uint32_t max_opening = 64;

/// RESULT frames of BEGIN_OPEN carry whole records, max_opened of them at most.
struct OpenRecord {
    std::uint32_t number;
    std::uint32_t error; // errno; 0: it is open, and the next of the frame's descriptors is its
};
static_assert(sizeof(OpenRecord) == 8);
constexpr std::uint32_t max_opened = 16;

/// How pairs are found; the numbers are JoinMethod's (join/similar_pairs.h).
enum class Method : std::uint32_t { automatic = 0, blocks = 1, brute = 2, faiss = 3 };

/// Whether a device is used: never; where it pays, and the CPU where it fails; always, or an ERROR.
enum class DeviceUse : std::uint32_t { off = 0, automatic = 1, on = 2 };

/// The plugins that know devices.
enum class Backend : std::uint8_t { none = 0, cuda = 1, opencl = 2 };
constexpr std::uint32_t backend_count = 2;

/// Which device a request may use.
struct DeviceSettings {
    std::uint64_t memory_limit;      // bytes on the device; 0: most of what is free
    std::uint64_t min_rows;          // with DeviceUse::automatic, fewer rows stay on the CPU
    std::uint32_t use;               // a DeviceUse
    std::int32_t device_id;          // as in DeviceRecord; -1: the first that is usable
    Backend backends[backend_count]; // in order of preference, ended by none
    std::uint8_t unused[6];
};
static_assert(sizeof(DeviceSettings) == 32);

/// Limits and means of a join.
struct JoinSettings {
    std::uint64_t memory_limit; // bytes; 0: half of what the engine finds it could have
    std::uint64_t max_pairs;    // 0: none
    std::uint32_t threads;      // 0: all cores
    std::uint32_t method;       // a Method
    DeviceSettings device;
};
static_assert(sizeof(JoinSettings) == 56);

/// The backend's answer to ASK_DEVICE.
struct DeviceGrant {
    std::uint32_t granted; // 1: the engine may hold a device, and has a descriptor; 0: not now
    std::uint32_t unused;
};
static_assert(sizeof(DeviceGrant) == 8);

/// Payload of BEGIN_PICTURES.
struct PicturesRequest {
    DeviceSettings device;
    std::uint32_t wanted;     // as in HashRequest
    std::uint32_t jpeg_files; // 1: among the pictures may be JPEG files, if the device decodes them
};
static_assert(sizeof(PicturesRequest) == 40);

/// The first RESULT of BEGIN_PICTURES.
struct DeviceReady {
    char device[128];           // as in JoinDone; all zero: there is none, and END must follow
    char reason[200];           // why, then
    std::uint64_t memory_bytes; // of the machine, or of the container: an arena may take some of it
    char no_jpeg_files[192];    // why the device does not decode JPEG files; all zero: it does
};
static_assert(sizeof(DeviceReady) == 528);

/// The payload of PICTURES begins with this; so many Pictures follow.
struct PictureBatch {
    std::uint32_t part;
    std::uint32_t pictures; // 1 .. max_images
};
static_assert(sizeof(PictureBatch) == 8);

enum class PictureStatus : std::uint32_t {
    hashed = 0,
    left = 1,       // it is for the CPU: too large for the device, or with coefficients that only
                    // libjpeg-turbo knows what to do with
    failed = 2,     // the device has failed; so will all that follow
    impossible = 3, // there is no such picture
};

/// RESULT frames of BEGIN_PICTURES after the first carry whole records, in the order of the
/// pictures.
struct PictureHashes {
    std::uint32_t status; // a PictureStatus
    std::uint32_t unused;
    std::uint64_t dhash;
    std::uint64_t ahash;
    std::uint64_t whash;
    std::uint64_t phash;
    std::uint64_t whash16;
};
static_assert(sizeof(PictureHashes) == 48);

/// RESULT frames of BEGIN_DEVICES carry whole records, of the CPU first. Texts are of
/// printable ASCII, zero-filled, and end with a zero.
struct DeviceRecord {
    char backend[8];            // cpu, cuda, opencl
    std::int32_t device_id;     // of the backend, from 0; -1: no device, `reason` says why
    std::uint32_t usable;       // 0 or 1
    std::uint64_t memory_bytes; // 0: not known
    std::uint64_t free_bytes;   // ~0: not known
    char name[96];
    char capability[48];
    char driver[64];
    char reason[200]; // why it is not usable, or is not used by itself
};
static_assert(sizeof(DeviceRecord) == 440);
constexpr std::uint64_t unknown_bytes = ~std::uint64_t{0};

/// Payload of BEGIN_PAIRS. DATA frames then carry whole rows of `columns` 64-bit hashes each,
/// END nothing.
struct PairsRequest {
    JoinSettings settings;
    std::uint32_t columns; // 1 .. max_columns
    std::uint32_t sets;    // 1: pairs within it; 2: of the left and the right one
    std::uint8_t thresholds[max_columns];
};
static_assert(sizeof(PairsRequest) == 72);

/// RESULT frames of a join carry whole records of pair_record_size(columns) bytes: this, then the
/// distance in every column, one byte each, padded to a multiple of 4.
struct PairRecord {
    std::uint32_t a; // row numbers from 0; within one set a < b
    std::uint32_t b;
};

/// Size in bytes of one pair in a RESULT frame.
constexpr std::uint32_t pair_record_size(std::uint32_t columns) {
    return sizeof(PairRecord) + ((columns + 3) / 4 * 4);
}

enum class GroupMethod : std::uint32_t { star = 0, complete = 1, connected = 2 };

/// Payload of BEGIN_GROUPS. DATA frames then carry 64-bit hashes, END nothing.
struct GroupsRequest {
    JoinSettings settings; // max_pairs has no effect: pairs are not returned
    std::uint32_t threshold;
    std::uint32_t method; // a GroupMethod
};
static_assert(sizeof(GroupsRequest) == 64);

/// Before ASK, RESULT frames carry the rows that have another within the threshold, ascending.
struct GroupedRow {
    std::uint32_t row;
    std::uint32_t value; // rows have the same one if and only if their hashes are equal
};
static_assert(sizeof(GroupedRow) == 8);

/// The backend's DATA frames then carry one 32-bit rank for each of these rows, in the same order:
/// keys compare as their ranks do. Rows of one key, whose hashes must be equal, have the same rank
/// and count once: the first of them. RESULT frames after that carry the members, group by group in
/// order, within a group by rank.
struct GroupMember {
    std::uint32_t row;
    std::uint32_t group;    // from 1, in the order of the groups' least ranks
    std::uint32_t size;     // of the group
    std::uint8_t distance;  // to the group's centre
    std::uint8_t diameter;  // of the group
    std::uint8_t is_center; // 0 or 1
    std::uint8_t unused;
};
static_assert(sizeof(GroupMember) == 16);

/// Payload of PROGRESS: JoinProgress (join/report.h).
struct Progress {
    std::uint32_t phase;
    std::uint32_t unused;
    std::uint64_t done;
    std::uint64_t total;
    std::uint64_t candidates;
    std::uint64_t pairs;
    double estimated_pairs; // < 0: not known
    char device[128];       // that computes, as in JoinDone; zero-filled; all zero: the CPU
};
static_assert(sizeof(Progress) == 176);

/// Payload of DONE.
struct Done {
    std::uint64_t result_bytes; // of payload in the request's RESULT frames
};
static_assert(sizeof(Done) == 8);

/// Payload of DONE after many images.
struct ImagesDone {
    Done done;
    std::uint64_t images;
    double reading_seconds;  // files, summed over the threads
    double decoding_seconds; // and hashing, summed over the threads
    std::uint32_t threads;   // that decoded
    std::uint32_t unused;
};
static_assert(sizeof(ImagesDone) == 40);

/// Payload of DONE after pictures.
struct PicturesDone {
    Done done;
    std::uint64_t pictures;     // that the device has hashed
    std::uint64_t batches;      // that it was given
    std::uint64_t device_bytes; // the most that was allocated on it
    double device_seconds;      // from a batch's arrival to its last hash
    std::uint32_t failures;     // of the device: 0 or 1, after which it is given no more
    std::uint32_t holds_device; // as in JoinDone
    char failure[200];          // its reason; zero-filled
};
static_assert(sizeof(PicturesDone) == 248);

/// Payload of DONE after a join: JoinReport (join/report.h).
struct JoinDone {
    Done done;
    std::uint64_t left_rows;
    std::uint64_t right_rows;
    std::uint64_t left_values;
    std::uint64_t right_values;
    std::uint64_t pairs;
    std::uint64_t candidates;
    std::uint64_t tables;
    std::uint64_t passes;
    std::uint64_t memory_bytes; // the engine's peak
    double grouping_seconds;
    double planning_seconds;
    double comparing_seconds;
    double forming_seconds;
    std::uint32_t threads;
    char isa[12];    // zero-filled
    char scheme[96]; // zero-filled
    // Of the device, if one did the work or a part of it; otherwise all zero but `fallback`.
    std::uint64_t device_bytes;  // the most that was allocated on it
    double device_seconds;       // from the first command to the last result
    std::uint32_t device_tables; // that it joined
    std::uint32_t fallbacks;     // times the CPU took over
    std::uint32_t holds_device;  // 0 or 1: the engine still has what came with a DeviceGrant
    std::uint32_t unused;
    char device[128];   // "cuda 0: NVIDIA H200"; zero-filled
    char fallback[200]; // why the CPU did what a device was asked for, the last reason; zero-filled
};
static_assert(sizeof(JoinDone) == 584);

} // namespace vamhash::protocol
