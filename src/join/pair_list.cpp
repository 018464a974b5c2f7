#include "join/pair_list.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace vamhash {

void PairList::take(unsigned worker, std::span<const GroupPair> pairs) {
    std::vector<Block>& blocks = blocks_by_worker_[worker];
    while (!pairs.empty()) {
        if (blocks.empty() || blocks.back().size == blocks.back().capacity) {
            const std::size_t capacity = blocks.empty()
                                             ? smallest_block
                                             : std::min(2 * blocks.back().capacity, largest_block);
            const std::uint64_t bytes = capacity * sizeof(ValuePair);
            reserve_(bytes_.fetch_add(bytes, std::memory_order_relaxed) + bytes);
            blocks.push_back({std::make_unique_for_overwrite<ValuePair[]>(capacity), 0, capacity});
        }
        Block& block = blocks.back();
        const std::size_t count = std::min(pairs.size(), block.capacity - block.size);
        std::transform(pairs.begin(), pairs.begin() + static_cast<std::ptrdiff_t>(count),
                       block.pairs.get() + block.size, [](const GroupPair& pair) {
                           return ValuePair{pair.left, pair.right};
                       });
        block.size += count;
        pairs = pairs.subspan(count);
    }
}

void PairList::finish() {
    for (std::vector<Block>& blocks : blocks_by_worker_) {
        std::move(blocks.begin(), blocks.end(), std::back_inserter(blocks_));
        blocks.clear();
    }
}

std::uint64_t PairList::size() const {
    std::uint64_t pairs = 0;
    for (const Block& block : blocks_) {
        pairs += block.size;
    }
    return pairs;
}

} // namespace vamhash
