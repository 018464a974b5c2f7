// Lanczos filters in the forms that the SIMD kernels read (resample_kernels.h).
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include "hash/aligned_vector.h"
#include "hash/lanczos.h"
#include "hash/resample_kernels.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace vamhash {

/// A short filter of a horizontal pass, and its memory.
class PackedShortFilter {
  public:
    PackedShortFilter(const LanczosFilter& filter, const ResampleKernels& kernels);
    [[nodiscard]] ShortFilter view() const;

  private:
    std::uint32_t lanes_ = 0;
    std::vector<std::uint32_t> first_;
    AlignedVector<std::int32_t> coefficients_;
};

/// A long filter of a horizontal pass, and its memory.
class PackedLongFilter {
  public:
    PackedLongFilter(const LanczosFilter& filter, const ResampleKernels& kernels);
    [[nodiscard]] LongFilter view() const;
    /// Bytes of a row that the kernel reads; may be a little more than the row's width.
    [[nodiscard]] std::uint32_t row_bytes() const { return row_bytes_; }

  private:
    /// Coefficients of one output, or what they exceed the limit by.
    struct Part {
        std::uint32_t first;
        std::vector<std::int32_t> coefficients;
        [[nodiscard]] std::uint32_t end() const {
            return first + static_cast<std::uint32_t>(coefficients.size());
        }
    };
    static Part take_excess(Part& part, std::int32_t limit);
    void add_pair(std::span<const Part> parts, const ResampleKernels& kernels);
    void add_span(std::uint32_t begin, std::uint32_t end, LongFilter::Reader reader,
                  std::span<const Part> parts, const ResampleKernels& kernels);

    std::uint32_t in_size_;
    std::uint32_t outputs_;
    std::uint32_t row_bytes_ = 0;
    std::vector<std::uint32_t> pair_spans_{0};
    std::vector<LongFilter::Span> spans_;
    AlignedVector<std::uint8_t> coefficients_;
};

/// A filter of a vertical pass: as a short one, but an output starts at a multiple of a lane's taps
/// and reads no more lanes than it needs.
class PackedColumnFilter {
  public:
    PackedColumnFilter(const LanczosFilter& filter, const ResampleKernels& kernels);
    [[nodiscard]] std::uint32_t lanes(std::size_t output) const {
        return offsets_[output + 1] - offsets_[output];
    }
    [[nodiscard]] const std::int32_t* coefficients(std::size_t output) const {
        return coefficients_.data() + static_cast<std::size_t>(offsets_[output]) * pieces_;
    }

  private:
    std::uint32_t pieces_;
    std::vector<std::uint32_t> offsets_{0}; // in lanes
    AlignedVector<std::int32_t> coefficients_;
};

} // namespace vamhash
