// FAISS's exact joins of a file of hashes, on all cores: bench/join.sh runs it.
//
//   faiss_join flat|multihash HASHES THRESHOLD SECONDS
//
// The time is that of building the index and of searching it for every row. flat compares every
// row with every other. multihash has three tables of 21 bits and looks up every key with up to
// threshold / 3 bits flipped: of three parts, one has at most a third of the bits in which two
// hashes within the threshold differ, so no pair is lost.
#include "hash_file_join.h"

#include <faiss/IndexBinaryFlat.h>
#include <faiss/IndexBinaryHash.h>
#include <faiss/impl/AuxIndexStructures.h>

#include <string_view>

namespace {

constexpr int bits = 64;
constexpr int tables = 3;
constexpr std::size_t queries_at_once = 1000; // between looks at the clock

// Counts the pairs of an index's rows, which are those it is searched for.
std::optional<std::uint64_t> search(faiss::IndexBinary& index,
                                    std::span<const std::uint64_t> hashes, int threshold,
                                    double limit, const vamhash::Stopwatch& watch) {
    const auto* codes = reinterpret_cast<const std::uint8_t*>(hashes.data());
    std::uint64_t found = 0;
    index.add(hashes.size(), codes);
    for (std::size_t first = 0; first < hashes.size(); first += queries_at_once) {
        const std::size_t count = std::min(queries_at_once, hashes.size() - first);
        faiss::RangeSearchResult result(count);
        // Its radius is the first distance that is too great.
        index.range_search(count, codes + first * sizeof hashes[0], threshold + 1, &result);
        found += result.lims[count];
        if (watch.seconds() > limit) {
            return std::nullopt;
        }
    }
    // Every row finds itself, every pair is found from either side.
    return (found - hashes.size()) / 2;
}

std::optional<std::uint64_t> join_flat(std::span<const std::uint64_t> hashes, int threshold,
                                       double limit) {
    const vamhash::Stopwatch watch;
    faiss::IndexBinaryFlat index(bits);
    return search(index, hashes, threshold, limit, watch);
}

std::optional<std::uint64_t> join_multihash(std::span<const std::uint64_t> hashes, int threshold,
                                            double limit) {
    const vamhash::Stopwatch watch;
    faiss::IndexBinaryMultiHash index(bits, tables, bits / tables);
    index.nflip = threshold / tables;
    return search(index, hashes, threshold, limit, watch);
}

} // namespace

int main(int argc, char** argv) {
    const std::string_view method = argc > 1 ? argv[1] : "";
    if (method != "flat" && method != "multihash") {
        std::fputs("usage: faiss_join flat|multihash HASHES THRESHOLD SECONDS\n", stderr);
        return 2;
    }
    return vamhash::run_join(std::span(argv, argc).subspan(2),
                             method == "flat" ? join_flat : join_multihash);
}
