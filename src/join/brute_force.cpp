// Rows are cut into blocks, and the comparison matrix, of a self-join its upper triangle, into
// tiles of one block against another (or itself). Threads take tiles by number. A tile is compared
// strip by strip (join/tile.h) in the candidates' column; hits are verified in the other columns.
//
// Threads look at whether one has failed before each strip and before each batch of pairs.
#include "join/brute_force.h"

#include "join/tile.h"
#include "join/triangle.h"

#include <algorithm>
#include <memory>
#include <vector>

namespace vamhash {

namespace {

// Two blocks of codes take 16 KiB: half of a usual first-level cache.
constexpr std::uint64_t block_rows = 1024;
static_assert(block_rows <= max_block_codes);
// The hits of one strip of all-equal codes take 512 KiB, of which usual data touches little.
constexpr std::uint64_t strip_rows = 64;

// A thread's own buffers.
struct Buffers {
    Buffers(const JoinInput& input, PairOutput& output) : batch(input, output) {}

    std::unique_ptr<Hit[]> hits =
        std::make_unique_for_overwrite<Hit[]>(strip_rows * block_rows + hit_slack);
    PairBatch batch;
};

// Finds the pairs of a tile; returns the hits. On the diagonal of a self-join a strip begins at its
// own first row, and what lies left of the diagonal is left out.
std::uint64_t compare(const JoinInput& input, Tile tile, CompareTile* compare_tile,
                      Buffers& buffers) {
    const std::span<const std::uint64_t> left = input.left_codes();
    const std::span<const std::uint64_t> right = input.right_codes();
    const std::uint64_t rows_end = std::min((tile.row_block + 1) * block_rows, left.size());
    const std::uint64_t columns_end = std::min((tile.column_block + 1) * block_rows, right.size());
    std::uint64_t pairs = 0;
    for (std::uint64_t row = tile.row_block * block_rows; row < rows_end; row += strip_rows) {
        if (buffers.batch.stopped()) {
            break;
        }
        const std::uint64_t first = tile.column_block * block_rows;
        const std::uint64_t column = input.self ? std::max(row, first) : first;
        const std::size_t hits = compare_tile(
            left.data() + row, std::min(strip_rows, rows_end - row), right.data() + column,
            columns_end - column, input.threshold(), buffers.hits.get());
        for (const Hit& hit : std::span(buffers.hits.get(), hits)) {
            const std::uint64_t a = row + hit.a;
            const std::uint64_t b = column + hit.b;
            if (a < b || !input.self) {
                ++pairs;
                buffers.batch.add(static_cast<std::uint32_t>(a), static_cast<std::uint32_t>(b),
                                  hit.distance);
            }
        }
    }
    return pairs;
}

std::uint64_t blocks(std::span<const std::uint64_t> codes) {
    return (codes.size() + block_rows - 1) / block_rows;
}

} // namespace

void brute_force(const JoinInput& input, Isa isa, Workers& workers, Monitor& monitor,
                 PairOutput& output) {
    const std::uint64_t columns = blocks(input.right_codes());
    const Triangle triangle(columns);
    const std::uint64_t tiles =
        input.self ? triangle.tiles() : blocks(input.left_codes()) * columns;
    std::vector<std::unique_ptr<Buffers>> buffers(workers.count());
    monitor.begin(JoinPhase::comparing, tiles);
    workers.run_tasks(tiles, [&](unsigned worker, std::uint64_t number) {
        if (!buffers[worker]) {
            buffers[worker] = std::make_unique<Buffers>(input, output);
        }
        const Tile tile =
            input.self ? triangle.tile(number) : Tile{number / columns, number % columns};
        monitor.add(compare(input, tile, compare_tile_for(isa), *buffers[worker]), 1);
    });
    workers.run([&](unsigned worker) {
        if (buffers[worker]) {
            buffers[worker]->batch.send();
        }
    });
}

} // namespace vamhash
