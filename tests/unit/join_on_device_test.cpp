// Joins on the first device that there is, PoCL's CPU or a better one: row for row the CPU's
// answers, also where the device fails, has little memory, or cannot be had.
#include "device/device.h"
#include "join/similar_groups.h"
#include "join/similar_pairs.h"

#include "faulty_backend.h"
#include "join_data.h"
#include "test_size.h"
#include "tested_devices.h"

#include <algorithm>
#include <cstdint>
#include <gtest/gtest.h>
#include <memory>
#include <numeric>
#include <optional>
#include <random>
#include <string>
#include <vector>

namespace vamhash::test {
namespace {

/// A source of one device, opened anew for each join.
class OneDevice final : public DeviceSource {
  public:
    OneDevice(const plugin::DeviceBackend& backend, std::uint32_t number)
        : backend_(backend), number_(number) {}

    DeviceOffer look() override {
        plugin::DeviceProperties properties{};
        backend_.describe(number_, &properties);
        return {properties, device_ != nullptr};
    }
    Device& take() override {
        ++taken;
        if (!device_) {
            device_ = std::make_unique<Device>(backend_, number_);
        }
        return *device_;
    }
    void discard(const char* reason) override {
        device_.reset();
        discarded = reason;
    }

    int taken = 0;
    std::string discarded;

  private:
    const plugin::DeviceBackend& backend_;
    const std::uint32_t number_;
    std::unique_ptr<Device> device_;
};

/// A source of none.
class NoDevices final : public DeviceSource {
  public:
    DeviceOffer look() override { throw NoDevice("no device can be used", "there is none"); }
    Device& take() override { throw NoDevice("no device can be used", "there is none"); }
    void discard(const char* /*reason*/) override {}
};

/// Rows of which some are equal, some near each other, and some share most of their bits.
Column made_rows(std::size_t count, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    Column rows;
    while (rows.size() < count) {
        std::uint64_t code = random();
        const std::uint64_t kind = random() % 10;
        if (kind < 4 && !rows.empty()) {
            code = rows[random() % rows.size()];
            for (std::uint64_t flips = kind == 0 ? 0 : random() % 7; flips > 0; --flips) {
                code ^= std::uint64_t{1} << random() % 64;
            }
        } else if (kind == 4) {
            code &= 0xff000000000000ff; // as of pictures of little contrast
        }
        rows.push_back(code);
    }
    return rows;
}

class JoinOnDevice : public testing::Test {
  protected:
    void SetUp() override {
        faults() = {};
        const std::vector<DeviceListing> devices = tested_devices();
        if (devices.empty()) {
            GTEST_SKIP() << "there is no device, not even PoCL's";
        }
        backend_.emplace(*load_device_backend(devices[0].backend).backend);
        device_.emplace(backend_->table(), static_cast<std::uint32_t>(devices[0].number));
    }

    void TearDown() override {
        device_.reset();
        backend_.reset();
        EXPECT_EQ(faults().arrays, 0);
        EXPECT_EQ(faults().open_devices, 0);
    }

    JoinOptions required(JoinMethod method = JoinMethod::automatic) {
        return {
            .threads = 2, .method = method, .device = {.source = &*device_, .is_required = true}};
    }

    /// As with a device that is expected to be faster than the CPU, for any join.
    JoinOptions automatic(JoinMethod method = JoinMethod::automatic) {
        eager_.real = &*device_;
        return {.threads = 2, .method = method, .device = {.source = &eager_, .least_seconds = 0}};
    }

    Answer pairs(const std::vector<Column>& columns, const std::vector<int>& thresholds,
                 const JoinOptions& options) {
        Answer answer;
        report_ = similar_pairs(spans(columns), thresholds, options, adding_to(answer));
        EXPECT_EQ(report_.pairs, answer.pairs);
        return answer;
    }

    /// The join on the device as the CPU has it.
    void expect_same(const std::vector<Column>& columns, const std::vector<int>& thresholds,
                     const JoinOptions& options) {
        JoinOptions on_cpu = options;
        on_cpu.device = {};
        on_cpu.memory_limit = 0;
        const Answer expected = pairs(columns, thresholds, on_cpu);
        EXPECT_EQ(report_.device.name, "");
        EXPECT_EQ(pairs(columns, thresholds, options), expected)
            << columns[0].size() << " rows, threshold " << thresholds[0];
    }

    struct Eager final : public DeviceSource {
        DeviceOffer look() override {
            DeviceOffer offer = real->look();
            offer.is_open = true;
            offer.properties.is_gpu = 1;
            offer.properties.compute_units = 100'000'000;
            return offer;
        }
        Device& take() override { return real->take(); }
        void discard(const char* reason) override { real->discard(reason); }
        DeviceSource* real = nullptr;
    } eager_;
    std::optional<FaultyBackend> backend_;
    std::optional<OneDevice> device_;
    JoinReport report_;
};

TEST_F(JoinOnDevice, IsTheCpusAtEveryThreshold) {
    const Column rows = made_rows(3000, 1);
    for (int threshold = 0; threshold <= 64; threshold += threshold < 20 ? 1 : 4) {
        expect_same({rows}, {threshold}, required());
        if (threshold > 0) {
            EXPECT_NE(report_.device.name, "");
            EXPECT_GT(report_.device.tables, 0U);
            EXPECT_GT(report_.device.bytes, 0U);
            EXPECT_GT(report_.device.seconds, 0);
        }
        EXPECT_EQ(report_.device.fallbacks, 0U);
    }
}

TEST_F(JoinOnDevice, TakesAnyNumberOfRows) {
    for (const std::size_t count : {0, 1, 2, 3, 63, 64, 65, 511, 512, 513, 1025, 4097}) {
        for (const JoinMethod method :
             {JoinMethod::automatic, JoinMethod::blocks, JoinMethod::brute}) {
            expect_same({made_rows(count, count)}, {5}, required(method));
        }
    }
    EXPECT_GT(device_->taken, 0);
}

TEST_F(JoinOnDevice, JoinsManyRowsBySeveralTables) {
    const Column rows = made_rows(sized(60000), 2);
    for (const int threshold : {2, 5, 8}) {
        expect_same({rows}, {threshold}, required(JoinMethod::blocks));
        EXPECT_GT(report_.device.tables, 1U);
        EXPECT_EQ(report_.device.tables, report_.tables);
    }
}

TEST_F(JoinOnDevice, VerifiesTheOtherColumns) {
    const std::vector<Column> columns = {made_rows(5000, 3), made_rows(5000, 4)};
    expect_same(columns, {6, 30}, required());
    EXPECT_GT(report_.device.tables, 0U);
}

TEST_F(JoinOnDevice, JoinsTwoSets) {
    for (const auto& [left_rows, right_rows] : {std::pair{5000, 300}, {300, 5000}, {4000, 4000}}) {
        const std::vector<Column> left = {made_rows(left_rows, 5)};
        const std::vector<Column> right = {made_rows(right_rows, 5)};
        for (const int threshold : {0, 4, 9, 30}) {
            const auto join = [&](const JoinOptions& options) {
                Answer answer;
                report_ = similar_pairs_between(spans(left), spans(right), std::vector{threshold},
                                                options, adding_to(answer));
                return answer;
            };
            const Answer expected = join({.threads = 2});
            EXPECT_EQ(join(required()), expected) << left_rows << " rows, threshold " << threshold;
            EXPECT_GT(report_.device.tables, 0U);
        }
    }
}

TEST_F(JoinOnDevice, GroupsAsTheCpu) {
    const Column rows = made_rows(4000, 6);
    for (const GroupMethod method :
         {GroupMethod::star, GroupMethod::complete, GroupMethod::connected}) {
        const auto groups = [&](const JoinOptions& options) {
            std::vector<std::uint64_t> members;
            report_ = similar_groups(
                rows, 6, method, options,
                [](std::span<const GroupedRow> asked) {
                    std::vector<std::uint32_t> ranks(asked.size());
                    for (std::size_t i = 0; i < asked.size(); ++i) {
                        ranks[i] = asked[i].row;
                    }
                    return ranks;
                },
                [&](std::span<const Member> batch) {
                    for (const Member& member : batch) {
                        for (const std::uint64_t number :
                             {std::uint64_t{member.row}, std::uint64_t{member.group},
                              std::uint64_t{member.size}, std::uint64_t{member.distance},
                              std::uint64_t{member.diameter}, std::uint64_t{member.is_center}}) {
                            members.push_back(number);
                        }
                    }
                });
            return members;
        };
        const auto expected = groups({.threads = 2});
        EXPECT_EQ(groups(required()), expected);
        EXPECT_GT(report_.device.tables, 0U);
        EXPECT_EQ(device_->discarded, "");
    }
}

TEST_F(JoinOnDevice, FitsIntoLittleDeviceMemory) {
    const Column rows = made_rows(sized(200000, 20000), 7);
    JoinOptions options = required(JoinMethod::blocks);
    options.device.memory_limit = 3 << 20;
    expect_same({rows}, {4}, options);
    EXPECT_LE(report_.device.bytes, options.device.memory_limit);
    EXPECT_EQ(report_.device.fallbacks, 0U);
}

TEST_F(JoinOnDevice, HalvesWhatFindsNoMemory) {
    const Column rows = made_rows(100000, 8);
    faults().memory = 8 << 20;
    faults().status = plugin::DeviceStatus::out_of_memory;
    faults().largest_array = rows.size() * 6; // less than all codes take
    expect_same({rows}, {4}, required(JoinMethod::blocks));
    EXPECT_GT(faults().faults, 0);
    EXPECT_GT(report_.device.tables, 0U);
    EXPECT_EQ(report_.device.fallbacks, 0U);
}

TEST_F(JoinOnDevice, KeepsTheHostsMemoryLimit) {
    const Column rows = made_rows(400000, 9);
    JoinOptions options = required(JoinMethod::blocks);
    options.memory_limit = 24 << 20; // not for all rows at once
    expect_same({rows}, {3}, options);
    EXPECT_GT(report_.passes, 1U);
    EXPECT_GT(report_.device.tables, 0U);
}

TEST_F(JoinOnDevice, EndsWithTheSink) {
    const Column rows = made_rows(5000, 10);
    struct Enough {};
    EXPECT_THROW(similar_pairs(spans({rows}), std::vector{6}, required(),
                               [](std::span<const Pair>) { throw Enough(); }),
                 Enough);
    JoinOptions few = required();
    few.max_pairs = 10;
    EXPECT_THROW(pairs({rows}, {6}, few), TooManyPairs);
    expect_same({rows}, {6}, required()); // the device is as good as before
}

TEST_F(JoinOnDevice, TellsWhichDeviceComputes) {
    bool told = false;
    JoinOptions options = required(JoinMethod::blocks);
    options.progress = [&](const JoinProgress& progress) {
        told = told || (progress.phase == JoinPhase::comparing && !progress.device.empty());
    };
    pairs({made_rows(60000, 11)}, {6}, options);
    EXPECT_TRUE(told);
}

TEST_F(JoinOnDevice, IsUsedWhereItPays) {
    const Column rows = made_rows(5000, 13);
    pairs({rows}, {20}, automatic());
    EXPECT_GT(report_.device.tables, 0U);
    EXPECT_EQ(report_.device.fallbacks, 0U);

    JoinOptions options = automatic();
    options.device.min_rows = 5001;
    pairs({rows}, {20}, options);
    EXPECT_EQ(report_.device.tables, 0U);
    options.device.min_rows = 5000;
    pairs({rows}, {20}, options);
    EXPECT_EQ(report_.device.tables, 1U);

    options = automatic();
    options.device.least_seconds = 1000;
    pairs({rows}, {20}, options);
    EXPECT_EQ(report_.device.tables, 0U);

    options = automatic();
    options.device.source = &*device_; // as slow as it is
    device_->discard("");
    pairs({rows}, {2}, options);
    EXPECT_EQ(report_.device.tables, 0U);
    EXPECT_EQ(report_.device.fallbacks, 0U); // the CPU was asked for
}

TEST_F(JoinOnDevice, WithoutOneIsTheCpusOrAnError) {
    NoDevices none;
    const Column rows = made_rows(5000, 14);
    JoinOptions options = automatic();
    options.device.source = &none;
    expect_same({rows}, {6}, options);
    EXPECT_EQ(report_.device.fallbacks, 1U);
    EXPECT_EQ(report_.device.fallback, "no device can be used: there is none");
    options.device.is_required = true;
    for (const Column& some : {rows, Column{}, Column{1}}) {
        EXPECT_THROW(pairs({some}, {6}, options), NoDevice);
    }
}

TEST_F(JoinOnDevice, LeavesATableOfTooManyPairsToTheCpu) {
    Column rows(8192); // of 13 bits, all combinations: 4.5 million pairs
    std::iota(rows.begin(), rows.end(), 0);
    expect_same({rows}, {4}, automatic(JoinMethod::brute));
    EXPECT_EQ(report_.device.fallbacks, 1U);
    EXPECT_EQ(report_.device.fallback,
              "a table has more pairs than are kept against the device's failure");
    EXPECT_EQ(device_->discarded, "");
    expect_same({rows}, {4}, required(JoinMethod::brute));
    EXPECT_EQ(report_.device.fallbacks, 0U);
}

// What a join does about a call that fails, for some of the calls of a join without faults.
class DeviceFails : public JoinOnDevice {
  protected:
    template <typename Check>
    void at_some_calls(std::int64_t Faults::*kind, const Faults& how, const Check& check) {
        constexpr std::int64_t many = 1 << 30;
        device_->discard("");
        faults() = {};
        expected_ = pairs(columns_, thresholds_, {.threads = 2});
        faults().*kind = many;
        ASSERT_EQ(pairs(columns_, thresholds_, automatic(JoinMethod::blocks)), expected_);
        const std::int64_t calls = many - faults().*kind;
        ASSERT_GT(calls, 8);
        for (std::int64_t call = 0; call < calls; call += std::max<std::int64_t>(1, calls / 9)) {
            device_->discard("");
            EXPECT_EQ(faults().arrays, 0);
            EXPECT_EQ(faults().open_devices, 0);
            faults() = how;
            faults().*kind = call;
            SCOPED_TRACE("call " + std::to_string(call) + " of " + std::to_string(calls));
            check();
            EXPECT_GT(faults().faults, 0);
        }
    }

    void expect_fall_back(const std::string& reason) {
        EXPECT_EQ(pairs(columns_, thresholds_, automatic(JoinMethod::blocks)), expected_);
        EXPECT_EQ(report_.device.fallbacks, 1U);
        EXPECT_EQ(report_.device.fallback, reason);
    }

    const std::vector<Column> columns_ = {made_rows(6000, 12)};
    const std::vector<int> thresholds_ = {20};
    Answer expected_;
};

const std::vector<std::int64_t Faults::*> kinds_of_calls = {&Faults::allocations, &Faults::launches,
                                                            &Faults::reads};

TEST_F(DeviceFails, TheCpuFinishes) {
    for (const auto kind : kinds_of_calls) {
        at_some_calls(kind, {}, [&] {
            expect_fall_back("the device was lost");
            EXPECT_EQ(device_->discarded, "the device was lost");
        });
    }
}

TEST_F(DeviceFails, IsAnErrorWhereOneIsRequired) {
    for (const auto kind : kinds_of_calls) {
        at_some_calls(kind, {}, [&] {
            EXPECT_THROW(pairs(columns_, thresholds_, required(JoinMethod::blocks)), DeviceFailed);
        });
    }
}

TEST_F(DeviceFails, OutOfMemoryOnceIsTriedAgain) {
    Faults once;
    once.once = true;
    once.status = plugin::DeviceStatus::out_of_memory;
    for (const auto kind : kinds_of_calls) {
        at_some_calls(kind, once, [&] {
            EXPECT_EQ(pairs(columns_, thresholds_, automatic(JoinMethod::blocks)), expected_);
            EXPECT_EQ(report_.device.fallbacks, 0U);
            EXPECT_EQ(device_->discarded, "");
        });
    }
}

TEST_F(DeviceFails, OutOfMemoryLeavesTheRestToTheCpu) {
    Faults memory;
    memory.status = plugin::DeviceStatus::out_of_memory;
    for (const auto kind : kinds_of_calls) {
        at_some_calls(kind, memory, [&] {
            expect_fall_back("no memory is left");
            EXPECT_EQ(device_->discarded, "");
        });
    }
}

TEST_F(DeviceFails, OutOfMemoryIsAnErrorWhereOneIsRequired) {
    Faults memory;
    memory.status = plugin::DeviceStatus::out_of_memory;
    for (const auto kind : kinds_of_calls) {
        at_some_calls(kind, memory, [&] {
            EXPECT_THROW(pairs(columns_, thresholds_, required(JoinMethod::blocks)),
                         std::runtime_error);
        });
    }
}

} // namespace
} // namespace vamhash::test
