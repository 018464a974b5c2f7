#include "join/table_join.h"

#include <algorithm>

namespace vamhash {

TableJoin::TableJoin(const Plan& plan, int threshold, Isa isa, std::uint64_t most_sent,
                     JoinDevice& device, Workers& workers, Monitor& monitor, GroupPairSink& sink)
    : sets_(table_sets(plan.scheme)), threshold_(threshold), isa_(isa), device_(device),
      workers_(workers), monitor_(monitor),
      sent_(sink,
            plan.on_device && !device.is_required() ? std::max<std::uint64_t>(most_sent, 1) : 0,
            workers.count()) {
    if (plan.on_device && device.device() != nullptr) {
        on_device_.emplace(*device.device(), device.memory_limit(), longest_key(plan.scheme),
                           threshold, isa, workers, monitor, sent_);
    }
}

void TableJoin::refer_to(const Distinct& left, const Distinct& right) {
    left_ = &left;
    right_ = &right;
    if (on_device_) {
        on_device_->refer_to(left, right);
    }
}

void TableJoin::run(std::size_t set) {
    const std::size_t first = on_device_ ? run_on_device(set) : 0;
    if (first < tables(set)) {
        run_on_cpu({set, first, tables(set)});
    }
}

// Returns the number of the first table that is left to the CPU.
std::size_t TableJoin::run_on_device(std::size_t set) {
    for (std::size_t i = 0; i < tables(set); ++i) {
        try {
            monitor_.device_computes(device_.device()->name());
            on_device_->run(sets_[set].tables[i]);
        } catch (const TooManySentPairs&) {
            device_.note("a table has more pairs than are kept against the device's failure");
            run_on_cpu({set, i, i + 1});
        } catch (const DeviceMemoryExceeded& error) {
            if (device_.is_required()) {
                throw;
            }
            on_device_.reset();
            device_.note(error.what());
            return i;
        } catch (const DeviceFailed& error) {
            if (device_.is_required()) {
                throw;
            }
            on_device_.reset(); // its memory before the device
            device_.discard(error.what());
            return i;
        }
    }
    return tables(set);
}

// Runs tables, of which the first may have sent pairs from a device.
void TableJoin::run_on_cpu(const Tables& tables) {
    if (!on_cpu_) {
        on_cpu_.emplace(sets_, threshold_, isa_, workers_, monitor_, sent_);
    }
    monitor_.device_computes({});
    sent_.repeat_table(false);
    on_cpu_->run(tables, *left_, *right_);
    sent_.end_table();
}

} // namespace vamhash
