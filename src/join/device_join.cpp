#include "join/device_join.h"

#include "../../kernels/join_table.h"
#include "join/partition.h"

#include <algorithm>
#include <array>
#include <bit>
#include <optional>
#include <stdexcept>
#include <string>

namespace vamhash {

using plugin::Kernel;

namespace {

// Work-items of a group in the kernels that go over all codes or keys, and in scans (scan.h).
constexpr std::uint32_t group_size = 256;
constexpr std::uint32_t scan_block = 2048;
// Groups that go over all codes: enough to fill a device.
constexpr std::uint64_t most_groups = 4096;
static_assert(DeviceJoin::least_hits == JOIN_MOST_HITS_AT_ONCE);

std::uint64_t blocks(std::uint64_t items, std::uint64_t size) {
    return (items + size - 1) / size;
}

std::uint64_t groups_for(std::uint64_t items) {
    return std::clamp<std::uint64_t>(blocks(items, group_size), 1, most_groups);
}

void copy_key(const KeyBits& key, JoinTable& table) {
    table.key_runs = static_cast<std::uint32_t>(key.runs);
    for (int i = 0; i < key.runs; ++i) {
        table.run_shift[i] = static_cast<std::uint32_t>(key.run[i].shift);
        table.run_mask[i] = static_cast<std::uint32_t>(key.run[i].mask);
    }
}

void copy_rule(const EmissionRule& rule, JoinTable& table) {
    table.must_differ_count = static_cast<std::uint32_t>(rule.must_differ_count);
    std::copy_n(rule.must_differ, rule.must_differ_count, table.must_differ);
    table.earlier_parts = static_cast<std::uint32_t>(rule.earlier_parts);
    for (int part = 0; part < rule.earlier_parts; ++part) {
        table.part_end[part] = static_cast<std::uint32_t>(rule.earlier_part[part].end_block);
        table.part_selected[part] = static_cast<std::uint32_t>(rule.earlier_part[part].selected);
        std::copy(rule.earlier_blocks + rule.earlier_part[part].first_block,
                  rule.earlier_blocks + rule.earlier_part[part].end_block,
                  table.earlier_blocks + rule.earlier_part[part].first_block);
    }
}

// Makes an array of at least so many bytes. What it held is lost.
void make_room(Device& device, DeviceMemory& memory, std::uint64_t bytes) {
    if (memory.bytes() < bytes) {
        memory = {}; // before the new one: not both at a time
        memory = DeviceMemory(device, bytes);
    }
}

} // namespace

void DeviceJoin::Side::load(Device& device, std::span<const std::uint64_t> all) {
    size = static_cast<std::uint32_t>(all.size());
    make_room(device, codes, std::max<std::uint64_t>(all.size_bytes(), sizeof(std::uint64_t)));
    if (!all.empty()) {
        device.write(codes, all);
    }
}

DeviceJoin::Results::Results(Device& device, const Sizes& sizes)
    : hits(device, sizeof(CodePair) * sizes.hits),
      state(device, sizeof(std::uint32_t) * JOIN_STATE),
      unfinished(device, 2 * sizeof(std::uint32_t) * std::uint64_t{sizes.units}) {}

DeviceJoin::DeviceJoin(Device& device, std::span<const std::uint64_t> codes, const Sizes& sizes)
    : device_(device), sizes_(sizes), self_(true), sides_(1), table_(device, sizeof(JoinTable)) {
    make_results();
    load(codes);
}

DeviceJoin::DeviceJoin(Device& device, std::span<const std::uint64_t> left,
                       std::span<const std::uint64_t> right, const Sizes& sizes)
    : device_(device), sizes_(sizes), self_(false), sides_(2), table_(device, sizeof(JoinTable)) {
    make_results();
    load(left, right);
}

void DeviceJoin::make_results() {
    for (int i = 0; i < 2; ++i) {
        results_.emplace_back(device_, sizes_);
    }
}

void DeviceJoin::load(std::span<const std::uint64_t> codes) {
    sides_[0].load(device_, codes);
}

void DeviceJoin::load(std::span<const std::uint64_t> left, std::span<const std::uint64_t> right) {
    sides_[0].load(device_, left);
    sides_[1].load(device_, right);
}

std::uint64_t DeviceJoin::key_bytes(int key_bits) {
    const std::uint64_t by_key = 4 * sizeof(std::uint32_t) + 2 * sizeof(std::uint64_t);
    return by_key * ((std::uint64_t{1} << key_bits) + 1);
}

std::uint64_t DeviceJoin::bytes_for(std::uint64_t codes, int key_bits, const Sizes& sizes) {
    return 2 * sizeof(std::uint64_t) * codes + key_bytes(key_bits) +
           2 * (sizeof(CodePair) * std::uint64_t{sizes.hits} +
                2 * sizeof(std::uint32_t) * std::uint64_t{sizes.units}) +
           (std::uint64_t{1} << 16);
}

void DeviceJoin::write_table(std::uint64_t key_mask, int threshold, const EmissionRule& rule) {
    const Comparison comparison = comparison_for(key_mask, threshold);
    JoinTable table{};
    copy_key(key_bits(key_mask), table);
    copy_rule(rule, table);
    table.threshold = static_cast<std::uint32_t>(threshold);
    table.window = static_cast<std::uint32_t>(comparison.window);
    table.narrow = threshold <= most_narrow_threshold ? 1 : 0;
    table.self = self_ ? 1 : 0;
    device_.write(table_, std::span<const JoinTable>(&table, 1));
}

void DeviceJoin::make_room_for_keys(std::uint32_t keys) {
    const std::uint64_t numbers = std::uint64_t{keys} + 1;
    for (Side& side : sides_) {
        make_room(device_, side.counts, sizeof(std::uint32_t) * numbers);
        make_room(device_, side.borders, sizeof(std::uint32_t) * numbers);
    }
    make_room(device_, tiles_, sizeof(std::uint64_t) * numbers);
    make_room(device_, tile_starts_, sizeof(std::uint64_t) * numbers);
    make_room(device_, sums_, sizeof(std::uint64_t) * blocks(keys, scan_block));
}

// Writes the codes of a set bucket by bucket, and the borders of the buckets.
void DeviceJoin::partition(Side& side, std::uint32_t keys) {
    device_.clear(side.counts, sizeof(std::uint32_t) * std::uint64_t{keys});
    const std::uint64_t size = side.size;
    if (size > 0) {
        device_.launch(Kernel::count_keys, groups_for(size), group_size,
                       {side.codes, size, table_, side.counts});
    }
    const auto scan_groups = blocks(keys, scan_block);
    device_.launch(Kernel::sum_blocks_u32, scan_groups, group_size, {side.counts, keys, sums_});
    device_.launch(Kernel::scan_sums_u32, 1, group_size,
                   {sums_, static_cast<std::uint32_t>(scan_groups)});
    device_.launch(Kernel::scan_blocks_u32, scan_groups, group_size,
                   {side.counts, keys, sums_, side.borders});
    if (keys > 1 && size > 0) {
        make_room(device_, side.buckets, sizeof(std::uint64_t) * size);
        device_.launch(Kernel::scatter_codes, groups_for(size), group_size,
                       {side.codes, size, table_, side.counts, side.buckets});
    }
}

// Returns the number of tiles of all long buckets.
std::uint64_t DeviceJoin::count_tiles(std::uint32_t keys) {
    const auto scan_groups = blocks(keys, scan_block);
    device_.launch(Kernel::count_tiles, groups_for(keys), group_size,
                   {sides_[0].borders, right().borders, keys, self_ ? 1U : 0U, tiles_});
    device_.launch(Kernel::sum_blocks_u64, scan_groups, group_size, {tiles_, keys, sums_});
    device_.launch(Kernel::scan_sums_u64, 1, group_size,
                   {sums_, static_cast<std::uint32_t>(scan_groups)});
    device_.launch(Kernel::scan_blocks_u64, scan_groups, group_size,
                   {tiles_, keys, sums_, tile_starts_});
    std::uint64_t tiles = 0;
    device_.read(tile_starts_, std::span(&tiles, 1), 0, keys);
    return tiles;
}

// Launches all units, and takes the pairs of each launch while the next one runs.
template <typename Start>
void DeviceJoin::run_units(std::uint64_t units, const Start& start, const CodePairSink& sink) {
    std::uint64_t next = 0;
    std::size_t slot = 0;
    const auto begin = [&](const Launch& launch) {
        Results& results = results_[slot];
        device_.clear(results.state, results.state.bytes());
        start(launch, results_[slot ^ 1], results);
    };
    const auto next_range = [&]() -> std::optional<Launch> {
        if (next == units) {
            return std::nullopt;
        }
        const auto count =
            static_cast<std::uint32_t>(std::min<std::uint64_t>(units - next, sizes_.units));
        next += count;
        return Launch{next - count, count, false};
    };
    std::optional<Launch> running = next_range();
    if (running) {
        begin(*running);
    }
    while (running) {
        Results& results = results_[slot];
        std::array<std::uint32_t, JOIN_STATE> state{};
        device_.read(results.state, std::span(state)); // waits for the launch
        candidates_ += state[JOIN_CANDIDATES];
        const std::optional<Launch> following =
            state[JOIN_UNFINISHED] > 0 ? Launch{running->first, state[JOIN_UNFINISHED], true}
                                       : next_range();
        slot ^= 1;
        if (following) {
            begin(*following);
        }
        pairs_.resize(state[JOIN_HITS]);
        if (!pairs_.empty()) {
            device_.read(results.hits, std::span(pairs_), 1);
            sink(pairs_);
        }
        running = following;
    }
}

void DeviceJoin::run(std::uint64_t key_mask, int threshold, const EmissionRule& rule,
                     const CodePairSink& sink) {
    const int key_bits = std::popcount(key_mask);
    if (key_bits > most_device_key_bits) {
        throw std::invalid_argument("a key on a device has up to 24 bits, not " +
                                    std::to_string(key_bits));
    }
    const std::uint32_t keys = std::uint32_t{1} << key_bits;
    make_room_for_keys(keys);
    write_table(key_mask, threshold, rule);
    for (Side& side : sides_) {
        partition(side, keys);
    }
    const auto codes_of = [&](Side& side) -> DeviceMemory& {
        return keys > 1 && side.size > 0 ? side.buckets : side.codes;
    };
    Side& left = sides_[0];
    const std::uint64_t tiles = count_tiles(keys);
    run_units(
        blocks(left.size, JOIN_GROUP),
        [&](const Launch& launch, Results& before, Results& results) {
            device_.launch(Kernel::compare_runs, launch.units, JOIN_GROUP,
                           {codes_of(left), left.size, left.borders, codes_of(right()),
                            right().borders, static_cast<std::uint32_t>(launch.first),
                            before.unfinished, launch.resumed ? 1U : 0U, table_, results.hits,
                            sizes_.hits, results.state, results.unfinished});
        },
        sink);
    run_units(
        tiles,
        [&](const Launch& launch, Results& before, Results& results) {
            device_.launch(Kernel::compare_tiles, launch.units, JOIN_GROUP,
                           {codes_of(left), left.borders, codes_of(right()), right().borders,
                            tile_starts_, keys, launch.first, before.unfinished,
                            launch.resumed ? 1U : 0U, table_, results.hits, sizes_.hits,
                            results.state, results.unfinished});
        },
        sink);
}

} // namespace vamhash
