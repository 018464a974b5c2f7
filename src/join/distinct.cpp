// Grouping by hashing in three steps: rows are partitioned into chunks by the upper bits of a hash
// of their value, a chunk's rows by the next bits into places for a few, both with counting; the
// values of a place are told apart one by one. The places stay as the directory to find a value by.
#include "join/distinct.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace vamhash {

namespace {

// Chunks of some thousand rows stay in the second-level cache while they are grouped.
constexpr int rows_per_chunk_bits = 11;
constexpr int most_chunk_bits = 12;
constexpr int rows_per_place_bits = 1; // 2 to 4
// So many values of a place are told apart by passing over its rows; then they are sorted.
constexpr int most_passes = 8;

// Every bit of the value reaches the upper bits.
std::uint64_t hash(std::uint64_t value) {
    return (value ^ value >> 32) * 0x9e3779b97f4a7c15;
}

// The upper `bits` bits of the hash.
std::uint64_t upper_bits(std::uint64_t hash, int bits) {
    return bits == 0 ? 0 : hash >> (64 - bits);
}

// Item `i` of n, the border of the i-th of `parts` equal parts.
std::size_t border(std::size_t n, unsigned i, unsigned parts) {
    return n * i / parts;
}

} // namespace

// The steps of the constructor.
class Distinct::Grouping {
  public:
    Grouping(Distinct& distinct, std::span<const std::uint64_t> codes, Workers& workers)
        : distinct_(distinct), codes_(codes), workers_(workers),
          chunk_rows_((std::size_t{1} << distinct.chunk_bits_) + 1) {}

    void run() {
        partition();
        group();
        gather();
    }

  private:
    // One thread's copy of a chunk.
    struct Scratch {
        std::vector<std::uint32_t> places;
        std::vector<std::uint64_t> values;
        std::vector<std::uint32_t> rows;
        std::vector<std::pair<std::uint64_t, std::uint32_t>> sorted; // value and row
    };

    void partition();
    void group();
    void gather();
    void group_chunk(std::size_t chunk, Scratch& scratch);

    Distinct& distinct_;
    std::span<const std::uint64_t> codes_;
    Workers& workers_;
    std::vector<std::uint32_t> chunk_rows_; // the borders of the chunks in rows
};

// Writes the rows' codes and numbers chunk by chunk.
void Distinct::Grouping::partition() {
    const int bits = distinct_.chunk_bits_;
    const std::size_t chunks = std::size_t{1} << bits;
    const unsigned workers = workers_.count();
    std::vector<std::vector<std::uint32_t>> places(workers, std::vector<std::uint32_t>(chunks));
    workers_.run([&](unsigned worker) {
        std::uint32_t* counts = places[worker].data();
        for (std::size_t row = border(codes_.size(), worker, workers);
             row < border(codes_.size(), worker + 1, workers); ++row) {
            ++counts[upper_bits(hash(codes_[row]), bits)];
        }
    });
    std::uint32_t place = 0;
    for (std::size_t chunk = 0; chunk < chunks; ++chunk) {
        chunk_rows_[chunk] = place;
        for (std::vector<std::uint32_t>& counts : places) {
            place += std::exchange(counts[chunk], place);
        }
    }
    chunk_rows_[chunks] = place;
    std::uint64_t* values = distinct_.spare_.data();
    std::uint32_t* rows = distinct_.rows_.data();
    workers_.run([&](unsigned worker) {
        std::uint32_t* next = places[worker].data();
        for (std::size_t row = border(codes_.size(), worker, workers);
             row < border(codes_.size(), worker + 1, workers); ++row) {
            const std::uint64_t code = codes_[row];
            const std::uint32_t to = next[upper_bits(hash(code), bits)]++;
            values[to] = code;
            rows[to] = static_cast<std::uint32_t>(row);
        }
    });
}

// Groups each chunk in place: its values at its beginning, its rows by group.
void Distinct::Grouping::group() {
    const std::size_t chunks = chunk_rows_.size() - 1;
    distinct_.chunks_.resize(chunks);
    std::vector<Scratch> scratch(workers_.count());
    workers_.run_tasks(
        chunks, [&](unsigned worker, std::uint64_t chunk) { group_chunk(chunk, scratch[worker]); });
    std::uint32_t values = 0;
    for (Chunk& chunk : distinct_.chunks_) {
        chunk.first_value = values;
        values += chunk.groups;
    }
    distinct_.size_ = values;
    distinct_.starts_[codes_.size()] = codes_.size();
}

void Distinct::Grouping::group_chunk(std::size_t chunk, Scratch& scratch) {
    const std::uint32_t begin = chunk_rows_[chunk];
    const std::uint32_t size = chunk_rows_[chunk + 1] - begin;
    const int bits = distinct_.place_bits_ - distinct_.chunk_bits_;
    const std::size_t places = std::size_t{1} << bits;
    std::uint64_t* values = distinct_.spare_.data() + begin;
    std::uint32_t* rows = distinct_.rows_.data() + begin;
    std::uint32_t* starts = distinct_.starts_.data() + begin;
    std::uint32_t* directory = distinct_.directory_.data() + (chunk << bits);

    scratch.places.assign(places + 1, 0);
    if (scratch.values.size() < size) {
        scratch.values.resize(size);
        scratch.rows.resize(size);
    }
    const auto place_of = [&](std::uint64_t value) {
        return upper_bits(hash(value), distinct_.place_bits_) & (places - 1);
    };
    for (std::uint32_t i = 0; i < size; ++i) {
        ++scratch.places[place_of(values[i])];
    }
    std::uint32_t sum = 0;
    for (std::uint32_t& place : scratch.places) {
        sum += std::exchange(place, sum);
    }
    for (std::uint32_t i = 0; i < size; ++i) {
        const std::uint32_t to = scratch.places[place_of(values[i])]++;
        scratch.values[to] = values[i];
        scratch.rows[to] = rows[i];
    }

    // Now places[i] is the end of place i.
    std::uint32_t groups = 0;
    std::uint32_t done = 0; // rows
    const auto start_group = [&](std::uint64_t value) {
        values[groups] = value;
        starts[groups] = begin + done;
        ++groups;
    };
    std::uint32_t first = 0;
    for (std::size_t place = 0; place < places; ++place) {
        directory[place] = groups;
        std::uint32_t end = scratch.places[place];
        const std::uint32_t next_place = end;
        for (int pass = 0; first < end && pass < most_passes; ++pass) {
            // Takes out the rows with the first one's value; the others move up, in their order.
            const std::uint64_t value = scratch.values[first];
            start_group(value);
            std::uint32_t kept = first;
            for (std::uint32_t i = first; i < end; ++i) {
                if (scratch.values[i] == value) {
                    rows[done++] = scratch.rows[i];
                } else {
                    scratch.values[kept] = scratch.values[i];
                    scratch.rows[kept] = scratch.rows[i];
                    ++kept;
                }
            }
            end = kept;
        }
        if (first < end) {
            scratch.sorted.clear();
            for (std::uint32_t i = first; i < end; ++i) {
                scratch.sorted.emplace_back(scratch.values[i], scratch.rows[i]);
            }
            std::sort(scratch.sorted.begin(), scratch.sorted.end());
            for (std::size_t i = 0; i < scratch.sorted.size(); ++i) {
                if (i == 0 || scratch.sorted[i].first != scratch.sorted[i - 1].first) {
                    start_group(scratch.sorted[i].first);
                }
                rows[done++] = scratch.sorted[i].second;
            }
        }
        first = next_place;
    }
    if (groups < size) {
        starts[groups] = begin + size;
    } // else that is the next chunk's first start
    distinct_.chunks_[chunk] = {begin, 0, groups};
}

// Copies the values together.
void Distinct::Grouping::gather() {
    workers_.run_tasks(distinct_.chunks_.size(), [&](unsigned, std::uint64_t number) {
        const Chunk& chunk = distinct_.chunks_[number];
        std::copy_n(distinct_.spare_.data() + chunk.first_row, chunk.groups,
                    distinct_.values_.data() + chunk.first_value);
    });
}

Distinct::Distinct(std::span<const std::uint64_t> codes, Workers& workers)
    : values_(codes.size()), spare_(codes.size()), rows_(codes.size()), starts_(codes.size() + 1) {
    const int bits = std::bit_width(codes.size());
    place_bits_ = std::max(0, bits - 1 - rows_per_place_bits);
    chunk_bits_ = std::clamp(bits - rows_per_chunk_bits, 0, std::min(most_chunk_bits, place_bits_));
    directory_ = LargeArray<std::uint32_t>(std::size_t{1} << place_bits_);
    Grouping(*this, codes, workers).run();
}

void Distinct::reorder(const BitOrder& order, Workers& workers) {
    order_ = order;
    workers.run([&](unsigned worker) {
        const std::size_t end = border(size_, worker + 1, workers.count());
        for (std::size_t i = border(size_, worker, workers.count()); i < end; ++i) {
            values_[i] = order.apply(values_[i]);
        }
    });
}

// The steps of a look-up, each for a batch of values, so that their cache misses overlap.
void Distinct::find(std::span<const std::uint64_t> values, std::uint32_t* groups) const {
    constexpr std::size_t batch = 64;
    std::uint32_t places[batch];
    const int bits = place_bits_ - chunk_bits_;
    for (std::size_t first = 0; first < values.size(); first += batch) {
        const std::size_t count = std::min(batch, values.size() - first);
        for (std::size_t i = 0; i < count; ++i) {
            places[i] = upper_bits(hash(order_.undo(values[first + i])), place_bits_);
            __builtin_prefetch(&directory_[places[i]]);
            __builtin_prefetch(&chunks_[places[i] >> bits]);
        }
        for (std::size_t i = 0; i < count; ++i) {
            __builtin_prefetch(
                &values_[chunks_[places[i] >> bits].first_value + directory_[places[i]]]);
        }
        for (std::size_t i = 0; i < count; ++i) {
            const Chunk& chunk = chunks_[places[i] >> bits];
            std::uint32_t group = directory_[places[i]];
            while (values_[chunk.first_value + group] != values[first + i]) {
                ++group;
            }
            groups[first + i] = chunk.first_row + group;
            __builtin_prefetch(&starts_[groups[first + i]]);
        }
        for (std::size_t i = 0; i < count; ++i) {
            __builtin_prefetch(&rows_[starts_[groups[first + i]]]);
        }
    }
}

} // namespace vamhash
