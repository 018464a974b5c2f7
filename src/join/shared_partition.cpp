#include "join/shared_partition.h"

#include <algorithm>
#include <utility>

namespace vamhash {

namespace {

// So many codes, a few milliseconds' work, does a thread partition between two looks at the others.
constexpr std::size_t most_codes_at_once = std::size_t{1} << 20;

} // namespace

// Each thread counts and then scatters an equal share of the codes.
std::vector<std::uint32_t> partition_together(std::span<const std::uint64_t> codes,
                                              const KeyBits& key, std::uint64_t* out,
                                              const PartitionKernels& kernels, Workers& workers) {
    const std::size_t keys = std::size_t{1} << key.bits;
    const unsigned count = workers.count();
    std::vector<std::vector<std::uint32_t>> places(count, std::vector<std::uint32_t>(keys));
    const auto share = [&](unsigned worker) {
        const std::size_t begin = codes.size() * worker / count;
        return codes.subspan(begin, codes.size() * (worker + 1) / count - begin);
    };
    const auto for_each_piece = [&](unsigned worker, const auto& work) {
        const std::span<const std::uint64_t> all = share(worker);
        for (std::size_t i = 0; i < all.size() && !workers.stopped(); i += most_codes_at_once) {
            work(all.data() + i, std::min(most_codes_at_once, all.size() - i));
        }
    };
    workers.run([&](unsigned worker) {
        for_each_piece(worker, [&](const std::uint64_t* piece, std::size_t size) {
            kernels.count(piece, size, key, places[worker].data());
        });
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
    workers.run([&](unsigned worker) {
        for_each_piece(worker, [&](const std::uint64_t* piece, std::size_t size) {
            kernels.scatter(piece, size, key, places[worker].data(), out);
        });
    });
    return borders;
}

} // namespace vamhash
