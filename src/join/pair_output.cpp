#include "join/pair_output.h"

namespace vamhash {

void PairOutput::send(std::span<const Pair> batch) {
    if (batch.empty()) {
        return;
    }
    const std::lock_guard lock(mutex_);
    if (!workers_.stopped()) {
        try {
            sink_(batch);
        } catch (...) {
            // Under the lock, so that the sink is not called again after it has thrown.
            workers_.fail(std::current_exception());
        }
    }
}

} // namespace vamhash
