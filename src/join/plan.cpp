#include "join/plan.h"

#include "join/device_join.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace vamhash {

namespace {

constexpr int most_parts = 9;
constexpr int most_selected = 8;
constexpr double most_tables = 1500;
constexpr int most_local_bits = 12;
constexpr double half_filled_bucket = 128; // codes, on a device

// What the steps of the join take, in nanoseconds: measured on one core of a Zen 4 with uniform
// codes, 10^6 and 10^7 of them.
struct Costs {
    double shared = 2.0;       // partition of all codes, a code
    double shared_bit = 0.8;   // more for each bit above few_shared_bits
    double local = 1.3;        // partition of a chunk in the second-level cache, a code
    double local_beyond = 2.4; // and of a larger one
    double pass = 25;          // to gather and group the rows of a pass, a row
    double key = 0.5;          // a possible key of a chunk
    double code;               // compared in a bucket
    double pair;               // compared in a bucket
    double candidate;
};

constexpr int few_shared_bits = 8;
constexpr double cached_chunk = 80e3; // codes

Costs costs(Isa isa, int threshold) {
    switch (isa) {
    case Isa::avx512:
        return threshold <= 7 ? Costs{.code = 0.8, .pair = 0.036, .candidate = 8}
                              : Costs{.code = 2.4, .pair = 0.06, .candidate = 8};
    case Isa::avx2:
        return threshold <= 7    ? Costs{.code = 6, .pair = 0.075, .candidate = 12}
               : threshold <= 11 ? Costs{.code = 12, .pair = 0.09, .candidate = 12}
                                 : Costs{.code = 16, .pair = 0.12, .candidate = 12};
    case Isa::neon:
        // Not measured: AVX2's times, by the instructions of the inner loops. A pair takes 0.8
        // vector instructions up to threshold 8 and 1.5 above, where AVX2 takes 0.5 and 1 (up to 7
        // and from 12). Codes are not transposed. Counting and scattering by two runs of bits takes
        // 14 instructions a code more than by PEXT.
        return {.shared = 3.2,
                .local = 2.5,
                .local_beyond = 3.6,
                .code = threshold <= 8 ? 2.0 : 3.0,
                .pair = threshold <= 8 ? 0.11 : 0.18,
                .candidate = 12};
    default:
        return {.code = 2, .pair = 3, .candidate = 12};
    }
}

// The shape of a scheme: what make_scheme takes.
struct Shape {
    int parts;
    int selected;
    int key_bits;
};

// The bits by which codes are partitioned for all tables with the same first blocks.
int shared_bits(const Scheme& scheme, int key_bits, int selected) {
    return std::min(most_shared_bits, key_bits * scheme.shared_blocks / selected);
}

// The number of partitions of all codes in a part.
double shared_passes(const Part& part, int shared_blocks) {
    const int blocks = static_cast<int>(part.blocks.size());
    return binomial(blocks - (part.selected - shared_blocks), shared_blocks);
}

// Expected of a pair of values, over the tables: to share a key, and to be a candidate, too.
struct Chances {
    double same_bucket;
    double candidate;
};

Chances uniform_chances(const Scheme& scheme, int key_bits, int threshold) {
    double close = 0;
    for (int distance = 0; distance <= threshold; ++distance) {
        close += binomial(64, distance);
    }
    const double same = static_cast<double>(scheme.tables()) * std::exp2(-key_bits);
    return {same, same * close * std::exp2(-64 + key_bits)};
}

// The expected nanoseconds of a scheme; sets the shared blocks that make it cheapest.
double expected_cost(Scheme& scheme, const Shape& shape, const Chances& chances,
                     const PlanRequest& request, const Costs& cost) {
    const double values = request.all_values();
    const double pairs = request.pairs();
    const auto tables = static_cast<double>(scheme.tables());
    double best = std::numeric_limits<double>::max();
    int best_shared = 1;
    for (int shared_blocks = 1; shared_blocks <= shape.selected; ++shared_blocks) {
        scheme.shared_blocks = shared_blocks;
        double passes = 0;
        for (const Part& part : scheme.parts) {
            passes += shared_passes(part, shared_blocks);
        }
        const int shared = shared_bits(scheme, shape.key_bits, shape.selected);
        const int local = shape.key_bits - shared;
        const double chunk = values * std::exp2(-shared);
        double table = values * (chunk <= cached_chunk ? cost.local : cost.local_beyond);
        if (local > most_local_bits) {
            table += values * (local - most_local_bits);
        }
        if (local == 0) {
            table = 0;
        }
        table += std::exp2(shape.key_bits) * cost.key;
        const double pass = cost.shared + cost.shared_bit * std::max(0, shared - few_shared_bits);
        const double sum = passes * (values * pass + 20e3) + tables * table;
        if (sum < best) {
            best = sum;
            best_shared = shared_blocks;
        }
    }
    scheme.shared_blocks = best_shared;
    return best + tables * values * cost.code + pairs * chances.same_bucket * cost.pair +
           pairs * chances.candidate * cost.candidate;
}

// The same on a device, which partitions by the whole key, table by table.
double expected_cost(const Scheme& scheme, const Shape& shape, const Chances& chances,
                     const PlanRequest& request, const DeviceCosts& cost) {
    const double values = request.all_values();
    const auto tables = static_cast<double>(scheme.tables());
    // In a bucket, work-items that have no code wait for the others.
    const double bucket = std::max(1.0, values * chances.same_bucket / tables);
    const double waste = 1 + half_filled_bucket / bucket;
    return tables * (cost.table + values * cost.code + std::exp2(shape.key_bits) * cost.key) +
           request.pairs() *
               (chances.same_bucket * cost.pair * waste + chances.candidate * cost.candidate);
}

struct Option {
    Shape shape;
    Scheme scheme;
    double cost;
};

// The schemes worth a thought for sets of so many values.
std::vector<Option> options(int threshold, double fewest_values, double most_values) {
    std::vector<Option> options;
    const auto bits_of = [](double values) {
        return std::max(1, static_cast<int>(std::log2(std::max(values, 2.0))));
    };
    const int first_bits = std::max(3, bits_of(fewest_values) - 12);
    const int last_bits = bits_of(most_values) + 6;
    for (int parts = 1; parts <= std::min(threshold + 1, most_parts); ++parts) {
        for (int selected = 1; selected <= most_selected; ++selected) {
            for (int bits = first_bits; bits <= last_bits; ++bits) {
                Scheme scheme = make_scheme(threshold, parts, selected, bits);
                if (!scheme.parts.empty() && scheme.tables() <= most_tables) {
                    options.push_back({{parts, selected, bits}, std::move(scheme), 0});
                }
            }
        }
    }
    return options;
}

// Measures, on a sample, how often two values share the key of a table.
class Sample {
  public:
    explicit Sample(const PlanRequest& request)
        : request_(request),
          slots_(std::bit_ceil(std::max<std::size_t>(request.sample.size(), 8)) * 2) {}

    [[nodiscard]] Chances measure(const Scheme& scheme, const BitOrder& order);

  private:
    struct Slot {
        std::uint32_t round = 0; // of the use; any other is empty
        std::uint32_t count;
        std::uint64_t key;
        std::uint64_t last; // code
    };

    [[nodiscard]] Chances measure(std::uint64_t mask);
    Slot& slot_of(std::uint64_t key);

    static constexpr std::size_t tables_measured = 8;

    const PlanRequest& request_;
    std::vector<std::uint64_t> moved_; // the sample in the order of bits
    std::vector<std::uint64_t> moved_right_;
    std::vector<Slot> slots_;
    std::uint32_t round_ = 0;
};

// Looks at some of the tables, from all parts.
Chances Sample::measure(const Scheme& scheme, const BitOrder& order) {
    const auto move = [&](std::span<const std::uint64_t> codes, std::vector<std::uint64_t>& moved) {
        moved.clear();
        for (const std::uint64_t code : codes) {
            moved.push_back(order.apply(code));
        }
    };
    move(request_.sample, moved_);
    move(request_.right_sample, moved_right_);
    std::vector<std::uint64_t> masks;
    for (const Part& part : scheme.parts) {
        for (const Table& table : tables_of(part)) {
            masks.push_back(key_mask(part, table));
        }
    }
    const std::size_t measured = std::min(masks.size(), tables_measured);
    Chances sum{};
    for (std::size_t i = 0; i < measured; ++i) {
        const Chances chances = measure(masks[(2 * i + 1) * masks.size() / (2 * measured)]);
        sum.same_bucket += chances.same_bucket;
        sum.candidate += chances.candidate;
    }
    const double scale = static_cast<double>(masks.size()) / static_cast<double>(measured);
    return {sum.same_bucket * scale, sum.candidate * scale};
}

// The slot of a key; if it is not of this round, the key is new.
Sample::Slot& Sample::slot_of(std::uint64_t key) {
    std::size_t i = (key * 0x9e3779b97f4a7c15) >> (64 - std::countr_zero(slots_.size()));
    while (slots_[i].round == round_ && slots_[i].key != key) {
        i = (i + 1) & (slots_.size() - 1);
    }
    return slots_[i];
}

// Counts the pairs with equal keys, and takes the share of those within the threshold from pairs of
// codes that follow each other in a bucket; of two sets, from a code of the right one and the last
// of the left one.
Chances Sample::measure(std::uint64_t mask) {
    ++round_;
    double same = 0;
    double looked_at = 0;
    double close = 0;
    const auto look_at = [&](const Slot& slot, std::uint64_t code) {
        same += slot.count;
        looked_at += 1;
        close += static_cast<double>(std::popcount(slot.last ^ code) <= request_.threshold);
    };
    for (const std::uint64_t code : moved_) {
        Slot& slot = slot_of(code & mask);
        if (slot.round != round_) {
            slot = {round_, 1, code & mask, code};
            continue;
        }
        if (request_.self()) {
            look_at(slot, code);
        }
        ++slot.count;
        slot.last = code;
    }
    for (const std::uint64_t code : moved_right_) {
        const Slot& slot = slot_of(code & mask);
        if (slot.round == round_) {
            look_at(slot, code);
        }
    }
    const auto n = static_cast<double>(moved_.size());
    const double others = request_.self() ? (n - 1) / 2 : static_cast<double>(moved_right_.size());
    const double pairs = std::max(1.0, n * others);
    return {same / pairs, looked_at == 0 ? 0 : same / pairs * close / looked_at};
}

} // namespace

std::string describe(const Plan& plan) {
    if (plan.one_bucket) {
        return "brute force over distinct values";
    }
    const std::vector<Part>& parts = plan.scheme.parts;
    std::string words = std::to_string(parts.size()) + (parts.size() == 1 ? " part (" : " parts (");
    for (const Part& part : parts) {
        words += (&part == parts.data() ? "" : ", ") +
                 std::to_string(static_cast<int>(part.blocks.size()) - part.selected);
    }
    const int selected = parts[0].selected;
    return words + "), keys of " + std::to_string(selected) +
           (selected == 1 ? " block" : " blocks");
}

std::size_t sample_size(std::size_t values) {
    constexpr std::size_t values_per_sample = 64;
    constexpr std::size_t smallest_sample = 2048;
    constexpr std::size_t largest_sample = 8192;
    return std::min(values,
                    std::clamp(values / values_per_sample, smallest_sample, largest_sample));
}

std::vector<Scheme> possible_schemes(int threshold, double values) {
    std::vector<Scheme> schemes;
    for (Option& option : options(threshold, values, values)) {
        schemes.push_back(std::move(option.scheme));
    }
    return schemes;
}

double brute_force_seconds(double pairs, int threshold, Isa isa) {
    return pairs * costs(isa, threshold).pair * 1e-9;
}

Plan plan_brute_force(const PlanRequest& request) {
    const double seconds =
        request.device ? (request.device->table + request.pairs() * request.device->pair) * 1e-9
                       : brute_force_seconds(request.pairs(), request.threshold, request.isa);
    return {.scheme = one_bucket(),
            .order = {},
            .seconds = seconds,
            .one_bucket = true,
            .on_device = request.device.has_value()};
}

// A multiprocessor of a GPU counts the bits of 16 words of 32 bits in a cycle (CUDA C++ Programming
// Guide, Throughput of Native Arithmetic Instructions), and half of that is expected of a kernel. A
// code is read twice, counted and placed by an atomic operation each, and written: 0.05 ns on 132
// multiprocessors. Nothing of this has been measured on a GPU.
DeviceCosts device_costs(const plugin::DeviceProperties& device, std::uint64_t memory_limit,
                         int threshold) {
    const double units = std::max(1U, device.compute_units);
    const double cycles = units * (device.clock_mhz == 0 ? 1.5 : device.clock_mhz * 1e-3); // a ns
    const double words = threshold <= most_narrow_threshold ? 1 : 2;
    DeviceCosts costs{};
    costs.table = 100e3;
    costs.code = 6.6 / units;
    costs.key = 0.4 * costs.code;
    costs.pair = words / (8 * cycles);
    costs.candidate = 10 * costs.pair;
    if (device.is_gpu == 0) {
        costs = {.table = 300e3,
                 .code = 10 / units,
                 .key = 2 / units,
                 .pair = words / cycles,
                 .candidate = 10 / units,
                 .most_key_bits = 0};
    }
    const std::uint64_t memory =
        memory_limit == 0 ? device.memory_bytes : std::min(memory_limit, device.memory_bytes);
    while (costs.most_key_bits < most_device_key_bits &&
           DeviceJoin::key_bytes(costs.most_key_bits + 1) <= memory / 4) {
        ++costs.most_key_bits;
    }
    return costs;
}

Plan plan_join(const PlanRequest& request) {
    Costs cost = costs(request.isa, request.threshold);
    if (request.in_passes) {
        cost.shared += cost.pass;
    }
    const double candidate_cost = request.device ? request.device->candidate : cost.candidate;
    const auto cost_of = [&](Option& option, const Chances& chances) {
        return request.device
                   ? expected_cost(option.scheme, option.shape, chances, request, *request.device)
                   : expected_cost(option.scheme, option.shape, chances, request, cost);
    };
    Plan plan = plan_brute_force(request);
    const double all_pairs = request.pairs();

    // First as if the codes were uniform.
    const double other_values = request.self() ? request.values : request.right_values;
    std::vector<Option> choices = options(request.threshold, std::min(request.values, other_values),
                                          std::max(request.values, other_values));
    if (request.device) {
        std::erase_if(choices, [&](const Option& option) {
            return longest_key(option.scheme) > request.device->most_key_bits;
        });
    }
    if (choices.empty()) {
        return plan;
    }
    const auto key_bits = [](const Option& option) {
        const Part& part = option.scheme.parts[0];
        double bits = 0;
        for (const std::uint64_t block : part.blocks) {
            bits += std::popcount(block);
        }
        return bits * part.selected / static_cast<double>(part.blocks.size());
    };
    const auto rank = [&](double bits_a_bit) {
        for (Option& option : choices) {
            Chances chances =
                uniform_chances(option.scheme, option.shape.key_bits, request.threshold);
            chances.same_bucket = static_cast<double>(option.scheme.tables()) *
                                  std::exp2(-key_bits(option) * bits_a_bit);
            option.cost = cost_of(option, chances);
        }
        std::sort(choices.begin(), choices.end(),
                  [](const Option& a, const Option& b) { return a.cost < b.cost; });
    };
    rank(1);
    if (request.allow_one_bucket && choices[0].cost * 1e-9 > plan.seconds) {
        return plan;
    }

    // If the sample looks uniform, that is all.
    Sample sample(request);
    Chances chances = sample.measure(choices[0].scheme, plan.order);
    const double uniform =
        static_cast<double>(choices[0].scheme.tables()) * std::exp2(-key_bits(choices[0]));
    const bool agrees = chances.same_bucket < 1.5 * uniform;
    if (agrees && all_pairs * chances.candidate * candidate_cost < 0.25 * choices[0].cost) {
        plan.scheme = choices[0].scheme;
        plan.one_bucket = false;
        plan.seconds = choices[0].cost * 1e-9;
        return plan;
    }

    // The order of bits in which the keys of that scheme agree least.
    if (!agrees) {
        const BitOrder orders[] = {BitOrder::transposed(), BitOrder::strided(5),
                                   BitOrder::strided(11), BitOrder::strided(19),
                                   BitOrder::strided(27)};
        for (const BitOrder& order : orders) {
            const Chances other = sample.measure(choices[0].scheme, order);
            if (other.same_bucket < 0.9 * chances.same_bucket) {
                chances = other;
                plan.order = order;
            }
        }
    }

    // Ranks again by the bits that a bit of the key is worth, and measures the best.
    constexpr std::size_t finalists = 4;
    double best = std::numeric_limits<double>::max();
    for (int round = 0; round < 2; ++round) {
        const double bits =
            -std::log2(chances.same_bucket / static_cast<double>(choices[0].scheme.tables()));
        rank(std::clamp(bits / key_bits(choices[0]), 0.05, 1.0));
        for (std::size_t i = 0; i < std::min(finalists, choices.size()); ++i) {
            Option& option = choices[i];
            const Chances measured = sample.measure(option.scheme, plan.order);
            option.cost = cost_of(option, measured);
            if (i == 0) {
                chances = measured;
            }
            if (option.cost < best) {
                best = option.cost;
                plan.scheme = option.scheme;
            }
        }
    }
    if (request.allow_one_bucket && best * 1e-9 > plan.seconds) {
        plan.scheme = one_bucket();
        plan.order = BitOrder();
        return plan;
    }
    plan.one_bucket = false;
    plan.seconds = best * 1e-9;
    return plan;
}

} // namespace vamhash
