// The tables of a scheme (join/scheme.h), one after another.
//
// Rows with equal codes are pairs of distance 0, emitted first; from then on only distinct values
// are compared.
//
// Tables of a part that share their first blocks share a partition of all values into chunks by
// those blocks' bits, written to the spare array by all threads together. Threads then take chunks,
// the largest first. For each table, a thread partitions its chunk by the rest of the key into
// buckets, in cache, and compares within them (join/bucket.h). Candidates that belong to an earlier
// table are dropped; the others are looked up in the distinct values, a batch at a time, and
// multiplied out to pairs of rows.
//
// A chunk that is too large for one thread, or the buckets of which are, is put aside. When the
// other chunks are done, all threads partition it together, and take its buckets in tiles.
//
// Memory: the values twice, and each thread's chunk. A limit on memory would be kept here: by
// partitioning only a range of the first keys at a time.
#include "join/block_join.h"

#include "join/bucket.h"
#include "join/partition.h"
#include "join/triangle.h"

#include <algorithm>
#include <bit>
#include <memory>
#include <numeric>
#include <utility>

namespace vamhash {

namespace {

// Chunks above are partitioned by all threads.
constexpr std::size_t largest_chunk = std::size_t{1} << 17;
// So many comparisons, some milliseconds, may one thread do between two looks at the others.
constexpr double most_pairs_at_once = double(1 << 25);
constexpr std::size_t rows_per_task = 1024;

// A table ready to run.
struct Step {
    KeyBits key; // without the shared bits
    Comparison comparison;
    EmissionRule rule;
};

// The tables with the same first blocks.
struct SharedTables {
    KeyBits key;
    std::vector<Step> steps;
};

// One thread's candidates on their way to pairs of rows.
class Emission {
  public:
    Emission(const JoinInput& input, const Distinct& distinct, const BucketKernels& kernels,
             PairOutput& output)
        : distinct_(distinct), kernels_(kernels), batch_(input, output) {
        candidates_.count = 0;
        candidates_.flush = [](Candidates& full) { static_cast<Emission*>(full.owner)->select(); };
        candidates_.owner = this;
    }
    Emission(const Emission&) = delete;
    Emission& operator=(const Emission&) = delete;

    // Where the kernels put the candidates of the tables with this rule.
    Candidates& candidates_of(const EmissionRule& rule) {
        if (rule_ != &rule) {
            select();
            rule_ = &rule;
        }
        return candidates_;
    }

    // The pairs of equal codes of rows_per_task rows, number `task` of those in the distinct
    // values' order, with the rows behind them.
    void emit_equal(std::uint64_t task);

    // Sends all that is left.
    void finish() {
        select();
        emit_found();
        batch_.send();
    }

    [[nodiscard]] bool stopped() const { return batch_.stopped(); }

  private:
    void select();
    void emit_found();

    static constexpr std::size_t most_found = 2 * Candidates::capacity;

    const Distinct& distinct_;
    const BucketKernels& kernels_;
    PairBatch batch_;
    const EmissionRule* rule_ = nullptr;
    Candidates candidates_;
    std::size_t found_ = 0;
    std::uint64_t left_[most_found];
    std::uint64_t right_[most_found];
    std::uint32_t left_groups_[most_found];
    std::uint32_t right_groups_[most_found];
};

// Keeps the candidates that belong to the present table.
void Emission::select() {
    if (candidates_.count == 0) {
        return;
    }
    const std::size_t kept = stopped() ? 0 : kernels_.select_new(candidates_, *rule_);
    candidates_.count = 0;
    std::copy_n(candidates_.left, kept, left_ + found_);
    std::copy_n(candidates_.right, kept, right_ + found_);
    found_ += kept;
    if (found_ + Candidates::capacity > most_found) {
        emit_found();
    }
}

// Multiplies pairs of codes out to pairs of rows.
void Emission::emit_found() {
    const std::size_t found = std::exchange(found_, 0);
    distinct_.find({left_, found}, left_groups_);
    distinct_.find({right_, found}, right_groups_);
    for (std::size_t i = 0; i < found; ++i) {
        const auto distance = static_cast<std::uint32_t>(std::popcount(left_[i] ^ right_[i]));
        for (const std::uint32_t a : distinct_.rows(left_groups_[i])) {
            for (const std::uint32_t b : distinct_.rows(right_groups_[i])) {
                batch_.add(a, b, distance);
            }
            if (stopped()) {
                return;
            }
        }
    }
}

void Emission::emit_equal(std::uint64_t task) {
    const std::span<const Distinct::Chunk> chunks = distinct_.chunks();
    const std::size_t begin = task * rows_per_task;
    const std::size_t end = std::min(begin + rows_per_task, distinct_.row_count());
    auto chunk = std::upper_bound(
                     chunks.begin(), chunks.end(), begin,
                     [](std::size_t row, const Distinct::Chunk& c) { return row < c.first_row; }) -
                 1;
    for (; chunk != chunks.end() && chunk->first_row < end; ++chunk) {
        for (std::uint32_t i = distinct_.group_at(*chunk, begin);
             i < chunk->groups && distinct_.start(chunk->first_row + i) < end; ++i) {
            const std::uint32_t group = chunk->first_row + i;
            const std::span<const std::uint32_t> rows = distinct_.rows(group);
            if (rows.size() < 2) {
                continue;
            }
            const std::size_t start = distinct_.start(group);
            const std::size_t first = std::max(begin, start) - start;
            const std::size_t last = std::min(end - start, rows.size());
            for (std::size_t a = first; a < last; ++a) {
                for (std::size_t b = a + 1; b < rows.size(); ++b) {
                    batch_.add(rows[a], rows[b], 0);
                }
                if (stopped()) {
                    return;
                }
            }
        }
    }
}

// One call of block_join.
class BlockJoin {
  public:
    BlockJoin(const JoinInput& input, const Plan& plan, const Distinct& distinct, Isa isa,
              Workers& workers, PairOutput& output)
        : input_(input), plan_(plan), distinct_(distinct), partition_(partition_kernels_for(isa)),
          bucket_(bucket_kernels_for(isa)), workers_(workers) {
        for (std::size_t part = 0; part < plan.scheme.parts.size(); ++part) {
            add_tables(part);
        }
        for (unsigned i = 0; i < workers.count(); ++i) {
            threads_.push_back(std::make_unique<Thread>(input, distinct, bucket_, output));
        }
    }

    void run();

  private:
    struct Thread {
        Thread(const JoinInput& input, const Distinct& distinct, const BucketKernels& kernels,
               PairOutput& output)
            : emission(input, distinct, kernels, output) {}

        Emission emission;
        LargeArray<std::uint64_t> codes;
        std::vector<std::uint32_t> borders;
        std::vector<std::uint32_t> hot_chunks; // chunk and step, one after the other
    };

    void add_tables(std::size_t part);
    void run_tables(const SharedTables& tables);
    void run_chunk(const SharedTables& tables, std::size_t chunk, Thread& thread);
    void run_hot_chunk(std::span<const std::uint64_t> codes, const Step& step);
    void compare_tile(std::span<const std::uint64_t> bucket, std::uint64_t tile, const Step& step,
                      Emission& emission);
    std::vector<std::uint32_t> partition_together(std::span<const std::uint64_t> codes,
                                                  const KeyBits& key, std::uint64_t* out);

    const JoinInput& input_;
    const Plan& plan_;
    const Distinct& distinct_;
    const PartitionKernels& partition_;
    const BucketKernels& bucket_;
    Workers& workers_;
    std::vector<SharedTables> tables_; // stay: the emissions refer to their rules
    std::vector<std::unique_ptr<Thread>> threads_;
    std::vector<std::uint32_t> chunk_borders_;
    LargeArray<std::uint64_t> hot_codes_;
};

void BlockJoin::run() {
    const std::size_t rows = distinct_.row_count();
    if (distinct_.values().size() < rows) {
        workers_.run_tasks((rows + rows_per_task - 1) / rows_per_task,
                           [&](unsigned worker, std::uint64_t task) {
                               threads_[worker]->emission.emit_equal(task);
                           });
    }
    if (input_.threshold() > 0) {
        for (const SharedTables& tables : tables_) {
            run_tables(tables);
        }
    }
    workers_.run([&](unsigned worker) { threads_[worker]->emission.finish(); });
}

// Adds the tables of a part, by their first blocks. The shared key takes so many of those blocks'
// bits as a partition is fast with; the others are left to the steps.
void BlockJoin::add_tables(std::size_t part) {
    const Part& blocks = plan_.scheme.parts[part];
    std::uint64_t last_prefix = ~0ULL;
    for (const Table& table : tables_of(blocks)) {
        const std::size_t count =
            std::min<std::size_t>(plan_.scheme.shared_blocks, table.blocks.size());
        const std::uint64_t prefix = key_mask(blocks, table, count);
        if (tables_.empty() || prefix != last_prefix) {
            last_prefix = prefix;
            std::uint64_t mask = 0;
            for (std::uint64_t rest = prefix; rest != 0 && std::popcount(mask) < most_shared_bits;
                 rest &= rest - 1) {
                mask |= rest & -rest;
            }
            tables_.push_back({key_bits(mask), {}});
        }
        const std::uint64_t mask = key_mask(blocks, table);
        tables_.back().steps.push_back({key_bits(mask & ~tables_.back().key.mask),
                                        comparison_for(mask, input_.threshold()),
                                        emission_rule(plan_.scheme, part, table)});
    }
}

// Partitions codes by all threads: each counts and then scatters an equal share of them.
std::vector<std::uint32_t> BlockJoin::partition_together(std::span<const std::uint64_t> codes,
                                                         const KeyBits& key, std::uint64_t* out) {
    const std::size_t keys = std::size_t{1} << key.bits;
    const unsigned workers = workers_.count();
    std::vector<std::vector<std::uint32_t>> places(workers, std::vector<std::uint32_t>(keys));
    const auto share = [&](unsigned worker) {
        const std::size_t begin = codes.size() * worker / workers;
        return codes.subspan(begin, codes.size() * (worker + 1) / workers - begin);
    };
    workers_.run([&](unsigned worker) {
        partition_.count(share(worker).data(), share(worker).size(), key, places[worker].data());
    });
    std::vector<std::uint32_t> borders(keys + 1);
    std::uint32_t place = 0;
    for (std::size_t i = 0; i < keys; ++i) {
        borders[i] = place;
        for (std::vector<std::uint32_t>& counts : places) {
            place += std::exchange(counts[i], place);
        }
    }
    borders[keys] = place;
    workers_.run([&](unsigned worker) {
        partition_.scatter(share(worker).data(), share(worker).size(), key, places[worker].data(),
                           out);
    });
    return borders;
}

// Partitions all values, and compares them in the tables with these first blocks.
void BlockJoin::run_tables(const SharedTables& tables) {
    chunk_borders_ = partition_together(distinct_.values(), tables.key, distinct_.spare());
    std::vector<std::uint32_t> order(chunk_borders_.size() - 1);
    std::iota(order.begin(), order.end(), 0);
    const auto size = [&](std::uint32_t chunk) {
        return chunk_borders_[chunk + 1] - chunk_borders_[chunk];
    };
    std::sort(order.begin(), order.end(),
              [&](std::uint32_t a, std::uint32_t b) { return size(a) > size(b); });
    std::size_t largest = 0;
    for (const std::uint32_t chunk : order) {
        if (size(chunk) <= largest_chunk) {
            largest = size(chunk);
            break;
        }
    }
    workers_.run_tasks(order.size(), [&](unsigned worker, std::uint64_t task) {
        Thread& thread = *threads_[worker];
        if (thread.codes.size() < largest) {
            thread.codes = LargeArray<std::uint64_t>(largest);
        }
        run_chunk(tables, order[task], thread);
    });
    for (const std::unique_ptr<Thread>& thread : threads_) {
        const std::vector<std::uint32_t> hot = std::exchange(thread->hot_chunks, {});
        for (std::size_t i = 0; i < hot.size(); i += 2) {
            run_hot_chunk({distinct_.spare() + chunk_borders_[hot[i]], size(hot[i])},
                          tables.steps[hot[i + 1]]);
        }
    }
}

// Partitions a chunk into the buckets of one table after another, and compares within them.
void BlockJoin::run_chunk(const SharedTables& tables, std::size_t chunk, Thread& thread) {
    const std::uint64_t* codes = distinct_.spare() + chunk_borders_[chunk];
    const std::size_t size = chunk_borders_[chunk + 1] - chunk_borders_[chunk];
    if (size < 2) {
        return;
    }
    for (std::size_t i = 0; i < tables.steps.size() && !workers_.stopped(); ++i) {
        const Step& step = tables.steps[i];
        const auto put_aside = [&] {
            thread.hot_chunks.push_back(static_cast<std::uint32_t>(chunk));
            thread.hot_chunks.push_back(static_cast<std::uint32_t>(i));
        };
        if (size > largest_chunk) {
            put_aside();
            continue;
        }
        // borders[1 + key] counts a key's codes, then is where its next code goes, and at last
        // where the next key begins.
        const std::size_t keys = std::size_t{1} << step.key.bits;
        thread.borders.assign(keys + 1, 0);
        std::uint32_t* places = thread.borders.data() + 1;
        partition_.count(codes, size, step.key, places);
        std::uint32_t place = 0;
        double pairs = 0;
        bool large = false;
        for (std::size_t key = 0; key < keys; ++key) {
            const std::uint32_t count = places[key];
            pairs += static_cast<double>(count) * count;
            large = large || count > largest_bucket;
            places[key] = place;
            place += count;
        }
        if (pairs > 2 * most_pairs_at_once) {
            put_aside();
            continue;
        }
        partition_.scatter(codes, size, step.key, places, thread.codes.data());
        bucket_.compare_buckets(thread.codes.data(), thread.borders.data(), keys, step.comparison,
                                thread.emission.candidates_of(step.rule));
        for (std::size_t key = 0; large && key < keys; ++key) {
            const std::span bucket(thread.codes.data() + thread.borders[key],
                                   thread.borders[key + 1] - thread.borders[key]);
            if (bucket.size() > largest_bucket) {
                const Triangle triangle((bucket.size() + largest_bucket - 1) / largest_bucket);
                for (std::uint64_t tile = 0; tile < triangle.tiles(); ++tile) {
                    compare_tile(bucket, tile, step, thread.emission);
                }
            }
        }
    }
}

// Compares the codes of a chunk in a table, by all threads.
void BlockJoin::run_hot_chunk(std::span<const std::uint64_t> codes, const Step& step) {
    if (hot_codes_.size() < codes.size()) {
        hot_codes_ = LargeArray<std::uint64_t>(codes.size());
    }
    const std::vector<std::uint32_t> borders =
        partition_together(codes, step.key, hot_codes_.data());
    // The borders of the buckets in tiles.
    std::vector<std::uint64_t> tiles{0};
    for (std::size_t key = 0; key + 1 < borders.size(); ++key) {
        const std::size_t size = borders[key + 1] - borders[key];
        tiles.push_back(tiles.back() +
                        Triangle((size + largest_bucket - 1) / largest_bucket).tiles());
    }
    workers_.run_tasks(tiles.back(), [&](unsigned worker, std::uint64_t number) {
        const std::size_t key =
            std::upper_bound(tiles.begin(), tiles.end(), number) - tiles.begin() - 1;
        compare_tile({hot_codes_.data() + borders[key], borders[key + 1] - borders[key]},
                     number - tiles[key], step, threads_[worker]->emission);
    });
}

// Compares a tile of a bucket's triangle.
void BlockJoin::compare_tile(std::span<const std::uint64_t> bucket, std::uint64_t tile,
                             const Step& step, Emission& emission) {
    if (workers_.stopped()) {
        return;
    }
    const auto block = [&](std::uint64_t number) {
        const std::size_t begin = number * largest_bucket;
        return bucket.subspan(begin, std::min(largest_bucket, bucket.size() - begin));
    };
    const Tile place = Triangle((bucket.size() + largest_bucket - 1) / largest_bucket).tile(tile);
    const std::span<const std::uint64_t> left = block(place.row_block);
    const std::span<const std::uint64_t> right = block(place.column_block);
    Candidates& candidates = emission.candidates_of(step.rule);
    if (place.row_block == place.column_block) {
        const std::uint32_t borders[2] = {0, static_cast<std::uint32_t>(left.size())};
        bucket_.compare_buckets(left.data(), borders, 1, step.comparison, candidates);
    } else {
        bucket_.compare_rectangle(left.data(), left.size(), right.data(), right.size(),
                                  step.comparison, candidates);
    }
}

} // namespace

void block_join(const JoinInput& input, const Plan& plan, const Distinct& distinct, Isa isa,
                Workers& workers, PairOutput& output) {
    BlockJoin(input, plan, distinct, isa, workers, output).run();
}

} // namespace vamhash
