#include "join/faiss_join.h"

#include "join/range_search_plugin.h"

#include <array>
#include <exception>
#include <functional>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

namespace vamhash {

namespace {

using plugin::RangeHit;

const plugin::RangeSearch& faiss() {
    // After a failure the next join tries again: the plugin may have been installed meanwhile.
    static const plugin::RangeSearch& loaded =
        load_range_search(path_beside_program("vamhash_faiss.so"), "faiss");
    return loaded;
}

struct Codes {
    std::span<const std::uint64_t> left;
    std::span<const std::uint64_t> right;
    int threshold;
    bool self;
};

using HitSink = std::function<void(unsigned worker, std::span<const RangeHit> hits)>;

// One search and the way of its hits: the plugin's side of the border throws nothing, so that what
// the sink throws waits here for the search's end.
class Search {
  public:
    Search(const Codes& codes, unsigned threads, unsigned worker, Workers& workers,
           Monitor& monitor, const HitSink& sink)
        : request_{.left = codes.left.data(),
                   .left_count = codes.left.size(),
                   .right = codes.right.data(),
                   .right_count = codes.right.size(),
                   .threshold = codes.threshold,
                   .self = codes.self ? 1 : 0,
                   .threads = threads,
                   .take = take,
                   .context = this},
          worker_(worker), workers_(workers), monitor_(monitor), sink_(sink) {}

    void run() {
        std::array<char, 256> message{};
        const plugin::RangeStatus status =
            faiss().search(&request_, message.data(), message.size());
        if (failure_) {
            std::rethrow_exception(failure_);
        }
        if (status == plugin::RangeStatus::out_of_memory) {
            throw std::bad_alloc();
        }
        if (status == plugin::RangeStatus::failed) {
            throw std::runtime_error(std::string("FAISS failed: ") + message.data());
        }
    }

  private:
    static int take(void* context, std::uint64_t left_done, const RangeHit* hits,
                    std::size_t count) noexcept {
        Search& search = *static_cast<Search*>(context);
        try {
            search.workers_.check();
            search.sink_(search.worker_, {hits, count});
            search.monitor_.add(count, left_done - search.left_done_);
            search.left_done_ = left_done;
            return 0;
        } catch (...) {
            search.failure_ = std::current_exception();
            return 1;
        }
    }

    const plugin::RangeRequest request_;
    const unsigned worker_;
    Workers& workers_;
    Monitor& monitor_;
    const HitSink& sink_;
    std::uint64_t left_done_ = 0;
    std::exception_ptr failure_;
};

// Runs a search with as many threads as there are workers. Those are OpenMP's own, started by the
// thread that searches and with its signal mask: one that blocks all signals, unless it is alone.
void search(const Codes& codes, Workers& workers, Monitor& monitor, const HitSink& sink) {
    faiss(); // fails here rather than among the workers
    monitor.begin(JoinPhase::comparing, codes.left.size());
    const unsigned searcher = workers.count() > 1 ? 1 : 0;
    workers.run([&](unsigned worker) {
        if (worker == searcher) {
            Search(codes, workers.count(), worker, workers, monitor, sink).run();
        }
    });
}

// The groups of the distinct values, in their order.
std::vector<std::uint32_t> groups_of_values(const Distinct& distinct) {
    std::vector<std::uint32_t> groups(distinct.values().size());
    for (const Distinct::Chunk& chunk : distinct.chunks()) {
        for (std::uint32_t i = 0; i < chunk.groups; ++i) {
            groups[chunk.first_value + i] = chunk.first_row + i;
        }
    }
    return groups;
}

} // namespace

void faiss_join(const JoinInput& input, Workers& workers, Monitor& monitor, PairOutput& output) {
    PairBatch batch(input, output);
    search({input.left_codes(), input.right_codes(), input.threshold(), input.self}, workers,
           monitor, [&](unsigned, std::span<const RangeHit> hits) {
               for (const RangeHit& hit : hits) {
                   batch.add(hit.a, hit.b, hit.distance);
               }
           });
    batch.send();
}

SchemeUsed faiss_group_pairs(const Distinct& distinct, int threshold, Workers& workers,
                             Monitor& monitor, GroupPairSink& sink) {
    const std::vector<std::uint32_t> groups = groups_of_values(distinct);
    std::vector<GroupPair> pairs;
    search({distinct.values(), distinct.values(), threshold, true}, workers, monitor,
           [&](unsigned worker, std::span<const RangeHit> hits) {
               pairs.clear();
               for (const RangeHit& hit : hits) {
                   pairs.push_back({groups[hit.a], groups[hit.b], hit.distance});
               }
               sink.take(worker, pairs);
           });
    return {.words = faiss_scheme, .tables = 0};
}

} // namespace vamhash
