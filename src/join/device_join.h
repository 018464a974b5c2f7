// The tables of a join on a device: codes in, pairs of near codes out.
//
// The codes stay on the device. For each table they are partitioned by its whole key, in one step,
// and compared within the buckets (kernels/join_compare.h). Pairs come back by a buffer of fixed
// size; while the device goes on with the next launch, those of the last one are taken.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include "device/device.h"
#include "join/bucket.h"

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

struct JoinTable;

namespace vamhash {

/// Two codes within the threshold; of a join of two sets, `left` is one of the left set.
struct CodePair {
    std::uint64_t left;
    std::uint64_t right;
};

/// Takes pairs, on the calling thread. What it throws ends the table.
using CodePairSink = std::function<void(std::span<const CodePair>)>;

/// The most bits that a table's key may have here.
constexpr int most_device_key_bits = 24;

/// Up to this threshold, 32 bits of two codes rule out nearly all pairs: at 6, all but one of
/// 4,000.
constexpr int most_narrow_threshold = 6;

/// Joins in a device's memory. Throws DeviceMemoryExceeded and DeviceFailed from everywhere.
class DeviceJoin {
  public:
    static constexpr std::uint32_t least_hits = 16384;
    struct Sizes {
        std::uint32_t hits = 1U << 18;  // pairs that the buffer holds, at least least_hits
        std::uint32_t units = 1U << 18; // tiles, or runs of codes, in a launch
    };

    /// Puts the distinct codes of one set there. Up to 2^32 - 1 codes.
    DeviceJoin(Device& device, std::span<const std::uint64_t> codes, const Sizes& sizes);

    /// Those of two sets.
    DeviceJoin(Device& device, std::span<const std::uint64_t> left,
               std::span<const std::uint64_t> right, const Sizes& sizes);

    /// Puts others there instead: of one set, or of two where there were two.
    void load(std::span<const std::uint64_t> codes);
    void load(std::span<const std::uint64_t> left, std::span<const std::uint64_t> right);

    /// The bytes on the device that keys of so many bits take, of two sets.
    static std::uint64_t key_bytes(int key_bits);

    /// The bytes on the device that a join of so many codes, of both sets, takes at most.
    static std::uint64_t bytes_for(std::uint64_t codes, int key_bits, const Sizes& sizes);

    /// Gives the sink every pair of codes that agree in the bits of `key_mask`, differ in at most
    /// `threshold` bits, and are let through by the rule. Each once, in no order. The key has up to
    /// most_device_key_bits bits; with none, all codes are compared.
    void run(std::uint64_t key_mask, int threshold, const EmissionRule& rule,
             const CodePairSink& sink);

    /// Pairs within the threshold so far, whether let through or not.
    [[nodiscard]] std::uint64_t candidates() const { return candidates_; }

  private:
    // A set of codes: as given, and bucket by bucket.
    struct Side {
        void load(Device& device, std::span<const std::uint64_t> all);

        std::uint32_t size = 0;
        DeviceMemory codes;
        DeviceMemory buckets; // none until a key needs them
        DeviceMemory counts;  // of codes by key; then where the next code goes
        DeviceMemory borders;
    };

    // Where a launch leaves its pairs.
    struct Results {
        Results(Device& device, const Sizes& sizes);

        DeviceMemory hits;
        DeviceMemory state;
        DeviceMemory unfinished;
    };

    // The units that a launch takes: a range of them, or those that another one left.
    struct Launch {
        std::uint64_t first;
        std::uint32_t units;
        bool resumed;
    };

    void make_results();
    [[nodiscard]] Side& right() { return sides_.back(); }
    void write_table(std::uint64_t key_mask, int threshold, const EmissionRule& rule);
    void make_room_for_keys(std::uint32_t keys);
    void partition(Side& side, std::uint32_t keys);
    std::uint64_t count_tiles(std::uint32_t keys);
    template <typename Start>
    void run_units(std::uint64_t units, const Start& start, const CodePairSink& sink);

    Device& device_;
    const Sizes sizes_;
    const bool self_;
    std::vector<Side> sides_; // one, or the left and the right one
    std::vector<Results> results_;
    DeviceMemory table_;
    DeviceMemory tiles_; // by key
    DeviceMemory tile_starts_;
    DeviceMemory sums_;
    std::uint64_t candidates_ = 0;
    std::vector<CodePair> pairs_;
};

} // namespace vamhash
