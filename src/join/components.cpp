#include "join/components.h"

#include <atomic>
#include <utility>

namespace vamhash {

namespace {

using Atomic = std::atomic_ref<std::uint32_t>;

} // namespace

Components::Components(const Distinct& distinct, Workers& workers)
    : distinct_(distinct), parents_(distinct.row_count()), similar_rows_(distinct.row_count()) {
    const std::size_t groups = distinct.row_count();
    workers.run([&](unsigned worker) {
        const std::size_t end = groups * (worker + 1) / workers.count();
        for (std::size_t group = groups * worker / workers.count(); group < end; ++group) {
            parents_[group] = static_cast<std::uint32_t>(group);
            similar_rows_[group] = 0;
        }
    });
}

void Components::take(unsigned /*worker*/, std::span<const GroupPair> pairs) {
    const auto rows = [&](std::uint32_t group) {
        return static_cast<std::uint32_t>(distinct_.rows(group).size());
    };
    for (const GroupPair& pair : pairs) {
        Atomic(similar_rows_[pair.left]).fetch_add(rows(pair.right), std::memory_order_relaxed);
        Atomic(similar_rows_[pair.right]).fetch_add(rows(pair.left), std::memory_order_relaxed);
        connect(pair.left, pair.right);
    }
}

std::uint32_t Components::root(std::uint32_t group) {
    for (;;) {
        const std::uint32_t parent = Atomic(parents_[group]).load(std::memory_order_relaxed);
        if (parent == group) {
            return group;
        }
        const std::uint32_t next = Atomic(parents_[parent]).load(std::memory_order_relaxed);
        if (next == parent) {
            return parent;
        }
        // Only a root's parent is swapped: this group has ceased to be one, and any group that has
        // been above it may stand here.
        Atomic(parents_[group]).store(next, std::memory_order_relaxed);
        group = next;
    }
}

void Components::connect(std::uint32_t a, std::uint32_t b) {
    for (;;) {
        a = root(a);
        b = root(b);
        if (a == b) {
            return;
        }
        if (a < b) {
            std::swap(a, b);
        }
        std::uint32_t expected = a;
        if (Atomic(parents_[a]).compare_exchange_strong(expected, b, std::memory_order_relaxed)) {
            return;
        }
    }
}

} // namespace vamhash
