// What a backend believes of the words of an engine: of each field, what may be and what is just
// beyond.
#include "protocol/reply_check.h"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <iterator>
#include <limits>

namespace vamhash::protocol {
namespace {

/// A report of ten pictures by a device that failed then.
PicturesDone pictures_report() {
    PicturesDone report{};
    report.pictures = 10;
    report.batches = 2;
    report.device_bytes = 4096;
    report.device_seconds = 0.5;
    report.failures = 1;
    std::ranges::copy("lost", report.failure);
    return report;
}

bool is_believed(const PicturesDone& report) {
    return check_pictures_report(report, 10) == nullptr;
}

TEST(ReplyCheckTest, PicturesAreThoseThatWereGiven) {
    PicturesDone report = pictures_report();
    EXPECT_TRUE(is_believed(report));
    report.pictures = 0;
    EXPECT_TRUE(is_believed(report));
    report.pictures = 11;
    EXPECT_FALSE(is_believed(report));
}

TEST(ReplyCheckTest, ADeviceFailsOnce) {
    PicturesDone report = pictures_report();
    report.failures = 0;
    EXPECT_TRUE(is_believed(report));
    for (const std::uint32_t failures : {2U, 3U, 10U, std::numeric_limits<std::uint32_t>::max()}) {
        report.failures = failures;
        EXPECT_FALSE(is_believed(report)) << failures;
    }
}

TEST(ReplyCheckTest, ADeviceIsHeldOrNot) {
    PicturesDone report = pictures_report();
    report.holds_device = 1;
    EXPECT_TRUE(is_believed(report));
    report.holds_device = 2;
    EXPECT_FALSE(is_believed(report));
}

TEST(ReplyCheckTest, PicturesTakeATime) {
    PicturesDone report = pictures_report();
    for (const double seconds :
         {-1.0, 1e12, std::nan(""), std::numeric_limits<double>::infinity()}) {
        report.device_seconds = seconds;
        EXPECT_FALSE(is_believed(report)) << seconds;
    }
    report.device_seconds = 0;
    EXPECT_TRUE(is_believed(report));
}

TEST(ReplyCheckTest, AFailureIsInWords) {
    PicturesDone report = pictures_report();
    report.failure[0] = '\n';
    EXPECT_FALSE(is_believed(report));
    std::ranges::fill(report.failure, 'x');
    EXPECT_FALSE(is_believed(report));
    *std::prev(std::end(report.failure)) = '\0';
    EXPECT_TRUE(is_believed(report));
}

TEST(ReplyCheckTest, ADeviceIsReadyInWords) {
    DeviceReady ready{};
    std::ranges::copy("cuda 0: A Device", ready.device);
    std::ranges::copy("there is no libnvjpeg.so", ready.no_jpeg_files);
    EXPECT_EQ(check_device_ready(ready), nullptr);
    std::ranges::fill(ready.no_jpeg_files, 'x');
    EXPECT_NE(check_device_ready(ready), nullptr);
    ready.no_jpeg_files[1] = '\0';
    EXPECT_EQ(check_device_ready(ready), nullptr);
    ready.no_jpeg_files[0] = '\a';
    EXPECT_NE(check_device_ready(ready), nullptr);
}

} // namespace
} // namespace vamhash::protocol
