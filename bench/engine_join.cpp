// The engine's join of a file of hashes, without PostgreSQL, on all cores: bench/join.sh runs it.
#include "hash_file_join.h"
#include "join/similar_pairs.h"

#include <array>

namespace {

struct TimeIsUp {};

std::optional<std::uint64_t> join(std::span<const std::uint64_t> hashes, int threshold,
                                  double limit) {
    const vamhash::Stopwatch watch;
    const std::array columns{hashes};
    const std::array thresholds{threshold};
    std::uint64_t pairs = 0;
    try {
        vamhash::similar_pairs(columns, thresholds, {}, [&](std::span<const vamhash::Pair> batch) {
            pairs += batch.size();
            if (watch.seconds() > limit) {
                throw TimeIsUp();
            }
        });
    } catch (const TimeIsUp&) {
        return std::nullopt;
    }
    return pairs;
}

} // namespace

int main(int argc, char** argv) {
    return vamhash::run_join(std::span(argv, argc).subspan(1), join);
}
