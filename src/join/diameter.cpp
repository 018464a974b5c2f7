#include "join/diameter.h"

#include "join/triangle.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <utility>

namespace vamhash {

namespace {

// So few codes are compared in a double loop.
constexpr std::size_t most_codes_to_loop = 48;
// More are joined: to compare every pair of so many takes some tenths of a second.
constexpr std::size_t most_codes_in_tiles = 65536;
// From so many codes, evenly spread, the search for far ones starts.
constexpr std::size_t starts = 4;

int distance(std::uint64_t a, std::uint64_t b) {
    return std::popcount(a ^ b);
}

// What is known of a diameter.
struct Bounds {
    int lower;
    int upper;

    [[nodiscard]] bool met() const { return lower >= upper; }
};

// The farthest code from `from`: its place.
std::size_t farthest(std::span<const std::uint64_t> codes, std::uint64_t from) {
    std::size_t best = 0;
    int most = -1;
    for (std::size_t i = 0; i < codes.size(); ++i) {
        if (distance(codes[i], from) > most) {
            most = distance(codes[i], from);
            best = i;
        }
    }
    return best;
}

// Walks from one code to the farthest, and from that on, as long as the steps grow; returns the
// longest.
int longest_step(std::span<const std::uint64_t> codes, std::uint64_t from) {
    for (int longest = -1;;) {
        const std::uint64_t next = codes[farthest(codes, from)];
        if (distance(from, next) <= longest) {
            return longest;
        }
        longest = distance(from, next);
        from = next;
    }
}

int varying_bits(std::span<const std::uint64_t> codes) {
    std::uint64_t varying = 0;
    for (const std::uint64_t code : codes) {
        varying |= code ^ codes[0];
    }
    return std::popcount(varying);
}

// Orders the codes by their distance to the first, the farthest first; returns the sum of the two
// greatest.
int order_by_distance(std::span<std::uint64_t> codes) {
    std::array<std::size_t, 66> places{}; // of the codes at distance 64 - i; the ends afterwards
    const std::uint64_t first = codes[0];
    for (const std::uint64_t code : codes) {
        ++places[65 - distance(code, first)];
    }
    for (std::size_t i = 1; i < places.size(); ++i) {
        places[i] += places[i - 1];
    }
    std::vector<std::uint64_t> ordered(codes.size());
    for (const std::uint64_t code : codes) {
        ordered[places[64 - distance(code, first)]++] = code;
    }
    std::copy(ordered.begin(), ordered.end(), codes.begin());
    return distance(codes[0], first) + distance(codes[1], first);
}

// The bounds of at least two codes; orders them by their distance to `first`, the first of them.
Bounds find_bounds(std::span<std::uint64_t> codes, int most) {
    Bounds bounds{0, std::min(most, varying_bits(codes))};
    for (std::size_t i = 0; i < starts && !bounds.met(); ++i) {
        bounds.lower =
            std::max(bounds.lower, longest_step(codes, codes[codes.size() * i / starts]));
    }
    if (!bounds.met()) {
        bounds.upper = std::min(bounds.upper, order_by_distance(codes));
    }
    return bounds;
}

int diameter_by_loop(std::span<const std::uint64_t> codes) {
    int most = 0;
    for (std::size_t a = 0; a < codes.size(); ++a) {
        for (std::size_t b = a + 1; b < codes.size(); ++b) {
            most = std::max(most, distance(codes[a], codes[b]));
        }
    }
    return most;
}

// The blocks of codes ordered by their distance to `center`, in tiles of the upper triangle.
class Blocks {
  public:
    Blocks(std::span<const std::uint64_t> codes, std::uint64_t center)
        : codes_(codes), center_(center),
          triangle_((codes.size() + DiameterBuffers::block_codes - 1) /
                    DiameterBuffers::block_codes) {}

    [[nodiscard]] std::uint64_t tiles() const { return triangle_.tiles(); }

    // The greatest distance in a tile, or `known` if that is greater.
    [[nodiscard]] int farther_than(int known, std::uint64_t number, DiameterBuffers& buffers,
                                   Isa isa) const {
        const Tile tile = triangle_.tile(number);
        const std::span<const std::uint64_t> left = block(tile.row_block);
        const std::span<const std::uint64_t> right = block(tile.column_block);
        if (distance(left[0], center_) + distance(right[0], center_) <= known) {
            return known;
        }
        return buffers.farther_than(known, left, right, isa);
    }

  private:
    [[nodiscard]] std::span<const std::uint64_t> block(std::uint64_t number) const {
        const std::size_t begin = number * DiameterBuffers::block_codes;
        return codes_.subspan(begin, std::min(DiameterBuffers::block_codes, codes_.size() - begin));
    }

    std::span<const std::uint64_t> codes_;
    std::uint64_t center_;
    Triangle triangle_;
};

int diameter_by_tiles(const Blocks& blocks, int known, Isa isa, Workers& workers) {
    std::atomic<int> most = known;
    std::vector<DiameterBuffers> buffers(workers.count());
    workers.run_tasks(blocks.tiles(), [&](unsigned worker, std::uint64_t tile) {
        int before = most.load(std::memory_order_relaxed);
        const int found = blocks.farther_than(before, tile, buffers[worker], isa);
        while (found > before &&
               !most.compare_exchange_weak(before, found, std::memory_order_relaxed)) {
        }
    });
    return most;
}

// Ends a join that has found something.
struct FoundFarther {
    int distance;
};

// Joins the codes with their complements again and again, until nothing is found any more.
int diameter_by_joins(std::span<const std::uint64_t> codes, Bounds bounds,
                      const JoinOptions& options) {
    std::vector<std::uint64_t> complements(codes.size());
    std::transform(codes.begin(), codes.end(), complements.begin(),
                   [](std::uint64_t code) { return ~code; });
    const std::array<std::span<const std::uint64_t>, 1> left{codes};
    const std::array<std::span<const std::uint64_t>, 1> right{complements};
    while (!bounds.met()) {
        try {
            const std::array thresholds{63 - bounds.lower};
            similar_pairs_between(
                left, right, thresholds, options, [](std::span<const Pair> pairs) {
                    const auto nearest = std::min_element(
                        pairs.begin(), pairs.end(),
                        [](const Pair& a, const Pair& b) { return a.distance < b.distance; });
                    throw FoundFarther{64 - static_cast<int>(nearest->distance)};
                });
            break;
        } catch (const FoundFarther& found) {
            bounds.lower = found.distance;
        }
    }
    return bounds.lower;
}

} // namespace

int DiameterBuffers::farther_than(int known, std::span<const std::uint64_t> left,
                                  std::span<const std::uint64_t> right, Isa isa) {
    if (!hits_) {
        hits_ = std::make_unique_for_overwrite<Hit[]>(strip_codes * block_codes + hit_slack);
    }
    complement_.resize(block_codes);
    std::transform(right.begin(), right.end(), complement_.begin(),
                   [](std::uint64_t code) { return ~code; });
    for (std::size_t row = 0; row < left.size() && known < 64; row += strip_codes) {
        const std::size_t hits =
            compare_tile_for(isa)(left.data() + row, std::min(strip_codes, left.size() - row),
                                  complement_.data(), right.size(), 63 - known, hits_.get());
        for (const Hit& hit : std::span(hits_.get(), hits)) {
            known = std::max(known, 64 - static_cast<int>(hit.distance));
        }
    }
    return known;
}

int DiameterBuffers::diameter(std::span<std::uint64_t> codes, int most, Isa isa) {
    if (codes.size() <= most_codes_to_loop) {
        return diameter_by_loop(codes);
    }
    const std::uint64_t center = codes[0];
    const Bounds bounds = find_bounds(codes, most);
    int known = bounds.lower;
    const Blocks blocks(codes, center);
    for (std::uint64_t tile = 0; tile < blocks.tiles() && known < bounds.upper; ++tile) {
        known = blocks.farther_than(known, tile, *this, isa);
    }
    return known;
}

int diameter(std::span<std::uint64_t> codes, int most, const JoinOptions& options,
             Workers& workers) {
    const std::uint64_t center = codes[0];
    const Bounds bounds = find_bounds(codes, most);
    if (bounds.met()) {
        return bounds.lower;
    }
    // The codes are in the order of their distance to the centre: those at the end are in no pair
    // that is farther apart.
    const int needed = bounds.lower + 1 - distance(codes[0], center);
    const auto end = std::partition_point(codes.begin(), codes.end(), [&](std::uint64_t code) {
        return distance(code, center) >= needed;
    });
    codes = codes.first(end - codes.begin());
    if (codes.size() > most_codes_in_tiles) {
        try {
            return diameter_by_joins(codes, bounds,
                                     {.threads = workers.count(),
                                      .isa = options.isa,
                                      .memory_limit = options.memory_limit});
        } catch (const JoinMemoryExceeded&) {
            // Tiles need no memory.
        }
    }
    return diameter_by_tiles(Blocks(codes, center), bounds.lower, options.isa, workers);
}

} // namespace vamhash
