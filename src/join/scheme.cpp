#include "join/scheme.h"

#include <algorithm>
#include <bit>
#include <numeric>

namespace vamhash {

double binomial(int n, int k) {
    double result = 1;
    for (int i = 0; i < k; ++i) {
        result = result * (n - i) / (i + 1);
    }
    return result;
}

std::size_t Scheme::tables() const {
    double sum = 0;
    for (const Part& part : parts) {
        sum += binomial(static_cast<int>(part.blocks.size()), part.selected);
    }
    return static_cast<std::size_t>(std::min(sum + 0.5, 1e9));
}

std::vector<Table> tables_of(const Part& part) {
    const int blocks = static_cast<int>(part.blocks.size());
    std::vector<int> chosen(part.selected);
    std::iota(chosen.begin(), chosen.end(), 0);
    std::vector<Table> tables;
    for (;;) {
        tables.push_back({chosen});
        int i = part.selected - 1;
        while (i >= 0 && chosen[i] == blocks - part.selected + i) {
            --i;
        }
        if (i < 0) {
            return tables;
        }
        ++chosen[i];
        for (int j = i + 1; j < part.selected; ++j) {
            chosen[j] = chosen[j - 1] + 1;
        }
    }
}

std::uint64_t key_mask(const Part& part, const Table& table, std::size_t count) {
    std::uint64_t mask = 0;
    for (std::size_t i = 0; i < count; ++i) {
        mask |= part.blocks[table.blocks[i]];
    }
    return mask;
}

std::uint64_t key_mask(const Part& part, const Table& table) {
    return key_mask(part, table, table.blocks.size());
}

EmissionRule emission_rule(const Scheme& scheme, std::size_t part, const Table& table) {
    EmissionRule rule{};
    const int last = table.blocks.empty() ? 0 : table.blocks.back();
    for (int block = 0; block < last; ++block) {
        if (!std::binary_search(table.blocks.begin(), table.blocks.end(), block)) {
            rule.must_differ[rule.must_differ_count++] = scheme.parts[part].blocks[block];
        }
    }
    int blocks = 0;
    for (std::size_t i = 0; i < part; ++i) {
        const Part& earlier = scheme.parts[i];
        const int end = blocks + static_cast<int>(earlier.blocks.size());
        rule.earlier_part[rule.earlier_parts++] = {blocks, end, earlier.selected};
        std::copy(earlier.blocks.begin(), earlier.blocks.end(), rule.earlier_blocks + blocks);
        blocks = end;
    }
    return rule;
}

std::vector<TableSet> table_sets(const Scheme& scheme) {
    std::vector<TableSet> sets;
    for (std::size_t part = 0; part < scheme.parts.size(); ++part) {
        const Part& blocks = scheme.parts[part];
        for (const Table& table : tables_of(blocks)) {
            const std::uint64_t shared = key_mask(
                blocks, table, std::min<std::size_t>(scheme.shared_blocks, table.blocks.size()));
            // Those of another part may have the same first blocks: the tables stay in order.
            if (sets.empty() || sets.back().shared_mask != shared) {
                sets.push_back({shared, {}});
            }
            sets.back().tables.push_back(
                {key_mask(blocks, table), emission_rule(scheme, part, table)});
        }
    }
    return sets;
}

int longest_key(const Scheme& scheme) {
    int longest = 0;
    for (const Part& part : scheme.parts) {
        std::vector<int> bits;
        for (const std::uint64_t block : part.blocks) {
            bits.push_back(std::popcount(block));
        }
        std::sort(bits.rbegin(), bits.rend());
        longest = std::max(longest, std::accumulate(bits.begin(), bits.begin() + part.selected, 0));
    }
    return longest;
}

Scheme make_scheme(int threshold, int parts, int selected, int key_bits) {
    // sum(tolerance + 1) = threshold + 1, shared out evenly.
    const int blocks = threshold + 1 - parts + parts * selected;
    const int bits = std::min(64, (key_bits * blocks + selected / 2) / selected);
    if (parts > threshold + 1 || blocks > bits) {
        return {};
    }
    Scheme scheme;
    scheme.shared_blocks = 1;
    int block = 0;
    for (int i = 0; i < parts; ++i) {
        const int tolerance = (threshold + 1) * (i + 1) / parts - (threshold + 1) * i / parts - 1;
        Part part{{}, selected};
        for (int j = 0; j < tolerance + selected; ++j, ++block) {
            const int first = bits * block / blocks;
            const int end = bits * (block + 1) / blocks;
            part.blocks.push_back(~0ULL >> (64 - (end - first)) << first);
        }
        scheme.parts.push_back(std::move(part));
    }
    return scheme;
}

Scheme one_bucket() {
    Scheme scheme;
    scheme.parts.push_back({{}, 0});
    return scheme;
}

} // namespace vamhash
