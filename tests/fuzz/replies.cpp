// A hostile engine: the input is what was asked for, then an engine's replies. Whatever they are,
// the backend's checks end, read nothing that is not there, and let no answer through that
// contradicts itself.
#include "backend.h"

#include <map>

namespace vamhash {
namespace {

using namespace fuzz;

protocol::PairsRequest take_pairs_request(Input& input) {
    protocol::PairsRequest params{};
    params.columns = input.between(1, protocol::max_columns);
    params.sets = input.between(1, 2);
    for (std::uint32_t i = 0; i < params.columns; ++i) {
        params.thresholds[i] = static_cast<std::uint8_t>(input.between(0, 64));
    }
    return params;
}

protocol::GroupsRequest take_groups_request(Input& input) {
    protocol::GroupsRequest params{};
    params.threshold = input.between(0, 64);
    params.method = input.between(0, 2);
    return params;
}

/// Ranks rows by keys made of their numbers, of which several are the same, as a backend does:
/// from 1, without gaps; nothing where rows of one key have different hashes.
std::optional<std::vector<std::uint32_t>> rank(std::span<const protocol::GroupedRow> rows,
                                               std::uint32_t keys, std::uint32_t stride) {
    std::map<std::uint32_t, std::uint32_t> values; // by key
    const auto key_of = [&](std::uint32_t row) { return row * stride % keys; };
    for (const auto& row : rows) {
        if (!values.emplace(key_of(row.row), row.value).second &&
            values[key_of(row.row)] != row.value) {
            return std::nullopt;
        }
    }
    std::vector<std::uint32_t> ranks;
    for (const auto& row : rows) {
        ranks.push_back(static_cast<std::uint32_t>(
            1 + std::distance(values.begin(), values.find(key_of(row.row)))));
    }
    return ranks;
}

/// Images of which one in `stride` is a file, and one in two may be put into an arena.
ImagesJob take_images(Input& input) {
    constexpr std::uint32_t most_images = 100;
    ImagesJob job{.images = {}, .parts = input.between(0, protocol::max_parts)};
    const std::uint32_t count = input.between(0, most_images);
    const std::uint32_t stride = input.between(1, most_images);
    for (std::uint32_t i = 0; i < count; ++i) {
        job.images[i] = {.asked = {.is_file = i % stride == 0, .parts = i % 2 == 0 ? job.parts : 0},
                         .count = 1};
    }
    return job;
}

void receive_answer(Input& input) {
    constexpr std::uint32_t most_rows = 200;
    const unsigned kind = input.byte() % 6;
    const std::uint32_t id = input.byte();
    // Every other engine that asks gets a device.
    const DeviceAnswer answer_device = [granted = false]() mutable {
        granted = !granted;
        return std::optional(granted);
    };
    if (kind == 0) {
        Backend backend(input.rest(), answer_device);
        backend.receive_hello();
        backend.receive_hash(id);
    } else if (kind == 1) {
        PairsJob job{};
        job.params = take_pairs_request(input);
        job.left_rows = input.between(0, most_rows);
        job.right_rows = job.params.sets == 2 ? input.between(0, most_rows) : 0;
        Backend backend(input.rest(), answer_device);
        backend.receive_pairs(id, job);
    } else if (kind == 3) {
        Backend backend(input.rest(), answer_device);
        backend.receive_devices(id);
    } else if (kind == 4) {
        const ImagesJob job = take_images(input);
        Backend backend(input.rest(), answer_device);
        backend.receive_images(id, job);
    } else if (kind == 5) {
        const std::uint32_t pictures = input.between(0, 2 * protocol::max_images);
        Backend backend(input.rest(), answer_device);
        backend.receive_pictures(id, pictures);
    } else {
        GroupsJob job{};
        job.params = take_groups_request(input);
        job.rows = input.between(0, most_rows);
        const std::uint32_t keys = input.between(1, most_rows);
        const std::uint32_t stride = input.between(1, most_rows);
        job.rank_of = [=](std::span<const protocol::GroupedRow> rows) {
            return rank(rows, keys, stride);
        };
        Backend backend(input.rest(), answer_device);
        backend.receive_groups(id, job);
    }
}

} // namespace
} // namespace vamhash

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    vamhash::fuzz::Input input({data, size});
    vamhash::receive_answer(input);
    return 0;
}
