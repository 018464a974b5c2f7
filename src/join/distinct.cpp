// Grouping by hashing in three steps: rows are partitioned into chunks by the upper bits of a hash
// of their value, a chunk's rows by the next bits into places for a few, both with counting; the
// values of a place are told apart one by one. The places stay as the directory to find a value by.
#include "join/distinct.h"

#include <algorithm>
#include <array>
#include <atomic>
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

// So many rows, a millisecond or two, does a thread go through between two looks at the others.
constexpr std::size_t rows_at_once = 65536;
// So many rows are selected at a time; the selection stays in the first-level cache.
constexpr std::size_t selection = 4096;

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
    // `range` may be null: all rows.
    Grouping(Distinct& distinct, std::span<const std::uint64_t> codes, const KeyRange* range,
             const PartitionKernels* kernels, Workers& workers)
        : distinct_(distinct), codes_(codes), range_(range), kernels_(kernels), workers_(workers),
          chunk_rows_((std::size_t{1} << distinct.chunk_bits_) + 1),
          chunk_largest_(std::size_t{1} << distinct.chunk_bits_) {}

    void run() {
        partition();
        group();
        gather();
    }

  private:
    // One thread's copy of a chunk.
    struct Scratch {
        std::vector<std::uint32_t> places;
        LargeArray<std::uint64_t> values;
        LargeArray<std::uint32_t> rows;
        std::vector<std::pair<std::uint64_t, std::uint32_t>> sorted; // value and row
    };

    void partition();
    void group();
    void gather();
    void group_chunk(std::size_t chunk, Scratch& scratch);
    std::uint32_t find_groups(std::size_t chunk, Scratch& scratch);

    // Calls work(begin, end) for pieces of [begin, end).
    template <typename Work>
    void in_pieces(std::size_t begin, std::size_t end, const Work& work) {
        for (; begin < end; begin += rows_at_once) {
            workers_.check();
            work(begin, std::min(begin + rows_at_once, end));
        }
    }

    // Calls work(row) for the worker's share of the rows.
    template <typename Work>
    void for_each_row(unsigned worker, const Work& work) {
        in_pieces(border(codes_.size(), worker, workers_.count()),
                  border(codes_.size(), worker + 1, workers_.count()),
                  [&](std::size_t begin, std::size_t end) {
                      if (range_ == nullptr) {
                          for (std::size_t row = begin; row < end; ++row) {
                              work(row);
                          }
                      } else {
                          for_each_selected(begin, end, work);
                      }
                  });
    }

    template <typename Work>
    void for_each_selected(std::size_t begin, std::size_t end, const Work& work) {
        std::array<std::uint32_t, selection> selected;
        for (; begin < end; begin += selection) {
            const std::size_t count =
                kernels_->select(codes_.data() + begin, std::min(selection, end - begin),
                                 range_->key, range_->first, range_->end, selected.data());
            for (std::size_t i = 0; i < count; ++i) {
                work(begin + selected[i]);
            }
        }
    }

    Distinct& distinct_;
    std::span<const std::uint64_t> codes_;
    const KeyRange* range_;
    const PartitionKernels* kernels_;
    Workers& workers_;
    std::vector<std::uint32_t> chunk_rows_;    // the borders of the chunks in rows
    std::vector<std::uint32_t> chunk_largest_; // the rows of each chunk's largest group
    std::atomic<std::uint64_t> equal_pairs_ = 0;
};

// Writes the rows' codes and numbers chunk by chunk.
void Distinct::Grouping::partition() {
    const int bits = distinct_.chunk_bits_;
    const std::size_t chunks = std::size_t{1} << bits;
    const unsigned workers = workers_.count();
    std::vector<std::vector<std::uint32_t>> places(workers, std::vector<std::uint32_t>(chunks));
    workers_.run([&](unsigned worker) {
        std::uint32_t* counts = places[worker].data();
        for_each_row(worker,
                     [&](std::size_t row) { ++counts[upper_bits(hash(codes_[row]), bits)]; });
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
        for_each_row(worker, [&](std::size_t row) {
            const std::uint64_t code = codes_[row];
            const std::uint32_t to = next[upper_bits(hash(code), bits)]++;
            values[to] = code;
            rows[to] = static_cast<std::uint32_t>(row);
        });
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
    distinct_.starts_[distinct_.row_count()] = static_cast<std::uint32_t>(distinct_.row_count());
    distinct_.equal_pairs_ = equal_pairs_;
    distinct_.largest_group_ = *std::max_element(chunk_largest_.begin(), chunk_largest_.end());
}

void Distinct::Grouping::group_chunk(std::size_t chunk, Scratch& scratch) {
    const std::uint32_t begin = chunk_rows_[chunk];
    const std::uint32_t size = chunk_rows_[chunk + 1] - begin;
    const std::uint32_t groups = find_groups(chunk, scratch);
    distinct_.chunks_[chunk] = {begin, 0, groups};
    if (groups == size) {
        chunk_largest_[chunk] = size == 0 ? 0 : 1;
        return; // the next chunk writes where the last group ends
    }
    std::uint32_t* starts = distinct_.starts_.data() + begin;
    starts[groups] = begin + size;
    std::uint64_t pairs = 0;
    std::uint32_t largest = 0;
    for (std::uint32_t i = 0; i < groups; ++i) {
        const std::uint32_t rows = starts[i + 1] - starts[i];
        pairs += std::uint64_t{rows} * (rows - 1) / 2;
        largest = std::max(largest, rows);
    }
    equal_pairs_.fetch_add(pairs, std::memory_order_relaxed);
    chunk_largest_[chunk] = largest;
}

// Writes the groups of a chunk; returns their number.
std::uint32_t Distinct::Grouping::find_groups(std::size_t chunk, Scratch& scratch) {
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
        scratch.values = {}; // before the new one: not both at a time
        scratch.rows = {};
        scratch.values = LargeArray<std::uint64_t>(size);
        scratch.rows = LargeArray<std::uint32_t>(size);
    }
    const auto place_of = [&](std::uint64_t value) {
        return upper_bits(hash(value), distinct_.place_bits_) & (places - 1);
    };
    in_pieces(0, size, [&](std::size_t first, std::size_t end) {
        for (std::size_t i = first; i < end; ++i) {
            ++scratch.places[place_of(values[i])];
        }
    });
    std::uint32_t sum = 0;
    for (std::uint32_t& place : scratch.places) {
        sum += std::exchange(place, sum);
    }
    in_pieces(0, size, [&](std::size_t first, std::size_t end) {
        for (std::size_t i = first; i < end; ++i) {
            const std::uint32_t to = scratch.places[place_of(values[i])]++;
            scratch.values[to] = values[i];
            scratch.rows[to] = rows[i];
        }
    });

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
            in_pieces(first, end, [&](std::size_t piece, std::size_t piece_end) {
                for (std::size_t i = piece; i < piece_end; ++i) {
                    if (scratch.values[i] == value) {
                        rows[done++] = scratch.rows[i];
                    } else {
                        scratch.values[kept] = scratch.values[i];
                        scratch.rows[kept] = scratch.rows[i];
                        ++kept;
                    }
                }
            });
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
    return groups;
}

// Copies the values together.
void Distinct::Grouping::gather() {
    workers_.run_tasks(distinct_.chunks_.size(), [&](unsigned, std::uint64_t number) {
        const Chunk& chunk = distinct_.chunks_[number];
        std::copy_n(distinct_.spare_.data() + chunk.first_row, chunk.groups,
                    distinct_.values_.data() + chunk.first_value);
    });
}

// The bits of a hash that tell places apart.
int Distinct::place_bits(std::size_t rows) {
    return std::max(0, static_cast<int>(std::bit_width(rows)) - 1 - rows_per_place_bits);
}

std::size_t Distinct::most_bytes(std::size_t rows) {
    // At first the scratch of threads, which for equal rows is as large as all of them; then, in
    // the join, the codes of a hot chunk, which are fewer bytes.
    constexpr std::size_t scratch = sizeof(std::uint64_t) + sizeof(std::uint32_t);
    return 2 * LargeArray<std::uint64_t>::bytes_for(rows) +
           2 * LargeArray<std::uint32_t>::bytes_for(rows + 1) +
           LargeArray<std::uint32_t>::bytes_for(std::size_t{1} << place_bits(rows)) +
           LargeArray<std::uint8_t>::bytes_for(rows * scratch);
}

Distinct::Distinct(std::size_t most_rows)
    : values_(most_rows), spare_(most_rows), rows_(most_rows), starts_(most_rows + 1),
      directory_(std::size_t{1} << place_bits(most_rows)) {}

Distinct::Distinct(std::span<const std::uint64_t> codes, Workers& workers)
    : Distinct(codes.size()) {
    set_row_count(codes.size());
    Grouping(*this, codes, nullptr, nullptr, workers).run();
}

void Distinct::regroup(std::span<const std::uint64_t> codes, const KeyRange& range,
                       const PartitionKernels& kernels, Workers& workers) {
    order_ = BitOrder();
    set_row_count(range.rows);
    Grouping(*this, codes, &range, &kernels, workers).run();
}

void Distinct::set_row_count(std::size_t rows) {
    row_count_ = rows;
    const int bits = std::bit_width(rows);
    place_bits_ = place_bits(rows);
    chunk_bits_ = std::clamp(bits - rows_per_chunk_bits, 0, std::min(most_chunk_bits, place_bits_));
}

void Distinct::reorder(const BitOrder& order, Workers& workers) {
    order_ = order;
    if (!order.changes()) {
        return;
    }
    workers.run([&](unsigned worker) {
        const std::size_t end = border(size_, worker + 1, workers.count());
        for (std::size_t i = border(size_, worker, workers.count()); i < end; ++i) {
            if (i % rows_at_once == 0) {
                workers.check();
            }
            values_[i] = order.apply(values_[i]);
        }
    });
}

std::uint32_t Distinct::find(std::uint64_t value) const {
    const std::size_t place = upper_bits(hash(value), place_bits_);
    const int bits = place_bits_ - chunk_bits_;
    const Chunk& chunk = chunks_[place >> bits];
    const bool last = (place + 1) % (std::size_t{1} << bits) == 0;
    const std::uint32_t end = last ? chunk.groups : directory_[place + 1];
    const std::uint64_t moved = order_.apply(value);
    for (std::uint32_t group = directory_[place]; group < end; ++group) {
        if (values_[chunk.first_value + group] == moved) {
            return chunk.first_row + group;
        }
    }
    return none;
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
