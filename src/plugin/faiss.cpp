// vamhash_faiss.so: joins by FAISS's IndexBinaryFlat, which compares every code with every other.
//
// The left codes are searched for in the right ones, some at a time: few enough that the engine is
// heard of again within a second, and that their hits are few megabytes.
#include "plugin/range_search.h"

#include <faiss/IndexBinaryFlat.h>
#include <faiss/impl/AuxIndexStructures.h>
#include <omp.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>
#include <vector>

namespace vamhash::plugin {

namespace {

constexpr int code_bits = 64;
// Some tenths of a second on one core.
constexpr std::uint64_t most_pairs_at_once = std::uint64_t{1} << 27;
constexpr std::uint64_t most_queries_at_once = 4096;
// Fewer queries are searched for at once after more hits than this, and more after a quarter of it.
constexpr std::size_t many_hits = std::size_t{1} << 20;
// FAISS writes a hit to a thread's buffer and copies it to its result: a number of 8 bytes and a
// distance of 4, each time. A buffer has 3 MB or more.
constexpr std::size_t bytes_per_hit = std::size_t{2} * (8 + 4);
constexpr std::size_t bytes_per_thread = std::size_t{4} << 20;

const std::uint8_t* bytes_of(const std::uint64_t* codes) {
    return reinterpret_cast<const std::uint8_t*>(codes);
}

// Whether there is room for so many hits. An exception inside FAISS's threads would end the
// process: memory must not run out there.
bool has_room(std::uint64_t hits, unsigned threads) {
    // Volatile, because compilers leave out an allocation that nothing uses.
    void* volatile const room = std::malloc(hits * bytes_per_hit + threads * bytes_per_thread);
    std::free(room);
    return room != nullptr;
}

class Search {
  public:
    explicit Search(const RangeRequest& request) : request_(request), index_(code_bits) {
        omp_set_num_threads(static_cast<int>(request.threads));
        index_.add(static_cast<faiss::Index::idx_t>(request.right_count), bytes_of(request.right));
    }

    RangeStatus run() {
        const std::uint64_t fewest = request_.threads;
        const std::uint64_t most =
            std::clamp(most_pairs_at_once / std::max<std::uint64_t>(request_.right_count, 1),
                       fewest, std::max(fewest, most_queries_at_once));
        std::uint64_t queries = fewest;
        for (std::uint64_t first = 0; first < request_.left_count;) {
            const std::uint64_t count = fitting(std::min(queries, request_.left_count - first));
            const std::size_t found = find(first, count);
            first += count;
            if (request_.take(request_.context, first, hits_.data(), hits_.size()) != 0) {
                return RangeStatus::stopped;
            }
            if (found > many_hits) {
                queries = std::max(queries / 2, fewest);
            } else if (found < many_hits / 4) {
                queries = std::min(queries * 2, most);
            }
        }
        return RangeStatus::done;
    }

  private:
    // At most so many queries, the hits of which there is room for even if every code is one.
    [[nodiscard]] std::uint64_t fitting(std::uint64_t queries) const {
        while (!has_room(queries * request_.right_count, request_.threads)) {
            if (queries == 1) {
                throw std::bad_alloc();
            }
            queries /= 2;
        }
        return queries;
    }

    // Finds the hits of the left codes [first, first + count); returns their number with the
    // unwanted ones.
    std::size_t find(std::uint64_t first, std::uint64_t count) {
        faiss::RangeSearchResult result(count);
        // FAISS finds what is nearer than the radius.
        index_.range_search(static_cast<faiss::Index::idx_t>(count),
                            bytes_of(request_.left + first), request_.threshold + 1, &result);
        hits_.clear();
        for (std::uint64_t query = 0; query < count; ++query) {
            const std::uint64_t a = first + query;
            for (std::size_t i = result.lims[query]; i < result.lims[query + 1]; ++i) {
                const auto b = static_cast<std::uint64_t>(result.labels[i]);
                if (request_.self == 0 || a < b) {
                    hits_.push_back({static_cast<std::uint32_t>(a), static_cast<std::uint32_t>(b),
                                     static_cast<std::uint32_t>(result.distances[i])});
                }
            }
        }
        return result.lims[count];
    }

    const RangeRequest& request_;
    faiss::IndexBinaryFlat index_;
    std::vector<RangeHit> hits_;
};

RangeStatus search(const RangeRequest* request, char* message, std::size_t message_size) noexcept {
    try {
        return Search(*request).run();
    } catch (const std::bad_alloc&) {
        return RangeStatus::out_of_memory;
    } catch (const std::exception& error) {
        std::snprintf(message, message_size, "%s", error.what());
    } catch (...) {
        std::snprintf(message, message_size, "an unknown exception");
    }
    return RangeStatus::failed;
}

} // namespace

extern "C" [[gnu::visibility("default")]] RangeSearchEntry vamhash_range_search_plugin;

const RangeSearch* vamhash_range_search_plugin() noexcept {
    static const RangeSearch plugin = {range_search_version, search};
    return &plugin;
}

} // namespace vamhash::plugin
