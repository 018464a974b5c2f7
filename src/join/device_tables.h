// Tables of a scheme on a device, for a sink of pairs of groups.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include "join/device_join.h"
#include "join/distinct.h"
#include "join/monitor.h"
#include "join/partition.h"
#include "join/scheme.h"
#include "join/sent_pairs.h"
#include "join/workers.h"
#include "simd/isa.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace vamhash {

/// A table has more pairs than can be kept, should the device fail (SentPairs::is_full).
struct TooManySentPairs {};

/// Runs tables on a device. The codes stay there from table to table if there is room for all;
/// otherwise those of one range of keys after another are brought for each. While the device
/// compares, the threads look up the groups of the pairs found before.
class DeviceTables {
  public:
    /// For tables whose keys have up to so many bits. Takes up to `memory_limit` bytes of the
    /// device; 0: most of what is free.
    DeviceTables(Device& device, std::uint64_t memory_limit, int key_bits, int threshold, Isa isa,
                 Workers& workers, Monitor& monitor, SentPairs& sink);

    ~DeviceTables();
    DeviceTables(const DeviceTables&) = delete;
    DeviceTables& operator=(const DeviceTables&) = delete;

    /// The values that the tables are run on from now on, of a self-join twice the same.
    void refer_to(const Distinct& left, const Distinct& right);

    /// Runs a table; when it returns the sink has its pairs. Throws TooManySentPairs; DeviceFailed,
    /// also for a device without memory for a part of the table of which pairs have been sent that
    /// are not known; DeviceMemoryExceeded.
    void run(const KeyTable& table);

  private:
    // What a thread needs to look up groups.
    struct Lookup;

    [[nodiscard]] bool is_self() const { return left_ == right_; }
    [[nodiscard]] std::uint64_t most_codes() const;
    [[nodiscard]] DeviceJoin::Sizes sizes() const;
    bool run_within_memory(const KeyTable& table);
    bool run_in_ranges(const KeyTable& table, std::uint64_t most);
    void load(std::span<const std::uint64_t> left, std::span<const std::uint64_t> right);
    void run_loaded(const KeyTable& table);
    void take(std::span<const CodePair> found);

    Device& device_;
    std::uint64_t memory_; // that may be taken
    const int key_bits_;
    const int threshold_;
    const PartitionKernels& partition_;
    Workers& workers_;
    Monitor& monitor_;
    SentPairs& sink_;
    const Distinct* left_ = nullptr;
    const Distinct* right_ = nullptr;
    std::optional<DeviceJoin> join_;
    bool all_loaded_ = false;
    std::uint64_t candidates_ = 0; // of join_, that the monitor knows
    std::vector<std::unique_ptr<Lookup>> lookups_;
};

} // namespace vamhash
