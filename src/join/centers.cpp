// Values take the places that the order of centres gives them, and a pair is kept at the earlier of
// its two places only: when a value becomes a centre, no similar value before it can be free. One
// that was free at its own turn has become a centre, and if it could not take this value, it has
// taken another, so it is in a group, too. (Only a value to which no other was free stays alone,
// and this one was.)
#include "join/centers.h"

#include "join/large_array.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <utility>

namespace vamhash {

namespace {

using Atomic = std::atomic_ref<std::uint32_t>;

class Centering {
  public:
    Centering(const RankedValues& values, PairList& pairs, int threshold, Workers& workers)
        : values_(values), pairs_(pairs), threshold_(threshold), workers_(workers),
          count_(values.codes.size()) {}

    Centers run(bool complete) {
        Centers centers{.of = std::vector<std::uint32_t>(count_, no_value)};
        centers.row_pairs = order_values();
        gather_neighbours();
        for (std::uint32_t place = 0; place < count_; ++place) {
            const std::uint32_t value = order_[place];
            if (centers.of[value] == no_value) {
                find_free(place, centers.of);
                if (complete) {
                    keep_complete(value);
                }
                take(value, centers.of);
            }
        }
        return centers;
    }

  private:
    std::uint64_t order_values();
    void gather_neighbours();
    void find_free(std::uint32_t place, const std::vector<std::uint32_t>& centers);
    void keep_complete(std::uint32_t center);
    void take(std::uint32_t center, std::vector<std::uint32_t>& centers) const;

    [[nodiscard]] std::uint32_t distance(std::uint32_t a, std::uint32_t b) const {
        return static_cast<std::uint32_t>(std::popcount(values_.codes[a] ^ values_.codes[b]));
    }

    const RankedValues& values_;
    PairList& pairs_;
    const int threshold_;
    Workers& workers_;
    const std::size_t count_;
    std::vector<std::uint32_t> order_;     // values by place
    std::vector<std::uint64_t> starts_;    // of a place's neighbours
    LargeArray<std::uint32_t> neighbours_; // the later values of each place
    std::vector<std::uint32_t> free_;      // of the present centre
    std::vector<std::uint64_t> sorted_;    // distance and value
};

// Orders the values by most neighbours, then by their number; returns the pairs of neighbours.
std::uint64_t Centering::order_values() {
    std::vector<std::uint32_t> similar_rows(count_);
    workers_.run_tasks(pairs_.block_count(), [&](unsigned, std::uint64_t number) {
        for (const ValuePair& pair : pairs_.block(number)) {
            Atomic(similar_rows[pair.a]).fetch_add(values_.rows[pair.b], std::memory_order_relaxed);
            Atomic(similar_rows[pair.b]).fetch_add(values_.rows[pair.a], std::memory_order_relaxed);
        }
    });
    std::uint64_t row_pairs = 0;
    std::vector<std::uint64_t> keys(count_); // the upper half falls with the neighbours
    for (std::size_t value = 0; value < count_; ++value) {
        const std::uint64_t rows = values_.rows[value];
        const std::uint64_t neighbours = similar_rows[value] + rows - 1;
        row_pairs += rows * neighbours;
        keys[value] = ~neighbours << 32 | value;
    }
    std::sort(keys.begin(), keys.end());
    order_.resize(count_);
    std::transform(keys.begin(), keys.end(), order_.begin(),
                   [](std::uint64_t key) { return static_cast<std::uint32_t>(key); });
    return row_pairs / 2;
}

// Writes each pair's later value to the neighbours of the earlier one.
void Centering::gather_neighbours() {
    std::vector<std::uint32_t> places(count_);
    for (std::uint32_t place = 0; place < count_; ++place) {
        places[order_[place]] = place;
    }
    std::vector<std::uint32_t> counts(count_);
    workers_.run_tasks(pairs_.block_count(), [&](unsigned, std::uint64_t number) {
        for (ValuePair& pair : pairs_.block(number)) {
            if (places[pair.a] > places[pair.b]) {
                std::swap(pair.a, pair.b);
            }
            pair.a = places[pair.a];
            Atomic(counts[pair.a]).fetch_add(1, std::memory_order_relaxed);
        }
    });
    starts_.resize(count_ + 1);
    for (std::size_t place = 0; place < count_; ++place) {
        starts_[place + 1] = starts_[place] + counts[place];
    }
    neighbours_ = LargeArray<std::uint32_t>(starts_[count_]);
    workers_.run_tasks(pairs_.block_count(), [&](unsigned, std::uint64_t number) {
        for (const ValuePair& pair : pairs_.block(number)) {
            const std::uint32_t left =
                Atomic(counts[pair.a]).fetch_sub(1, std::memory_order_relaxed);
            neighbours_[starts_[pair.a] + left - 1] = pair.b;
        }
    });
    pairs_.clear();
}

void Centering::find_free(std::uint32_t place, const std::vector<std::uint32_t>& centers) {
    free_.clear();
    for (std::uint64_t i = starts_[place]; i < starts_[place + 1]; ++i) {
        if (centers[neighbours_[i]] == no_value) {
            free_.push_back(neighbours_[i]);
        }
    }
}

// Keeps of the free neighbours, by distance and number, each that is within the threshold of those
// kept before. Two values are compared here only if they are similar, but for the one comparison
// that ends a neighbour's hopes, and never twice: a value is kept by one centre. So it takes no
// more time than to find the pairs did.
void Centering::keep_complete(std::uint32_t center) {
    sorted_.clear();
    for (const std::uint32_t value : free_) {
        sorted_.push_back(std::uint64_t{distance(center, value)} << 32 | value);
    }
    std::sort(sorted_.begin(), sorted_.end());
    free_.clear();
    for (const std::uint64_t key : sorted_) {
        const auto value = static_cast<std::uint32_t>(key);
        if (std::all_of(free_.begin(), free_.end(), [&](std::uint32_t kept) {
                return distance(kept, value) <= static_cast<std::uint32_t>(threshold_);
            })) {
            free_.push_back(value);
        }
    }
}

// Makes a group of a centre and its free neighbours; none of a row alone.
void Centering::take(std::uint32_t center, std::vector<std::uint32_t>& centers) const {
    if (free_.empty() && values_.rows[center] < 2) {
        return;
    }
    centers[center] = center;
    for (const std::uint32_t value : free_) {
        centers[value] = center;
    }
}

} // namespace

Centers group_around_centers(const RankedValues& values, PairList& pairs, int threshold,
                             bool complete, Workers& workers) {
    return Centering(values, pairs, threshold, workers).run(complete);
}

} // namespace vamhash
