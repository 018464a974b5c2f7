// The tables of a scheme (join/scheme.h), one after another.
//
// Tables of a part that share their first blocks share a partition of all values into chunks by
// those blocks' bits, written to the spare array by all threads together. Threads then take chunks,
// the largest first. For each table, a thread partitions its chunk by the rest of the key into
// buckets, in cache, and compares within them (join/bucket.h). Candidates that belong to an earlier
// table are dropped; the others are looked up in the distinct values, a batch at a time.
//
// A chunk that is too large for one thread, or the buckets of which are, is put aside. When the
// other chunks are done, all threads partition it together, and take its buckets in tiles.
//
// Memory: the values twice, and each thread's chunk. Where that is too much, the tables are run on
// one part of the values after another (join/passes.h).
#include "join/block_join.h"

#include "join/plan.h"
#include "join/shared_partition.h"
#include "join/triangle.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace vamhash {

namespace {

// Chunks above are partitioned by all threads.
constexpr std::size_t largest_chunk = std::size_t{1} << 17;
// So many comparisons, some milliseconds, may one thread do between two looks at the others.
std::uint64_t most_pairs_at_once(Isa isa) {
    return std::uint64_t{1} << (isa == Isa::scalar ? 22 : 26);
}

} // namespace

// One thread's candidates on their way to the sink.
class Emission {
  public:
    Emission(const BucketKernels& kernels, unsigned worker, Workers& workers, Monitor& monitor,
             GroupPairSink& sink)
        : kernels_(kernels), worker_(worker), workers_(workers), monitor_(monitor), sink_(sink) {
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

    // The values of the candidates that follow.
    void begin(const Distinct& left, const Distinct& right) {
        left_values_ = &left;
        right_values_ = &right;
    }

    // Hands out all that is left.
    void finish() {
        select();
        emit_found();
    }

  private:
    void select();
    void emit_found();

    static constexpr std::size_t most_found = 2 * Candidates::capacity;

    const BucketKernels& kernels_;
    const unsigned worker_;
    Workers& workers_;
    Monitor& monitor_;
    GroupPairSink& sink_;
    const Distinct* left_values_ = nullptr;
    const Distinct* right_values_ = nullptr;
    const EmissionRule* rule_ = nullptr;
    Candidates candidates_;
    std::size_t found_ = 0;
    std::uint64_t left_[most_found];
    std::uint64_t right_[most_found];
    std::uint32_t left_groups_[most_found];
    std::uint32_t right_groups_[most_found];
    GroupPair pairs_[most_found];
};

// Keeps the candidates that belong to the present table.
void Emission::select() {
    if (candidates_.count == 0) {
        return;
    }
    workers_.check();
    monitor_.add(candidates_.count);
    const std::size_t kept = kernels_.select_new(candidates_, *rule_);
    candidates_.count = 0;
    std::copy_n(candidates_.left, kept, left_ + found_);
    std::copy_n(candidates_.right, kept, right_ + found_);
    found_ += kept;
    if (found_ + Candidates::capacity > most_found) {
        emit_found();
    }
}

// Looks up the groups of pairs of codes.
void Emission::emit_found() {
    const std::size_t found = std::exchange(found_, 0);
    if (found == 0) {
        return;
    }
    left_values_->find({left_, found}, left_groups_);
    right_values_->find({right_, found}, right_groups_);
    for (std::size_t i = 0; i < found; ++i) {
        pairs_[i] = {left_groups_[i], right_groups_[i],
                     static_cast<std::uint32_t>(std::popcount(left_[i] ^ right_[i]))};
    }
    sink_.take(worker_, {pairs_, found});
}

// What it takes to compare the buckets of a chunk.
struct Work {
    std::uint64_t pairs = 0;   // of a triangle, twice as many as there are
    std::uint32_t largest = 0; // bucket
};

struct BlockJoin::Buckets {
    LargeArray<std::uint64_t> codes;
    std::vector<std::uint32_t> borders;

    // Counts the codes by their keys. borders[1 + key] counts a key's codes; place() makes it where
    // its next code goes, and scatter() where the next key begins.
    void count(std::span<const std::uint64_t> chunk, const KeyBits& key,
               const PartitionKernels& kernels) {
        borders.assign((std::size_t{1} << key.bits) + 1, 0);
        kernels.count(chunk.data(), chunk.size(), key, borders.data() + 1);
    }

    [[nodiscard]] std::uint32_t size(std::size_t key) const { return borders[key + 1]; }

    // Returns the work of comparing within the buckets.
    Work place() {
        Work work;
        std::uint32_t place = 0;
        for (std::size_t key = 1; key < borders.size(); ++key) {
            const std::uint32_t count = std::exchange(borders[key], place);
            work.pairs += std::uint64_t{count} * count;
            work.largest = std::max(work.largest, count);
            place += count;
        }
        return work;
    }

    // The work of comparing the buckets with those of another set; before they are placed.
    [[nodiscard]] Work work_with(const Buckets& other) const {
        Work work;
        for (std::size_t key = 0; key + 1 < borders.size(); ++key) {
            work.pairs += std::uint64_t{size(key)} * other.size(key);
            work.largest = std::max({work.largest, size(key), other.size(key)});
        }
        return work;
    }

    void scatter(std::span<const std::uint64_t> chunk, const KeyBits& key,
                 const PartitionKernels& kernels) {
        if (codes.size() < chunk.size()) {
            codes = LargeArray<std::uint64_t>(std::min(largest_chunk, 2 * chunk.size()));
        }
        kernels.scatter(chunk.data(), chunk.size(), key, borders.data() + 1, codes.data());
    }

    [[nodiscard]] std::span<const std::uint64_t> bucket(std::size_t key) const {
        return {codes.data() + borders[key], borders[key + 1] - borders[key]};
    }
};

struct BlockJoin::Thread {
    Thread(const BucketKernels& kernels, unsigned worker, Workers& workers, Monitor& monitor,
           GroupPairSink& sink)
        : emission(kernels, worker, workers, monitor, sink) {}

    Emission emission;
    Buckets left;
    Buckets right;                         // of a join of two sets
    std::vector<std::uint32_t> hot_chunks; // chunk and step, one after the other
};

BlockJoin::BlockJoin(std::span<const TableSet> sets, int threshold, Isa isa, Workers& workers,
                     Monitor& monitor, GroupPairSink& sink)
    : most_pairs_at_once_(most_pairs_at_once(isa)), partition_(partition_kernels_for(isa)),
      bucket_(bucket_kernels_for(isa)), workers_(workers), monitor_(monitor) {
    for (const TableSet& set : sets) {
        // So many of the shared bits as a partition is fast with; the others are left to the steps.
        TableSteps& own = sets_.emplace_back(
            TableSteps{key_bits(lowest_bits(set.shared_mask, most_shared_bits)), {}});
        for (const KeyTable& table : set.tables) {
            own.steps.push_back({key_bits(table.key_mask & ~own.key.mask),
                                 comparison_for(table.key_mask, threshold), table.rule});
        }
    }
    for (unsigned i = 0; i < workers.count(); ++i) {
        threads_.push_back(std::make_unique<Thread>(bucket_, i, workers, monitor, sink));
    }
}

BlockJoin::~BlockJoin() = default;

void BlockJoin::run(const Tables& tables, const Distinct& left, const Distinct& right_values) {
    const TableSteps& set = sets_[tables.set];
    const std::span<const Step> steps =
        std::span(set.steps).subspan(tables.first, tables.end - tables.first);
    self_ = &left == &right_values;
    sides_[0].distinct = &left;
    right().distinct = &right_values;
    for (const std::unique_ptr<Thread>& thread : threads_) {
        thread->emission.begin(left, right_values);
    }
    for (Side& side : sides()) {
        side.borders = partition_together(side.distinct->values(), set.key, side.distinct->spare(),
                                          partition_, workers_);
    }
    const std::vector<std::uint32_t> order = chunks_by_size();
    workers_.run_tasks(order.size(), [&](unsigned worker, std::uint64_t task) {
        run_chunk(steps, order[task], *threads_[worker]);
    });
    for (const std::unique_ptr<Thread>& thread : threads_) {
        const std::vector<std::uint32_t> hot = std::exchange(thread->hot_chunks, {});
        for (std::size_t i = 0; i < hot.size(); i += 2) {
            run_hot_chunk(hot[i], steps[hot[i + 1]]);
        }
    }
    workers_.run([&](unsigned worker) { threads_[worker]->emission.finish(); });
}

// The chunks that may have pairs, the largest first.
std::vector<std::uint32_t> BlockJoin::chunks_by_size() {
    const auto size = [&](std::uint32_t chunk) {
        return sides_[0].chunk(chunk).size() + right().chunk(chunk).size();
    };
    std::vector<std::uint32_t> order;
    for (std::uint32_t chunk = 0; chunk + 1 < sides_[0].borders.size(); ++chunk) {
        const std::size_t left = sides_[0].chunk(chunk).size();
        const std::size_t right_size = right().chunk(chunk).size();
        if (self_ ? left > 1 : left > 0 && right_size > 0) {
            order.push_back(chunk);
        }
    }
    std::sort(order.begin(), order.end(),
              [&](std::uint32_t a, std::uint32_t b) { return size(a) > size(b); });
    return order;
}

// Runs the tables on a chunk, or puts it aside.
void BlockJoin::run_chunk(std::span<const Step> steps, std::size_t chunk, Thread& thread) {
    const bool large =
        std::max(sides_[0].chunk(chunk).size(), right().chunk(chunk).size()) > largest_chunk;
    for (std::size_t i = 0; i < steps.size(); ++i) {
        workers_.check();
        if (large || !run_step(steps[i], chunk, thread)) {
            thread.hot_chunks.push_back(static_cast<std::uint32_t>(chunk));
            thread.hot_chunks.push_back(static_cast<std::uint32_t>(i));
        }
    }
    monitor_.add(0);
}

// Partitions a chunk into the buckets of a table, and compares within them; returns false if there
// is too much to compare for one thread.
bool BlockJoin::run_step(const Step& step, std::size_t chunk, Thread& thread) {
    const std::span<const std::uint64_t> left = sides_[0].chunk(chunk);
    const std::span<const std::uint64_t> right_codes = right().chunk(chunk);
    Buckets& left_buckets = thread.left;
    Buckets& right_buckets = self_ ? thread.left : thread.right;
    left_buckets.count(left, step.key, partition_);
    Work work;
    if (self_) {
        work = left_buckets.place();
    } else {
        right_buckets.count(right_codes, step.key, partition_);
        work = left_buckets.work_with(right_buckets);
        left_buckets.place();
        right_buckets.place();
    }
    if (work.pairs > most_pairs_at_once_) {
        return false;
    }
    left_buckets.scatter(left, step.key, partition_);
    Candidates& candidates = thread.emission.candidates_of(step.rule);
    const std::size_t keys = std::size_t{1} << step.key.bits;
    if (self_) {
        bucket_.compare_buckets(left_buckets.codes.data(), left_buckets.borders.data(), keys,
                                step.comparison, candidates);
    } else {
        right_buckets.scatter(right_codes, step.key, partition_);
        bucket_.compare_bucket_rectangles(left_buckets.codes.data(), left_buckets.borders.data(),
                                          right_buckets.codes.data(), right_buckets.borders.data(),
                                          keys, step.comparison, candidates);
    }
    for (std::size_t key = 0; work.largest > largest_bucket && key < keys; ++key) {
        const std::span<const std::uint64_t> a = left_buckets.bucket(key);
        const std::span<const std::uint64_t> b = right_buckets.bucket(key);
        if (std::max(a.size(), b.size()) > largest_bucket) {
            for (std::uint64_t tile = 0; tile < tiles(a.size(), b.size()); ++tile) {
                compare_tile(a, b, tile, step, thread.emission);
            }
        }
    }
    return true;
}

// Compares the codes of a chunk in a table, by all threads.
void BlockJoin::run_hot_chunk(std::size_t chunk, const Step& step) {
    std::vector<std::uint32_t> borders[2];
    for (std::size_t i = 0; i < sides().size(); ++i) {
        Side& side = sides_[i];
        const std::span<const std::uint64_t> codes = side.chunk(chunk);
        if (side.hot_codes.size() < codes.size()) {
            side.hot_codes = {}; // before the new one: not both at a time
            side.hot_codes = LargeArray<std::uint64_t>(codes.size());
        }
        borders[i] =
            partition_together(codes, step.key, side.hot_codes.data(), partition_, workers_);
    }
    const auto bucket = [&](std::size_t i, std::size_t key) {
        return std::span<const std::uint64_t>(sides_[i].hot_codes.data() + borders[i][key],
                                              borders[i][key + 1] - borders[i][key]);
    };
    const std::size_t other = self_ ? 0 : 1;
    // The borders of the buckets in tiles.
    std::vector<std::uint64_t> first_tile{0};
    for (std::size_t key = 0; key + 1 < borders[0].size(); ++key) {
        first_tile.push_back(first_tile.back() +
                             tiles(bucket(0, key).size(), bucket(other, key).size()));
    }
    workers_.run_tasks(first_tile.back(), [&](unsigned worker, std::uint64_t number) {
        const std::size_t key =
            std::upper_bound(first_tile.begin(), first_tile.end(), number) - first_tile.begin() - 1;
        compare_tile(bucket(0, key), bucket(other, key), number - first_tile[key], step,
                     threads_[worker]->emission);
        monitor_.add(0);
    });
}

namespace {

std::uint64_t blocks(std::size_t codes) {
    return (codes + largest_bucket - 1) / largest_bucket;
}

std::span<const std::uint64_t> block(std::span<const std::uint64_t> codes, std::uint64_t number) {
    const std::size_t begin = number * largest_bucket;
    return codes.subspan(begin, std::min(largest_bucket, codes.size() - begin));
}

} // namespace

// The tiles of a bucket: of its triangle, or of the rectangle of two.
std::uint64_t BlockJoin::tiles(std::size_t left, std::size_t right) const {
    return self_ ? Triangle(blocks(left)).tiles() : blocks(left) * blocks(right);
}

// Compares a tile of a bucket.
void BlockJoin::compare_tile(std::span<const std::uint64_t> left,
                             std::span<const std::uint64_t> right, std::uint64_t tile,
                             const Step& step, Emission& emission) {
    workers_.check();
    const std::uint64_t columns = blocks(right.size());
    const Tile place = self_ ? Triangle(columns).tile(tile) : Tile{tile / columns, tile % columns};
    const std::span<const std::uint64_t> rows = block(left, place.row_block);
    const std::span<const std::uint64_t> others = block(right, place.column_block);
    Candidates& candidates = emission.candidates_of(step.rule);
    if (self_ && place.row_block == place.column_block) {
        const std::uint32_t borders[2] = {0, static_cast<std::uint32_t>(rows.size())};
        bucket_.compare_buckets(rows.data(), borders, 1, step.comparison, candidates);
    } else {
        bucket_.compare_rectangle(rows.data(), rows.size(), others.data(), others.size(),
                                  step.comparison, candidates);
    }
}

} // namespace vamhash
