// The filters of resizes on a device, each made once, as tables that the kernels read.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include "../../kernels/image_pass.h"

#include <cstdint>
#include <map>
#include <span>
#include <utility>
#include <vector>

namespace vamhash {

/// The windows and coefficients of filters. They only grow, until they are cleared.
class DeviceFilters {
  public:
    /// Where the windows of a filter begin. Makes it if it is not there.
    std::uint32_t windows_of(std::uint32_t in_size, std::uint32_t out_size);

    /// The bytes that a filter would add, or more.
    [[nodiscard]] std::uint64_t bytes_to_add(std::uint32_t in_size, std::uint32_t out_size) const;

    /// The bytes of all.
    [[nodiscard]] std::uint64_t bytes() const;

    void clear();

    /// How often they have been cleared.
    [[nodiscard]] std::uint64_t times_cleared() const { return times_cleared_; }

    [[nodiscard]] std::span<const ImageWindow> windows() const { return windows_; }
    [[nodiscard]] std::span<const std::int32_t> coefficients() const { return coefficients_; }

  private:
    std::map<std::pair<std::uint32_t, std::uint32_t>, std::uint32_t> places_;
    std::vector<ImageWindow> windows_;
    std::vector<std::int32_t> coefficients_;
    std::uint64_t times_cleared_ = 0;
};

} // namespace vamhash
