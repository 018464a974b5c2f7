// Joins on a device, beside the CPU's, the plain one and what the device could do at most: the
// rows of bench/device.sh, which names the arguments.
//
// The codes are distinct: uniform ones, and some thousand near them, so that there is something to
// find. Every count of pairs is checked: by the CPU's join, or where that would take too long by
// brute force on a sample of the codes.
//
// Kernel time is that of a run in which each launch is waited for, less what launching and waiting
// take for a kernel that does nothing. "whole" is another run, as a join makes it: from codes in
// the host's memory to pairs there, the device being open.
#include "join/device_join.h"
#include "device/device.h"
#include "join/plan.h"
#include "join/scheme.h"
#include "join/similar_pairs.h"
#include "stopwatch.h"
#include "timed_backend.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <limits>
#include <map>
#include <numeric>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace vamhash {
namespace {

using plugin::DeviceBackend;
using plugin::Kernel;

using Codes = std::vector<std::uint64_t>;

// The kernels of limit_kernels.h, which the benchmark's build of the backends has behind the
// join's.
constexpr auto copy_codes = static_cast<Kernel>(plugin::kernel_count);
constexpr auto count_bits = static_cast<Kernel>(plugin::kernel_count + 1);
constexpr auto count_near = static_cast<Kernel>(plugin::kernel_count + 2);
constexpr std::uint32_t limit_counts = 16; // LIMIT_COUNTS

constexpr std::uint32_t group_size = 256;
constexpr std::uint32_t most_groups = 1U << 16;

struct Options {
    std::string backend;
    std::uint32_t device = 0;
    std::vector<std::uint64_t> codes{100000, 1000000, 10000000};
    std::vector<int> distances{2, 5, 8, 10};
    double seconds = 30;     // of a join on the device at most; one that takes longer is given up
    double cpu_seconds = 10; // expected of a join on the CPU, or of a plain one, at most
    std::size_t schemes = 0; // in place of the planner's, so many of the cheapest
    std::vector<int> scheme; // or this one: parts, blocks of a key, bits of a key
};

// --- What a timed join's launches took.

double comparing(const DeviceTimes& times) {
    return times.of(Kernel::compare_tiles) + times.of(Kernel::compare_runs);
}

double launched(const DeviceTimes& times) {
    return std::accumulate(times.kernels.begin(), times.kernels.end(), times.clears);
}

// --- What the device can do.

struct Limits {
    double bytes = 0;  // a second, read and written by a copy
    double counts = 0; // of bits of 32-bit numbers, a second
    double launch = 0; // seconds of a launch that does nothing, and of waiting for it
};

// The shortest of some runs, in seconds.
template <typename Run>
double shortest(int runs, const Run& run) {
    double best = std::numeric_limits<double>::max();
    for (int i = 0; i < runs; ++i) {
        const Stopwatch watch;
        run();
        best = std::min(best, watch.seconds());
    }
    return best;
}

Limits measure_limits(Device& device) {
    Limits limits;
    const bool is_gpu = device.properties().is_gpu != 0;
    {
        DeviceMemory sums(device, 8);
        limits.launch = shortest(50, [&] {
            device.launch(Kernel::scan_sums_u32, 1, group_size, {sums, std::uint32_t{0}});
            device.finish();
        });
    }
    {
        const std::uint64_t size = is_gpu ? 1U << 27 : 1U << 23; // several times any cache
        DeviceMemory from(device, 8 * size);
        DeviceMemory to(device, 8 * size);
        device.clear(from, 8 * size);
        device.finish();
        const double seconds = shortest(7, [&] {
            device.launch(copy_codes, most_groups, group_size, {from, size, to});
            device.finish();
        });
        limits.bytes = 16 * static_cast<double>(size) / (seconds - limits.launch);
    }
    {
        const std::uint32_t groups = device.properties().compute_units * 64;
        const std::uint32_t rounds = is_gpu ? 4096 : 256;
        DeviceMemory sums(device, std::uint64_t{4} * groups * group_size);
        const double seconds = shortest(7, [&] {
            device.launch(count_bits, groups, group_size, {rounds, sums});
            device.finish();
        });
        limits.counts = static_cast<double>(groups) * group_size * limit_counts * rounds /
                        (seconds - limits.launch);
    }
    return limits;
}

// By the CUDA programming guide's table of arithmetic throughput: 16 bit counts a clock and
// multiprocessor, on every compute capability from 7.5 to 12.0.
double counts_by_properties(const plugin::DeviceProperties& properties) {
    return 16.0 * properties.compute_units * properties.clock_mhz * 1e6;
}

// --- Which tables a join has.

struct Choice {
    std::string words; // parts x blocks of a key / bits of a key
    Scheme scheme;
    double bytes = 0;  // that its tables move
    double counts = 0; // that its tables take
    double floor = 0;  // seconds
    double cost = 0;
};

// What the tables of a scheme cost at least. A table's partition reads all codes twice, writes them
// once, and for each key moves its count, its borders and its tiles, 60 bytes; its comparison reads
// them once more. Of uniform codes, a pair shares a key of so many bits with a chance of 2^-bits,
// and then takes two counts of bits, or one where 32 bits of it are enough to refuse nearly all.
// The two could overlap, so the floor is the longer of them; for the choice they count one after
// the other, and the partition, which hops about in memory, four times.
void set_cost(Choice& choice, double codes, int threshold, const Limits& limits) {
    const double counts_a_pair = threshold <= 6 ? 1 : 2;
    for (const Part& part : choice.scheme.parts) {
        for (const Table& table : tables_of(part)) {
            const double keys = std::exp2(std::popcount(key_mask(part, table)));
            choice.bytes += 4 * 8 * codes + 60 * keys;
            choice.counts += counts_a_pair * codes * (codes - 1) / 2 / keys;
        }
    }
    choice.floor = std::max(choice.bytes / limits.bytes, choice.counts / limits.counts);
    choice.cost = 4 * choice.bytes / limits.bytes + choice.counts / limits.counts;
}

std::string words_for(int parts, int selected, int key_bits) {
    return std::to_string(parts) + "x" + std::to_string(selected) + "/" + std::to_string(key_bits);
}

// The scheme that a join takes.
Choice planned_scheme(Device& device, const Codes& codes, int threshold) {
    const std::size_t size = codes.size();
    const Plan plan = plan_join({.sample = std::span(codes).first(sample_size(size)),
                                 .values = static_cast<double>(size),
                                 .threshold = threshold,
                                 .isa = best_isa(),
                                 .allow_one_bucket = true,
                                 .device = device_costs(device.properties(), 0, threshold)});
    const int selected = plan.scheme.parts[0].selected;
    return {plan.one_bucket ? "brute"
                            : words_for(static_cast<int>(plan.scheme.parts.size()), selected,
                                        longest_key(plan.scheme)),
            plan.scheme};
}

// The schemes that are run: the planner's, the one that is asked for, or the cheapest by the limits
// that were measured, for the planner to learn from.
std::vector<Choice> choose_schemes(Device& device, const Codes& values, int threshold,
                                   const Limits& limits, const Options& options) {
    const std::uint64_t codes = values.size();
    constexpr int most_parts = 9;
    constexpr int most_selected = 8;
    constexpr std::size_t most_tables = 1500;
    std::vector<Choice> choices;
    const auto add = [&](int parts, int selected, int bits) {
        Scheme scheme = make_scheme(threshold, parts, selected, bits);
        if (!scheme.parts.empty() && scheme.tables() <= most_tables &&
            longest_key(scheme) <= most_device_key_bits) {
            choices.push_back({words_for(parts, selected, longest_key(scheme)), std::move(scheme)});
            set_cost(choices.back(), static_cast<double>(codes), threshold, limits);
        }
    };
    if (!options.scheme.empty()) {
        add(options.scheme[0], options.scheme[1], options.scheme[2]);
        return choices;
    }
    if (options.schemes == 0) {
        choices.push_back(planned_scheme(device, values, threshold));
        set_cost(choices.back(), static_cast<double>(codes), threshold, limits);
        return choices;
    }
    for (int parts = 1; parts <= std::min(threshold + 1, most_parts); ++parts) {
        for (int selected = 1; selected <= most_selected; ++selected) {
            for (int bits = 3; bits <= most_device_key_bits; ++bits) {
                add(parts, selected, bits);
            }
        }
    }
    std::stable_sort(choices.begin(), choices.end(),
                     [](const Choice& a, const Choice& b) { return a.cost < b.cost; });
    // Several shapes may make one scheme.
    const auto end =
        std::unique(choices.begin(), choices.end(), [](const Choice& a, const Choice& b) {
            return a.cost == b.cost && a.scheme.tables() == b.scheme.tables();
        });
    choices.erase(end, choices.end());
    choices.resize(std::min(choices.size(), options.schemes));
    return choices;
}

// --- The codes.

// One to one, and without a pattern.
std::uint64_t mixed(std::uint64_t x) {
    x += 0x9e3779b97f4a7c15;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
}

struct Data {
    Codes codes;
    Codes sample; // of them, sorted
};

Data make_data(std::uint64_t size) {
    constexpr std::uint64_t most_planted = 4096;
    constexpr std::uint64_t sampled = 64;
    Data data;
    data.codes.resize(size);
    std::mt19937_64 random(size);
    const std::uint64_t planted = std::min(most_planted, size / 10);
    const std::uint64_t uniform = size - planted;
    for (std::uint64_t i = 0; i < uniform; ++i) {
        data.codes[i] = mixed(i);
    }
    // Near the first ones, each in other bits: 1 to 12 of them.
    for (std::uint64_t i = 0; i < planted; ++i) {
        std::uint64_t bits = 0;
        while (std::popcount(bits) < static_cast<int>(1 + i % 12)) {
            bits |= std::uint64_t{1} << random() % 64;
        }
        data.codes[uniform + i] = data.codes[i] ^ bits;
        if (i < sampled) {
            data.sample.push_back(data.codes[uniform + i]);
        }
    }
    std::sort(data.sample.begin(), data.sample.end());
    return data;
}

// --- Joins.

struct TimeIsUp : std::runtime_error {
    TimeIsUp() : std::runtime_error("time is up") {}
};

struct Found {
    std::uint64_t pairs = 0;
    std::uint64_t of_sample = 0; // codes of the sample in them
    bool operator==(const Found&) const = default;
};

Found join_on_device(Device& device, const Data& data, const Choice& choice, int threshold,
                     double limit) {
    const Stopwatch watch;
    const auto is_sampled = [&](std::uint64_t code) {
        return std::binary_search(data.sample.begin(), data.sample.end(), code) ? 1 : 0;
    };
    Found found;
    DeviceJoin join(device, data.codes, {});
    for (std::size_t part = 0; part < choice.scheme.parts.size(); ++part) {
        for (const Table& table : tables_of(choice.scheme.parts[part])) {
            if (watch.seconds() > limit) {
                throw TimeIsUp();
            }
            join.run(key_mask(choice.scheme.parts[part], table), threshold,
                     emission_rule(choice.scheme, part, table),
                     [&](std::span<const CodePair> pairs) {
                         found.pairs += pairs.size();
                         for (const CodePair& pair : pairs) {
                             found.of_sample += is_sampled(pair.left) + is_sampled(pair.right);
                         }
                     });
        }
    }
    return found;
}

// Does something once, and twice more where it takes less than a second.
void repeat(const std::function<void()>& run) {
    const Stopwatch watch;
    run();
    for (int i = 0; i < 2 && watch.seconds() < 1; ++i) {
        run();
    }
}

struct Measured {
    Found found;
    double whole = std::numeric_limits<double>::max();
    double partition = std::numeric_limits<double>::max();
    double compare = std::numeric_limits<double>::max();
    [[nodiscard]] double kernel() const { return partition + compare; }
};

Measured measure_join(Device& device, const Data& data, const Choice& choice, int threshold,
                      const Limits& limits, double limit) {
    Measured best;
    bool first = true;
    const auto check = [&](const Found& found) {
        if (!first && !(found == best.found)) {
            throw std::runtime_error("one join gave " + std::to_string(best.found.pairs) +
                                     " pairs, then " + std::to_string(found.pairs));
        }
        best.found = found;
        first = false;
    };
    repeat([&] {
        const Stopwatch watch;
        check(join_on_device(device, data, choice, threshold, limit));
        best.whole = std::min(best.whole, watch.seconds());
    });
    repeat([&] {
        const DeviceTimes times = time_device_calls(
            [&] { check(join_on_device(device, data, choice, threshold, limit)); });
        const double launches = static_cast<double>(times.launches) * limits.launch;
        const double sum = launched(times);
        const double share = std::max(0.0, 1 - launches / sum);
        if (sum * share < best.kernel()) {
            best.compare = comparing(times) * share;
            best.partition = sum * share - best.compare;
        }
    });
    return best;
}

// On all cores. Nothing where it is expected to take longer than the limit.
std::optional<std::pair<double, std::uint64_t>> join_on_cpu(const Data& data, int threshold,
                                                            double limit) {
    const auto size = static_cast<double>(data.codes.size());
    const std::span sample(data.codes.data(), sample_size(data.codes.size()));
    const Plan plan = plan_join({.sample = sample,
                                 .values = size,
                                 .threshold = threshold,
                                 .isa = best_isa(),
                                 .allow_one_bucket = true});
    if (plan.seconds / std::max(1U, std::thread::hardware_concurrency()) > limit) {
        return std::nullopt;
    }
    const std::array columns{std::span<const std::uint64_t>(data.codes)};
    const std::array thresholds{threshold};
    double best = std::numeric_limits<double>::max();
    std::uint64_t pairs = 0;
    repeat([&] {
        const Stopwatch watch;
        pairs = similar_pairs(columns, thresholds, {}, [](std::span<const Pair>) {}).pairs;
        best = std::min(best, watch.seconds());
    });
    return std::pair(best, pairs);
}

// How many codes of the sample are in a pair, with repetitions: by brute force on the CPU.
std::uint64_t count_of_sample(const Data& data, int threshold) {
    const std::array left{std::span<const std::uint64_t>(data.sample)};
    const std::array right{std::span<const std::uint64_t>(data.codes)};
    const std::array thresholds{threshold};
    const JoinOptions options{.method = JoinMethod::brute};
    return similar_pairs_between(left, right, thresholds, options, [](std::span<const Pair>) {})
               .pairs -
           data.sample.size(); // each finds itself
}

// Compares every code with every other as FAISS's GpuIndexBinaryFlat does, a query after the other,
// but only counts: FAISS keeps the nearest of each query, too. Nothing where it is expected to take
// longer than the limit.
std::optional<std::pair<double, std::uint64_t>>
join_plainly(Device& device, const Data& data, int threshold, const Limits& limits, double limit) {
    const std::uint64_t size = data.codes.size();
    const double counts = 2 * static_cast<double>(size) * static_cast<double>(size);
    if (size > 1U << 20 || counts / limits.counts > limit / 2) {
        return std::nullopt;
    }
    DeviceMemory codes(device, 8 * size);
    DeviceMemory near(device, 4 * size);
    device.write(codes, std::span<const std::uint64_t>(data.codes));
    double best = std::numeric_limits<double>::max();
    repeat([&] {
        device.finish();
        const Stopwatch watch;
        device.launch(
            count_near, (size + group_size - 1) / group_size, group_size,
            {codes, static_cast<std::uint32_t>(size), static_cast<std::uint32_t>(threshold), near});
        device.finish();
        best = std::min(best, watch.seconds());
    });
    std::vector<std::uint32_t> counted(size);
    device.read(near, std::span(counted));
    std::uint64_t sum = 0;
    for (const std::uint32_t count : counted) {
        sum += count;
    }
    return std::pair(best, (sum - size) / 2);
}

// --- What is printed.

std::string cell(std::optional<double> seconds) {
    if (!seconds) {
        return "-";
    }
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%.5f", *seconds);
    return text.data();
}

void print_head() {
    std::printf("%10s %3s %-8s %6s %10s %10s %10s %10s %10s %10s %10s %12s %s\n", "codes", "t",
                "scheme", "tables", "kernel", "partition", "compare", "whole", "floor", "cpu",
                "plain", "pairs", "checked");
}

std::string megabytes(std::uint64_t bytes) {
    return std::to_string(bytes >> 20) + " MB";
}

// What is left on the device, as far as is known.
std::uint64_t room(Device& device) {
    const std::uint64_t free = device.free_bytes();
    return free == plugin::unknown_device_bytes ? device.properties().memory_bytes : free;
}

// Returns whether all counts agree.
bool run_join(Device& device, const Data& data, int threshold, const Limits& limits,
              const Options& options) {
    const std::uint64_t size = data.codes.size();
    const auto by_cpu = join_on_cpu(data, threshold, options.cpu_seconds);
    const auto plain = join_plainly(device, data, threshold, limits, options.cpu_seconds);
    std::optional<std::uint64_t> of_sample;
    bool agree = true;
    for (const Choice& choice : choose_schemes(device, data.codes, threshold, limits, options)) {
        std::printf("%10llu %3d %-8s %6zu ", static_cast<unsigned long long>(size), threshold,
                    choice.words.c_str(), choice.scheme.tables());
        const std::uint64_t needed =
            DeviceJoin::bytes_for(size, longest_key(choice.scheme), DeviceJoin::Sizes());
        if (needed > room(device)) {
            std::printf("does not fit: %s of %s\n", megabytes(needed).c_str(),
                        megabytes(room(device)).c_str());
            continue;
        }
        Measured measured;
        try {
            measured = measure_join(device, data, choice, threshold, limits, options.seconds);
        } catch (const TimeIsUp&) {
            std::printf("takes longer than %.0f s\n", options.seconds);
            continue;
        } catch (const DeviceMemoryExceeded& error) {
            std::printf("does not fit: %s\n", error.what());
            continue;
        }
        bool right = !plain || plain->second == measured.found.pairs;
        if (by_cpu) {
            right = right && by_cpu->second == measured.found.pairs;
        } else {
            of_sample = of_sample ? of_sample : count_of_sample(data, threshold);
            right = right && *of_sample == measured.found.of_sample;
        }
        agree = agree && right;
        std::printf("%10s %10s %10s %10s %10s %10s %10s %12llu %s%s\n",
                    cell(measured.kernel()).c_str(), cell(measured.partition).c_str(),
                    cell(measured.compare).c_str(), cell(measured.whole).c_str(),
                    cell(choice.floor).c_str(),
                    cell(by_cpu ? std::optional(by_cpu->first) : std::nullopt).c_str(),
                    cell(plain ? std::optional(plain->first) : std::nullopt).c_str(),
                    static_cast<unsigned long long>(measured.found.pairs),
                    by_cpu ? "cpu" : "sample", right ? "" : ": WRONG");
        std::fflush(stdout);
    }
    return agree;
}

// Brute force, which compares all tiles of one bucket.
bool run_brute_force(Device& device, const Limits& limits, const Options& options) {
    const bool is_gpu = device.properties().is_gpu != 0;
    const std::uint64_t size = is_gpu ? 1U << 18 : 1U << 14;
    const Data data = make_data(size);
    const double pairs = static_cast<double>(size) * static_cast<double>(size - 1) / 2;
    bool agree = true;
    for (const int threshold : {5, 8}) {
        Choice choice{.words = "brute", .scheme = one_bucket()};
        const Measured measured =
            measure_join(device, data, choice, threshold, limits, options.seconds);
        const auto by_cpu = join_on_cpu(data, threshold, options.cpu_seconds);
        const bool right = !by_cpu || by_cpu->second == measured.found.pairs;
        agree = agree && right;
        std::printf("# brute force, %llu codes, distance %d: %.3e pairs/s by %.5f s of kernels%s\n",
                    static_cast<unsigned long long>(size), threshold, pairs / measured.compare,
                    measured.compare, right ? "" : ": WRONG");
    }
    return agree;
}

int run(const Options& options) {
    const Stopwatch start;
    const LoadedBackend& loaded = load_device_backend(options.backend);
    if (loaded.backend == nullptr) {
        throw NoDevice("no backend", loaded.reason);
    }
    std::array<char, sizeof(plugin::DeviceProperties::reason)> reason{};
    if (loaded.backend->count(reason.data(), reason.size()) <= options.device) {
        throw NoDevice("no device", reason[0] != '\0' ? reason.data() : "there is no such device");
    }
    const double found = start.seconds();
    const DeviceBackend backend = with_timing(*loaded.backend);
    Device device(backend, options.device);
    const double opened = start.seconds();
    const Data small = make_data(1000);
    Choice choice{.words = "brute", .scheme = one_bucket()};
    join_on_device(device, small, choice, 8, options.seconds);
    const double joined = start.seconds();

    const plugin::DeviceProperties& properties = device.properties();
    std::printf("# %s, %s, %s, %u compute units, %u MHz\n", device.name().c_str(),
                properties.capability, properties.driver, properties.compute_units,
                properties.clock_mhz);
    std::printf("# memory: %s, free %s\n", megabytes(properties.memory_bytes).c_str(),
                megabytes(room(device)).c_str());
    std::printf(
        "# start-up: %.3f s to the first join's end: backend %.3f, device %.3f, join %.3f\n",
        joined, found, opened - found, joined - opened);
    const Limits limits = measure_limits(device);
    std::printf("# limits: copy %.3e bytes/s, %.3e bit counts/s", limits.bytes, limits.counts);
    if (options.backend == "cuda") {
        std::printf(" (by its properties %.3e)", counts_by_properties(properties));
    }
    std::printf("; an empty launch %.1f us\n", limits.launch * 1e6);

    bool agree = run_brute_force(device, limits, options);
    print_head();
    for (const std::uint64_t size : options.codes) {
        const Data data = make_data(size);
        for (const int distance : options.distances) {
            agree = run_join(device, data, distance, limits, options) && agree;
        }
    }
    if (!agree) {
        std::fputs("device_join: counts differ\n", stderr);
    }
    return agree ? 0 : 1;
}

// --- Arguments.

template <typename Number>
std::vector<Number> numbers(std::string_view text) {
    std::vector<Number> list;
    while (!text.empty()) {
        const std::string_view word = text.substr(0, text.find(','));
        double number = 0; // 1e6 is a number of codes, too
        const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
        if (error != std::errc() || end != word.data() + word.size()) {
            throw std::invalid_argument("not a number: " + std::string(word));
        }
        list.push_back(static_cast<Number>(number));
        text.remove_prefix(std::min(text.size(), word.size() + 1));
    }
    return list;
}

Options parse(std::span<char*> arguments) {
    Options options;
    const auto one = [](std::string_view text) { return numbers<double>(text).at(0); };
    const std::map<std::string_view, std::function<void(std::string_view)>> known{
        {"--backend", [&](auto text) { options.backend = text; }},
        {"--device", [&](auto text) { options.device = static_cast<std::uint32_t>(one(text)); }},
        {"--codes", [&](auto text) { options.codes = numbers<std::uint64_t>(text); }},
        {"--distances", [&](auto text) { options.distances = numbers<int>(text); }},
        {"--seconds", [&](auto text) { options.seconds = one(text); }},
        {"--cpu-seconds", [&](auto text) { options.cpu_seconds = one(text); }},
        {"--schemes", [&](auto text) { options.schemes = static_cast<std::size_t>(one(text)); }},
        {"--scheme", [&](auto text) { options.scheme = numbers<int>(text); }},
    };
    for (const std::string_view argument : arguments) {
        const std::size_t equals = argument.find('=');
        const auto found = known.find(argument.substr(0, equals));
        if (found == known.end() || equals == std::string_view::npos) {
            throw std::invalid_argument("no such argument: " + std::string(argument));
        }
        found->second(argument.substr(equals + 1));
    }
    if (options.backend.empty() || (!options.scheme.empty() && options.scheme.size() != 3)) {
        throw std::invalid_argument("--backend=cuda or opencl, and --scheme=PARTS,BLOCKS,BITS");
    }
    return options;
}

} // namespace
} // namespace vamhash

int main(int argc, char** argv) {
    try {
        return vamhash::run(vamhash::parse(std::span(argv, argc).subspan(1)));
    } catch (const vamhash::NoDevice& error) {
        std::fprintf(stderr, "device_join: %s: %s\n", error.what(), error.detail().c_str());
        return 2;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "device_join: %s\n", error.what());
        return 2;
    }
}
