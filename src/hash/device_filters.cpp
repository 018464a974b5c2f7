#include "hash/device_filters.h"

#include "hash/lanczos.h"

namespace vamhash {

std::uint32_t DeviceFilters::windows_of(std::uint32_t in_size, std::uint32_t out_size) {
    const std::pair sizes(in_size, out_size);
    if (const auto place = places_.find(sizes); place != places_.end()) {
        return place->second;
    }
    const LanczosFilter filter(in_size, out_size);
    const auto first = static_cast<std::uint32_t>(windows_.size());
    for (std::uint32_t i = 0; i < out_size; ++i) {
        const auto own = filter.coefficients(i);
        windows_.push_back({filter.window(i).first, filter.window(i).taps, coefficients_.size()});
        coefficients_.insert(coefficients_.end(), own.begin(), own.end());
    }
    places_.emplace(sizes, first);
    return first;
}

std::uint64_t DeviceFilters::bytes_to_add(std::uint32_t in_size, std::uint32_t out_size) const {
    if (places_.contains({in_size, out_size})) {
        return 0;
    }
    // A window reaches three output samples to each side, or three input ones, and is rounded to
    // whole ones.
    const std::uint64_t taps = 6 * (std::uint64_t{in_size} / out_size + 1) + 2;
    return out_size * (taps * sizeof(std::int32_t) + sizeof(ImageWindow));
}

std::uint64_t DeviceFilters::bytes() const {
    return std::as_bytes(windows()).size() + std::as_bytes(coefficients()).size();
}

void DeviceFilters::clear() {
    places_.clear();
    windows_.clear();
    coefficients_.clear();
    ++times_cleared_;
}

} // namespace vamhash
