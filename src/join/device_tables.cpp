#include "join/device_tables.h"

#include "join/plan.h"
#include "join/shared_partition.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <string>

namespace vamhash {

namespace {

constexpr std::size_t pairs_per_lookup = 2048;
// With less than this it is not tried.
constexpr std::uint64_t least_memory = std::uint64_t{1} << 20;

// The bytes that may be taken of a device's memory.
std::uint64_t usable_memory(Device& device, std::uint64_t limit) {
    std::uint64_t free = device.free_bytes();
    if (free == plugin::unknown_device_bytes) {
        free = device.properties().memory_bytes;
    }
    const std::uint64_t most = free - free / 10; // drivers need some themselves
    return limit == 0 ? most : std::min(limit, most);
}

} // namespace

struct DeviceTables::Lookup {
    std::uint64_t left[pairs_per_lookup];
    std::uint64_t right[pairs_per_lookup];
    std::uint32_t left_groups[pairs_per_lookup];
    std::uint32_t right_groups[pairs_per_lookup];
    GroupPair pairs[pairs_per_lookup];
};

DeviceTables::DeviceTables(Device& device, std::uint64_t memory_limit, int key_bits, int threshold,
                           Isa isa, Workers& workers, Monitor& monitor, SentPairs& sink)
    : device_(device), memory_(usable_memory(device, memory_limit)), key_bits_(key_bits),
      threshold_(threshold), partition_(partition_kernels_for(isa)), workers_(workers),
      monitor_(monitor), sink_(sink) {
    device.take_peak_bytes(); // of another join
    for (unsigned i = 0; i < workers.count(); ++i) {
        lookups_.push_back(std::make_unique<Lookup>());
    }
}

DeviceTables::~DeviceTables() = default;

void DeviceTables::refer_to(const Distinct& left, const Distinct& right) {
    left_ = &left;
    right_ = &right;
    all_loaded_ = false;
    sink_.set_self(is_self());
}

// An eighth of the memory for hits, and launches of about as much work as a device of its size does
// in some ten milliseconds.
DeviceJoin::Sizes DeviceTables::sizes() const {
    constexpr DeviceJoin::Sizes most{};
    const std::uint64_t hits = memory_ / 8 / (2 * sizeof(CodePair));
    const std::uint32_t units = device_.properties().compute_units;
    return {.hits = static_cast<std::uint32_t>(
                std::clamp<std::uint64_t>(hits, DeviceJoin::least_hits, most.hits)),
            .units = std::clamp(units, 2U, most.units / 2048) * 2048};
}

// The codes that there is room for, of both sets.
std::uint64_t DeviceTables::most_codes() const {
    const std::uint64_t others = DeviceJoin::bytes_for(0, key_bits_, sizes());
    const std::uint64_t a_code = DeviceJoin::bytes_for(1, key_bits_, sizes()) - others;
    return memory_ <= others ? 0 : (memory_ - others) / a_code;
}

void DeviceTables::run(const KeyTable& table) {
    const auto start = std::chrono::steady_clock::now();
    sink_.begin_table();
    for (;;) {
        try {
            if (run_within_memory(table)) {
                break;
            }
        } catch (const DeviceMemoryExceeded& error) {
            join_.reset();
            all_loaded_ = false;
            memory_ /= 2;
            if (memory_ >= least_memory && sink_.can_repeat()) {
                sink_.repeat_table(true);
                continue;
            }
            if (!sink_.can_repeat()) {
                throw DeviceFailed(error.what());
            }
            throw;
        }
        throw DeviceMemoryExceeded(device_.name() + " has no memory for the hashes of one key: " +
                                   std::to_string(memory_ >> 20) + " MB may be taken");
    }
    DeviceReport& report = monitor_.device();
    report.name = device_.name();
    ++report.tables;
    report.bytes = std::max(report.bytes, device_.take_peak_bytes());
    report.seconds +=
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Returns false where even the codes of a single key have no room.
bool DeviceTables::run_within_memory(const KeyTable& table) {
    const std::uint64_t most = most_codes();
    const auto left = left_->values();
    const auto right = right_->values();
    if (left.size() + (is_self() ? 0 : right.size()) > most) {
        return run_in_ranges(table, most);
    }
    if (!all_loaded_) {
        load(left, right);
        all_loaded_ = true;
    }
    run_loaded(table);
    return true;
}

// Codes that share the table's key share its lowest bits, too: partitioned by those, they are
// joined part by part.
bool DeviceTables::run_in_ranges(const KeyTable& table, std::uint64_t most) {
    all_loaded_ = false;
    const KeyBits key = key_bits(lowest_bits(table.key_mask, most_shared_bits));
    const auto partition = [&](const Distinct& set) {
        return partition_together(set.values(), key, set.spare(), partition_, workers_);
    };
    const std::vector<std::uint32_t> left = partition(*left_);
    const std::vector<std::uint32_t> other =
        is_self() ? std::vector<std::uint32_t>() : partition(*right_);
    const std::vector<std::uint32_t>& right = is_self() ? left : other;
    const auto codes = [&](std::size_t first, std::size_t end) {
        return std::uint64_t{left[end]} - left[first] +
               (is_self() ? 0 : std::uint64_t{right[end]} - right[first]);
    };
    const std::size_t keys = left.size() - 1;
    for (std::size_t i = 0; i < keys; ++i) {
        if (codes(i, i + 1) > most) {
            return false;
        }
    }
    for (std::size_t first = 0, end = 0; first < keys; first = end) {
        for (end = first + 1; end < keys && codes(first, end + 1) <= most;) {
            ++end;
        }
        const auto range = [&](const Distinct& set, const std::vector<std::uint32_t>& borders) {
            return std::span<const std::uint64_t>(set.spare() + borders[first],
                                                  borders[end] - borders[first]);
        };
        load(range(*left_, left), range(*right_, right));
        run_loaded(table);
    }
    return true;
}

void DeviceTables::load(std::span<const std::uint64_t> left, std::span<const std::uint64_t> right) {
    if (!join_) {
        candidates_ = 0;
        if (is_self()) {
            join_.emplace(device_, left, sizes());
        } else {
            join_.emplace(device_, left, right, sizes());
        }
    } else if (is_self()) {
        join_->load(left);
    } else {
        join_->load(left, right);
    }
}

void DeviceTables::run_loaded(const KeyTable& table) {
    const auto tell = [&] {
        monitor_.add(join_->candidates() - candidates_);
        candidates_ = join_->candidates();
    };
    join_->run(table.key_mask, threshold_, table.rule, [&](std::span<const CodePair> found) {
        take(found);
        tell();
        if (sink_.is_full()) {
            throw TooManySentPairs();
        }
    });
    tell();
}

// Looks up the groups of pairs of codes.
void DeviceTables::take(std::span<const CodePair> found) {
    const std::size_t tasks = (found.size() + pairs_per_lookup - 1) / pairs_per_lookup;
    workers_.run_tasks(tasks, [&](unsigned worker, std::uint64_t task) {
        Lookup& own = *lookups_[worker];
        const auto pairs =
            found.subspan(task * pairs_per_lookup,
                          std::min(pairs_per_lookup, found.size() - task * pairs_per_lookup));
        const std::size_t count = pairs.size();
        for (std::size_t i = 0; i < count; ++i) {
            own.left[i] = pairs[i].left;
            own.right[i] = pairs[i].right;
        }
        left_->find({own.left, count}, own.left_groups);
        right_->find({own.right, count}, own.right_groups);
        for (std::size_t i = 0; i < count; ++i) {
            own.pairs[i] = {own.left_groups[i], own.right_groups[i],
                            static_cast<std::uint32_t>(std::popcount(own.left[i] ^ own.right[i]))};
        }
        sink_.take(worker, {own.pairs, count});
    });
}

} // namespace vamhash
