// The comparison of a bucket's codes with AVX-512 VPOPCNTDQ.
//
// A strip of rows, as many as a vector has lanes, meets the vectors of its own place and of those
// to the right, up to twelve of them in registers. The smallest distances of two rows are tested at
// once. In the vector of the strip's own place, lanes up to the row's own count as far away.
//
// Up to threshold 7 the lanes are the windows of 16 codes (bucket.h), which few uniform codes pass
// by chance; above, they are 8 whole codes.
#include "join/bucket.h"

#include <immintrin.h>

#include <utility>

namespace vamhash {

namespace {

constexpr int largest_threshold_for_windows = 7;
constexpr int most_vectors = 12;

// The codes of one side as the kernels below see them.
struct Side {
    const std::uint64_t* codes;
    const std::uint32_t* windows; // of the same codes, padded to whole vectors, if windows are used
};

// Appends the candidates of code `left` with right[begin .. end).
[[gnu::noinline]] void append(std::uint64_t left, const std::uint64_t* right, std::size_t begin,
                              std::size_t end, int threshold, Candidates& candidates) {
    if (end <= begin) {
        return;
    }
    if (candidates.count + (end - begin) > Candidates::capacity) {
        candidates.flush(candidates);
    }
    const __m512i limit = _mm512_set1_epi64(threshold);
    const __m512i row = _mm512_set1_epi64(static_cast<long long>(left));
    std::size_t count = candidates.count;
    for (std::size_t b = begin; b < end; b += 8) {
        const std::size_t rest = end - b;
        const auto lanes = static_cast<__mmask8>(rest < 8 ? (1U << rest) - 1 : 0xff);
        const __m512i codes = _mm512_maskz_loadu_epi64(lanes, right + b);
        const __m512i distance = _mm512_popcnt_epi64(_mm512_xor_si512(codes, row));
        const __mmask8 close = _mm512_mask_cmple_epu64_mask(lanes, distance, limit);
        if (close != 0) {
            _mm512_storeu_si512(candidates.left + count, row);
            _mm512_storeu_si512(candidates.right + count,
                                _mm512_maskz_compress_epi64(close, codes));
            count += _mm_popcnt_u32(close);
        }
    }
    candidates.count = count;
}

// Vectors of 16 windows, or of 8 codes.
template <bool Windows>
struct Lanes;

template <>
struct Lanes<true> {
    static constexpr std::size_t count = 16;
    static __m512i load(const Side& side, std::size_t first) {
        return _mm512_loadu_si512(side.windows + first);
    }
    static __m512i row(const Side& side, std::size_t number) {
        return _mm512_set1_epi32(static_cast<int>(side.windows[number]));
    }
    static __m512i distance(__m512i a, __m512i b) {
        return _mm512_popcnt_epi32(_mm512_xor_si512(a, b));
    }
    // The lanes behind `lane`; the others count as far away.
    static __m512i distance_behind(std::size_t lane, __m512i a, __m512i b) {
        const auto behind = static_cast<__mmask16>(0xfffeU << lane);
        return _mm512_mask_popcnt_epi32(_mm512_set1_epi32(-1), behind, _mm512_xor_si512(a, b));
    }
    static __m512i smaller(__m512i a, __m512i b) { return _mm512_min_epu32(a, b); }
    static __m512i limit(int threshold) { return _mm512_set1_epi32(threshold); }
    static unsigned within(__m512i distances, __m512i limit) {
        return _mm512_cmple_epu32_mask(distances, limit);
    }
};

template <>
struct Lanes<false> {
    static constexpr std::size_t count = 8;
    static __m512i load(const Side& side, std::size_t first) {
        return _mm512_loadu_si512(side.codes + first);
    }
    static __m512i row(const Side& side, std::size_t number) {
        return _mm512_set1_epi64(static_cast<long long>(side.codes[number]));
    }
    static __m512i distance(__m512i a, __m512i b) {
        return _mm512_popcnt_epi64(_mm512_xor_si512(a, b));
    }
    static __m512i distance_behind(std::size_t lane, __m512i a, __m512i b) {
        const auto behind = static_cast<__mmask8>(0xfeU << lane);
        return _mm512_mask_popcnt_epi64(_mm512_set1_epi64(-1), behind, _mm512_xor_si512(a, b));
    }
    static __m512i smaller(__m512i a, __m512i b) { return _mm512_min_epu8(a, b); }
    static __m512i limit(int threshold) { return _mm512_set1_epi64(threshold); }
    static unsigned within(__m512i distances, __m512i limit) {
        return _mm512_cmple_epu64_mask(distances, limit);
    }
};

// Compares rows [row, row_end) of the left side with `Vectors` vectors of the right one from
// `column`, of which codes before column_end count. With Diagonal, both sides are one, the rows are
// those of the first vector, and only pairs with the column behind the row count.
template <bool Windows, int Vectors, bool Diagonal>
[[gnu::noinline]] void compare_strip(const Side& left, std::size_t row, std::size_t row_end,
                                     const Side& right, std::size_t column, std::size_t column_end,
                                     int threshold, Candidates& candidates) {
    using L = Lanes<Windows>;
    const __m512i limit = L::limit(threshold);
    __m512i columns[Vectors];
    for (int i = 0; i < Vectors; ++i) {
        columns[i] = L::load(right, column + i * L::count);
    }
    if (!Windows && column + Vectors * L::count > column_end) {
        // What lies behind the bucket is often close to it: keep it away.
        const auto valid =
            static_cast<__mmask8>((1U << (column_end - (column + (Vectors - 1) * L::count))) - 1);
        const std::uint64_t opposite = ~right.codes[column];
        const __m512i far = _mm512_set1_epi64(static_cast<long long>(opposite));
        columns[Vectors - 1] = _mm512_mask_blend_epi64(valid, far, columns[Vectors - 1]);
    }
    const std::size_t first = row;
    for (; row < row_end; row += 2) {
        const __m512i row0 = L::row(left, row);
        const __m512i row1 = L::row(left, row + 1);
        __m512i smallest0;
        __m512i smallest1;
        if constexpr (Diagonal) {
            smallest0 = L::distance_behind(row - first, columns[0], row0);
            smallest1 = L::distance_behind(row - first + 1, columns[0], row1);
        } else {
            smallest0 = L::distance(columns[0], row0);
            smallest1 = L::distance(columns[0], row1);
        }
        for (int i = 1; i < Vectors; ++i) {
            smallest0 = L::smaller(smallest0, L::distance(columns[i], row0));
            smallest1 = L::smaller(smallest1, L::distance(columns[i], row1));
        }
        if (__builtin_expect(L::within(L::smaller(smallest0, smallest1), limit) != 0, 0)) {
            const std::size_t end =
                column_end - column < Vectors * L::count ? column_end : column + Vectors * L::count;
            if (L::within(smallest0, limit) != 0) {
                append(left.codes[row], right.codes, Diagonal ? row + 1 : column, end, threshold,
                       candidates);
            }
            if (row + 1 < row_end && L::within(smallest1, limit) != 0) {
                append(left.codes[row + 1], right.codes, Diagonal ? row + 2 : column, end,
                       threshold, candidates);
            }
        }
    }
}

// compare_strip for a number of vectors known only now: the versions for 1 .. most_vectors.
template <bool Windows, bool Diagonal>
constexpr auto strips = []<int... I>(std::integer_sequence<int, I...>) {
    struct {
        decltype(&compare_strip<Windows, 1, Diagonal>) version[sizeof...(I)];
    } table{{compare_strip<Windows, I + 1, Diagonal>...}};
    return table;
}
(std::make_integer_sequence<int, most_vectors>());

// Compares rows with columns [column, column_end), as many vectors at a time as there are
// registers.
template <bool Windows>
void compare_rows(const Side& left, std::size_t row, std::size_t row_end, const Side& right,
                  std::size_t column, std::size_t column_end, int threshold,
                  Candidates& candidates) {
    constexpr std::size_t lanes = Lanes<Windows>::count;
    while (column < column_end) {
        const std::size_t rest = (column_end - column + lanes - 1) / lanes;
        const std::size_t vectors = rest < most_vectors ? rest : most_vectors;
        strips<Windows, false>.version[vectors - 1](left, row, row_end, right, column, column_end,
                                                    threshold, candidates);
        column += vectors * lanes;
    }
}

// The triangle of a bucket of up to Vectors vectors, the strips unrolled.
template <bool Windows, int Vectors>
void compare_triangle(const Side& side, std::size_t size, int threshold, Candidates& candidates) {
    constexpr std::size_t lanes = Lanes<Windows>::count;
    [&]<int... I>(std::integer_sequence<int, I...>) {
        (compare_strip<Windows, Vectors - I, true>(side, I * lanes,
                                                   I + 1 == Vectors ? size - 1 : (I + 1) * lanes,
                                                   side, I * lanes, size, threshold, candidates),
         ...);
    }
    (std::make_integer_sequence<int, Vectors>());
}

template <bool Windows>
constexpr auto triangles = []<int... I>(std::integer_sequence<int, I...>) {
    struct {
        decltype(&compare_triangle<Windows, 1>) version[sizeof...(I)];
    } table{{compare_triangle<Windows, I + 1>...}};
    return table;
}
(std::make_integer_sequence<int, most_vectors>());

// The triangle of a bucket of any size.
template <bool Windows>
void compare_bucket(const Side& side, std::size_t size, int threshold, Candidates& candidates) {
    constexpr std::size_t lanes = Lanes<Windows>::count;
    const std::size_t vectors = (size + lanes - 1) / lanes;
    if (vectors <= most_vectors) {
        triangles<Windows>.version[vectors - 1](side, size, threshold, candidates);
        return;
    }
    for (std::size_t row = 0; row < size; row += lanes) {
        const std::size_t row_end = row + lanes < size ? row + lanes : size;
        const std::size_t rest = (size - row + lanes - 1) / lanes;
        const std::size_t own = rest < most_vectors ? rest : most_vectors;
        strips<Windows, true>.version[own - 1](side, row, row_end, side, row, size, threshold,
                                               candidates);
        compare_rows<Windows>(side, row, row_end, side, row + own * lanes, size, threshold,
                              candidates);
    }
}

// Writes the windows of the codes, and such as are far from the first one up to a whole vector.
void take_windows(const std::uint64_t* codes, std::size_t size, int window,
                  std::uint32_t* windows) {
    const __m512i shift = _mm512_set1_epi64(window);
    std::size_t i = 0;
    for (; i < size; i += 8) {
        const __m512i turned = _mm512_rorv_epi64(_mm512_loadu_si512(codes + i), shift);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(windows + i), _mm512_cvtepi64_epi32(turned));
    }
    const std::size_t whole = (size + 15) / 16 * 16;
    const auto opposite =
        static_cast<std::uint32_t>(~(codes[0] >> window | codes[0] << (-window & 63)));
    const auto pads = static_cast<__mmask16>(0xffffU << (16 - (whole - size)));
    _mm512_mask_storeu_epi32(windows + whole - 16, pads,
                             _mm512_set1_epi32(static_cast<int>(opposite)));
}

void compare_buckets(const std::uint64_t* codes, const std::uint32_t* borders, std::size_t buckets,
                     const Comparison& comparison, Candidates& candidates) {
    const bool use_windows = comparison.threshold <= largest_threshold_for_windows;
    alignas(64) std::uint32_t windows[largest_bucket + 16];
    for (std::size_t i = 0; i < buckets; ++i) {
        const std::size_t size = borders[i + 1] - borders[i];
        const std::uint64_t* bucket = codes + borders[i];
        if (size < 2 || size > largest_bucket) {
            continue;
        }
        if (size == 2) {
            if (_mm_popcnt_u64(bucket[0] ^ bucket[1]) <= comparison.threshold) {
                append(bucket[0], bucket, 1, 2, comparison.threshold, candidates);
            }
        } else if (use_windows) {
            take_windows(bucket, size, comparison.window, windows);
            compare_bucket<true>({bucket, windows}, size, comparison.threshold, candidates);
        } else {
            compare_bucket<false>({bucket, nullptr}, size, comparison.threshold, candidates);
        }
    }
}

// Room for the windows of a rectangle's sides.
struct Windows {
    alignas(64) std::uint32_t left[largest_bucket + 16];
    alignas(64) std::uint32_t right[largest_bucket + 16];
};

void compare_rectangle(const std::uint64_t* left, std::size_t left_count,
                       const std::uint64_t* right, std::size_t right_count,
                       const Comparison& comparison, Windows& windows, Candidates& candidates) {
    if (comparison.threshold <= largest_threshold_for_windows) {
        take_windows(left, left_count, comparison.window, windows.left);
        take_windows(right, right_count, comparison.window, windows.right);
        compare_rows<true>({left, windows.left}, 0, left_count, {right, windows.right}, 0,
                           right_count, comparison.threshold, candidates);
    } else {
        compare_rows<false>({left, nullptr}, 0, left_count, {right, nullptr}, 0, right_count,
                            comparison.threshold, candidates);
    }
}

void compare_rectangle(const std::uint64_t* left, std::size_t left_count,
                       const std::uint64_t* right, std::size_t right_count,
                       const Comparison& comparison, Candidates& candidates) {
    Windows windows;
    compare_rectangle(left, left_count, right, right_count, comparison, windows, candidates);
}

void compare_bucket_rectangles(const std::uint64_t* left, const std::uint32_t* left_borders,
                               const std::uint64_t* right, const std::uint32_t* right_borders,
                               std::size_t buckets, const Comparison& comparison,
                               Candidates& candidates) {
    Windows windows;
    for (std::size_t i = 0; i < buckets; ++i) {
        const std::uint64_t* rows = left + left_borders[i];
        const std::uint64_t* columns = right + right_borders[i];
        const std::size_t row_count = left_borders[i + 1] - left_borders[i];
        const std::size_t column_count = right_borders[i + 1] - right_borders[i];
        if (row_count == 0 || column_count == 0 || row_count > largest_bucket ||
            column_count > largest_bucket) {
            continue;
        }
        if (column_count <= 8 || row_count == 1) {
            // Too few to prepare anything: whole codes at once.
            for (std::size_t row = 0; row < row_count; ++row) {
                append(rows[row], columns, 0, column_count, comparison.threshold, candidates);
            }
            continue;
        }
        compare_rectangle(rows, row_count, columns, column_count, comparison, windows, candidates);
    }
}

std::size_t select_new(Candidates& candidates, const EmissionRule& rule) {
    const __m512i one = _mm512_set1_epi64(1);
    std::size_t kept = 0;
    for (std::size_t i = 0; i < candidates.count; i += 8) {
        const std::size_t rest = candidates.count - i;
        const __m512i left = _mm512_loadu_si512(candidates.left + i);
        const __m512i right = _mm512_loadu_si512(candidates.right + i);
        const __m512i difference = _mm512_xor_si512(left, right);
        auto fresh = static_cast<__mmask8>(rest < 8 ? (1U << rest) - 1 : 0xff);
        for (int j = 0; j < rule.must_differ_count; ++j) {
            const __m512i block = _mm512_set1_epi64(static_cast<long long>(rule.must_differ[j]));
            fresh = _mm512_mask_test_epi64_mask(fresh, difference, block);
        }
        for (int part = 0; part < rule.earlier_parts && fresh != 0; ++part) {
            __m512i equal = _mm512_setzero_si512();
            for (int j = rule.earlier_part[part].first_block; j < rule.earlier_part[part].end_block;
                 ++j) {
                const __m512i block =
                    _mm512_set1_epi64(static_cast<long long>(rule.earlier_blocks[j]));
                equal = _mm512_mask_add_epi64(equal, _mm512_testn_epi64_mask(difference, block),
                                              equal, one);
            }
            fresh = _mm512_mask_cmplt_epu64_mask(
                fresh, equal, _mm512_set1_epi64(rule.earlier_part[part].selected));
        }
        // What is stored beyond the kept pairs has been read already.
        _mm512_storeu_si512(candidates.left + kept, _mm512_maskz_compress_epi64(fresh, left));
        _mm512_storeu_si512(candidates.right + kept, _mm512_maskz_compress_epi64(fresh, right));
        kept += _mm_popcnt_u32(fresh);
    }
    return kept;
}

} // namespace

const BucketKernels bucket_avx512{compare_buckets, compare_bucket_rectangles, compare_rectangle,
                                  select_new};

} // namespace vamhash
