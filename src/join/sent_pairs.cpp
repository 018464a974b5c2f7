#include "join/sent_pairs.h"

#include <algorithm>
#include <iterator>

namespace vamhash {

std::uint64_t SentPairs::number_of(const GroupPair& pair) const {
    const bool swap = self_ && pair.left > pair.right;
    return swap ? std::uint64_t{pair.right} << 32 | pair.left
                : std::uint64_t{pair.left} << 32 | pair.right;
}

void SentPairs::begin_table() {
    end_table();
    keep_ = most_ > 0;
}

void SentPairs::end_table() {
    sent_ = {};
    for (Thread& thread : threads_) {
        thread.sent = {};
    }
    count_ = 0;
    keep_ = false;
}

void SentPairs::repeat_table(bool can_fail) {
    keep_ = keep_ && can_fail;
    for (Thread& thread : threads_) {
        sent_.insert(sent_.end(), thread.sent.begin(), thread.sent.end());
        thread.sent = {};
    }
    std::sort(sent_.begin(), sent_.end());
}

void SentPairs::take(unsigned worker, std::span<const GroupPair> pairs) {
    Thread& own = threads_[worker];
    if (!sent_.empty()) {
        own.others.clear();
        std::copy_if(pairs.begin(), pairs.end(), std::back_inserter(own.others),
                     [&](const GroupPair& pair) {
                         return !std::binary_search(sent_.begin(), sent_.end(), number_of(pair));
                     });
        pairs = own.others;
    }
    if (pairs.empty()) {
        return;
    }
    if (keep_) {
        std::transform(pairs.begin(), pairs.end(), std::back_inserter(own.sent),
                       [&](const GroupPair& pair) { return number_of(pair); });
    }
    count_ += pairs.size();
    sink_.take(worker, pairs);
}

} // namespace vamhash
