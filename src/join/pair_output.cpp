#include "join/pair_output.h"

namespace vamhash {

void PairOutput::send(std::span<const Pair> batch) {
    if (batch.empty()) {
        return;
    }
    const std::lock_guard lock(monitor_.mutex());
    workers_.check();
    try {
        if (max_pairs_ != 0 && batch.size() > max_pairs_ - monitor_.pairs()) {
            throw TooManyPairsFound();
        }
        sink_(batch);
        monitor_.add_pairs(batch.size());
    } catch (...) {
        // Under the lock, so that the sink is not called again after it has thrown.
        workers_.fail(std::current_exception());
        throw Stopped();
    }
}

} // namespace vamhash
