// What a join tells of itself: while it runs, and at its end.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace vamhash {

enum class JoinPhase : std::uint32_t {
    grouping = 1,  // rows by equal hashes
    planning = 2,  // choosing a scheme
    comparing = 3, // tables, or tiles of the comparison matrix
    forming = 4,   // groups from the pairs found
};

/// A running join. Counts only grow within a phase.
struct JoinProgress {
    JoinPhase phase = JoinPhase::grouping;
    std::uint64_t done = 0;  // tables compared, in phase comparing; tiles by brute force
    std::uint64_t total = 0; // of them; 0 in the other phases
    std::uint64_t candidates = 0;
    std::uint64_t pairs = 0;
    double estimated_pairs = -1; // in all, extrapolated from the sample of the plan; < 0: not known
    std::string_view device;     // that works at the moment; empty: the CPU
};

/// Told of a join's progress some times a second, by any of its threads, but never while another
/// call or a call of the pair sink runs. What it throws ends the join, as with the sink.
using ProgressSink = std::function<void(const JoinProgress&)>;

/// What a device did in a join.
struct DeviceReport {
    std::string name;            // "cuda 0: NVIDIA H200"; empty: nothing
    std::uint64_t bytes = 0;     // of its memory, at most at any time
    double seconds = 0;          // from the first command to the last result, the sink's included
    std::uint64_t tables = 0;    // that it joined
    std::uint64_t fallbacks = 0; // times that the CPU did what was a device's to do
    std::string fallback;        // why, the last time
};

/// A join that has ended.
struct JoinReport {
    std::uint64_t left_rows = 0; // all rows, of a self-join
    std::uint64_t right_rows = 0;
    std::uint64_t left_values =
        0; // distinct ones, where rows were grouped; otherwise as many as rows
    std::uint64_t right_values = 0;
    std::uint64_t pairs = 0;      // of rows, found
    std::uint64_t candidates = 0; // pairs of codes that passed a kernel's test
    std::uint64_t tables = 0;     // 0: brute force, or another method
    std::uint64_t passes = 0;     // over ranges of keys, to keep a limit on memory; 1 without
    std::string scheme;           // in words; the method's name where there are no tables
    std::string isa;
    unsigned threads = 1;
    double grouping_seconds = 0; // wall time
    double planning_seconds = 0;
    double comparing_seconds = 0; // the sink's time included
    double forming_seconds = 0;
    DeviceReport device;
};

} // namespace vamhash
