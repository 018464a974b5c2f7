#include "join/estimate.h"

#include "join/brute_force.h"

#include <algorithm>
#include <vector>

namespace vamhash {

namespace {

// So that a sample takes a small part of the join's time.
std::size_t sample_rows(std::size_t rows, Isa isa) {
    constexpr std::size_t rows_for_large_sample = 4000000;
    const std::size_t size = isa == Isa::scalar ? 1024 : rows < rows_for_large_sample ? 4096 : 8192;
    return std::min(rows, size);
}

// Rows at equal distances.
class SampledColumns {
  public:
    SampledColumns(Columns columns, std::size_t size) {
        for (const std::span<const std::uint64_t> column : columns) {
            std::vector<std::uint64_t> codes(size);
            for (std::size_t i = 0; i < size; ++i) {
                codes[i] = column[i * column.size() / size];
            }
            codes_.push_back(std::move(codes));
        }
        spans_.assign(codes_.begin(), codes_.end());
    }

    [[nodiscard]] Columns columns() const { return spans_; }

  private:
    std::vector<std::vector<std::uint64_t>> codes_;
    std::vector<std::span<const std::uint64_t>> spans_;
};

// The pairs of n rows with n - 1 or m others.
double matrix(const JoinInput& input) {
    const auto rows = static_cast<double>(input.left[0].size());
    return input.self ? rows * (rows - 1) / 2 : rows * static_cast<double>(input.right[0].size());
}

} // namespace

double estimate_pairs(const JoinInput& input, Isa isa, Workers& workers) {
    const SampledColumns left(input.left, sample_rows(input.left[0].size(), isa));
    const SampledColumns right(input.right,
                               input.self ? 0 : sample_rows(input.right[0].size(), isa));
    JoinInput sample = input;
    sample.left = left.columns();
    sample.right = input.self ? left.columns() : right.columns();
    const PairSink count = [](std::span<const Pair>) {};
    const ProgressSink silent;
    Monitor monitor(silent, workers);
    PairOutput output(count, 0, workers, monitor);
    brute_force(sample, isa, workers, monitor, output);
    const auto pairs = static_cast<double>(monitor.pairs());
    return pairs == 0 ? -1 : pairs * matrix(input) / matrix(sample);
}

} // namespace vamhash
