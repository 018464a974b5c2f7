// Opening many files at once: what each path leads to comes back, and none waits for another that
// hangs.
#include "engine/file_openers.h"
#include "engine/open_job.h"

#include "engine_thread.h"

#include <array>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <sys/socket.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace vamhash {
namespace {

using protocol::Operation;
using test::bytes_of;

/// What a backend gets: an error, or an open file.
struct Answer {
    int error = 0;
    Descriptor file;
};

class OpenJobTest : public testing::Test {
  protected:
    void SetUp() override {
        std::filesystem::create_directory(folder_);
        engine_.send(Operation::begin_open);
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    std::string make_file(const std::string& name) {
        std::ofstream(folder_ / name) << name;
        return folder_ / name;
    }

    void send_path(std::uint32_t number, const std::string& path, std::uint32_t flags = 0) const {
        engine_.send(Operation::path,
                     bytes_of(protocol::PathHeader{.number = number, .flags = flags},
                              std::as_bytes(std::span(path))));
    }

    /// Receives frames up to DONE. Fails where DONE does not count the results.
    std::map<std::uint32_t, Answer> receive_all() {
        std::map<std::uint32_t, Answer> answers;
        std::uint64_t results = 0;
        for (;;) {
            protocol::FrameHeader header{};
            receive_exactly(&header, sizeof header);
            std::vector<char> payload(header.length);
            receive_exactly(payload.data(), payload.size());
            if (header.id != test::request || testing::Test::HasFatalFailure()) {
                ADD_FAILURE() << "a frame that is none";
                return answers;
            }
            if (static_cast<Operation>(header.operation) == Operation::done) {
                protocol::Done done{};
                std::memcpy(&done, payload.data(), sizeof done);
                EXPECT_EQ(done.result_bytes, results);
                return answers;
            }
            EXPECT_LE(payload.size(), protocol::max_opened * sizeof(protocol::OpenRecord));
            results += payload.size();
            for (std::size_t at = 0; at < payload.size(); at += sizeof(protocol::OpenRecord)) {
                protocol::OpenRecord record{};
                std::memcpy(&record, payload.data() + at, sizeof record);
                Answer answer{.error = static_cast<int>(record.error), .file = {}};
                if (record.error == 0) {
                    if (files_.empty()) {
                        ADD_FAILURE() << "an open file without its descriptor";
                        return answers;
                    }
                    answer.file = std::move(files_.front());
                    files_.erase(files_.begin());
                }
                EXPECT_TRUE(answers.try_emplace(record.number, std::move(answer)).second);
            }
        }
    }

    void receive_exactly(void* target, std::size_t length) {
        for (std::size_t have = 0; have < length;) {
            alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(int) * 16)> control{};
            iovec piece{.iov_base = static_cast<char*>(target) + have, .iov_len = length - have};
            msghdr message{};
            message.msg_iov = &piece;
            message.msg_iovlen = 1;
            message.msg_control = control.data();
            message.msg_controllen = control.size();
            const ssize_t got = recvmsg(engine_.socket(), &message, MSG_CMSG_CLOEXEC);
            ASSERT_GT(got, 0);
            have += static_cast<std::size_t>(got);
            ASSERT_EQ(message.msg_flags & MSG_CTRUNC, 0);
            if (const cmsghdr* part = CMSG_FIRSTHDR(&message)) {
                for (std::size_t at = 0; at < part->cmsg_len - CMSG_LEN(0); at += sizeof(int)) {
                    int file = -1;
                    std::memcpy(&file, CMSG_DATA(part) + at, sizeof file);
                    files_.emplace_back(file);
                }
            }
        }
    }

    static std::string content_of(const Answer& answer) {
        std::array<char, 100> bytes{};
        const ssize_t got = read(answer.file.number(), bytes.data(), bytes.size());
        return {bytes.data(), static_cast<std::size_t>(std::max<ssize_t>(got, 0))};
    }

    const std::filesystem::path folder_ = std::filesystem::temp_directory_path() /
                                          ("vamhash_open_job_test." + std::to_string(getpid()));
    std::vector<Descriptor> files_;
    test::EngineThread engine_{answer_open};
};

TEST_F(OpenJobTest, PassesWhatIsOpenedAndSaysWhatIsNot) {
    ASSERT_EQ(mkfifo((folder_ / "fifo").c_str(), 0600), 0);
    const std::string name(255, 'n');
    std::filesystem::path deep = folder_;
    while (deep.native().size() + name.size() + 1 < protocol::max_path) {
        deep /= name;
    }
    send_path(3, make_file("three"));
    send_path(1, make_file("one"));
    send_path(9, folder_ / "missing");
    send_path(10, "");
    send_path(11, folder_, protocol::open_folder);
    send_path(12, make_file("file"), protocol::open_folder);
    send_path(13, folder_ / "fifo");
    send_path(14, folder_);
    send_path(15, std::string(300, 'n'));
    send_path(16, deep);
    engine_.send(Operation::end);
    const auto answers = receive_all();
    ASSERT_EQ(answers.size(), 10);
    EXPECT_EQ(content_of(answers.at(3)), "three");
    EXPECT_EQ(content_of(answers.at(1)), "one");
    EXPECT_EQ(answers.at(9).error, ENOENT);
    EXPECT_EQ(answers.at(10).error, ENOENT);
    EXPECT_EQ(fcntl(answers.at(11).file.number(), F_GETFL) & O_PATH, O_PATH);
    EXPECT_EQ(answers.at(12).error, ENOTDIR);
    EXPECT_EQ(answers.at(13).error, 0) << "a FIFO is for the backend to refuse";
    EXPECT_EQ(answers.at(14).error, 0) << "and so is a folder";
    EXPECT_EQ(answers.at(15).error, ENAMETOOLONG);
    EXPECT_EQ(answers.at(16).error, ENOENT);
    EXPECT_TRUE(files_.empty());
}

TEST_F(OpenJobTest, PassesHundreds) {
    constexpr std::uint32_t count = 900; // a process may have so many open
    const std::string path = make_file("file");
    std::thread sender([&] {
        for (std::uint32_t i = 0; i < count; ++i) {
            send_path(i, i % 3 == 0 ? folder_ / "missing" : std::filesystem::path(path));
        }
        engine_.send(Operation::end);
    });
    const auto answers = receive_all();
    sender.join();
    ASSERT_EQ(answers.size(), count);
    for (const auto& [number, answer] : answers) {
        EXPECT_EQ(answer.error, number % 3 == 0 ? ENOENT : 0);
    }
}

TEST_F(OpenJobTest, IsOverAtABrokenFrame) {
    engine_.send(Operation::path, bytes_of(std::array{'s', 'h', 'o', 'r', 't'}));
    EXPECT_EQ(engine_.fault(), "a path has a wrong length");
}

TEST_F(OpenJobTest, IsOverAtAPathThatIsTooLong) {
    send_path(0, std::string(protocol::max_path + 1, 'x'));
    EXPECT_EQ(engine_.fault(), "a path has a wrong length");
}

/// Files whose opening this test lets end.
class FileOpenersTest : public testing::Test {
  protected:
    FileOpenersTest()
        : openers_([this](const OpenTask& task) { return open(task); },
                   [this](std::vector<OpenedFile>&& files) { take(std::move(files)); }) {}
    ~FileOpenersTest() override { release("hangs"); }

    OpenedFile open(const OpenTask& task) {
        std::unique_lock lock(mutex_);
        ++opening_;
        changed_.notify_all();
        changed_.wait(lock, [&] { return task.path == "quick" || released_.contains(task.path); });
        --opening_;
        return {.number = task.number, .error = ENOENT, .file = Descriptor()};
    }

    void take(std::vector<OpenedFile>&& files) {
        const std::lock_guard lock(mutex_);
        EXPECT_LE(files.size(), protocol::max_opened);
        ++takes_;
        for (const OpenedFile& file : files) {
            EXPECT_TRUE(taken_.insert(file.number).second);
        }
        changed_.notify_all();
    }

    void release(const std::string& path) {
        const std::lock_guard lock(mutex_);
        released_.insert(path);
        changed_.notify_all();
    }

    template <typename Condition>
    bool comes_true(Condition condition) {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, std::chrono::seconds(20), condition);
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    std::set<std::string> released_;
    std::set<std::uint32_t> taken_;
    unsigned opening_ = 0;
    unsigned takes_ = 0;
    FileOpeners openers_;
};

TEST_F(FileOpenersTest, NoneWaitsForOneThatHangs) {
    std::uint32_t number = 0;
    for (int i = 0; i < 20; ++i) {
        openers_.put({.number = number++, .path = "hangs"});
        openers_.put({.number = number++, .path = "quick"});
    }
    EXPECT_TRUE(comes_true([&] { return taken_.size() == 20; }));
    EXPECT_TRUE(comes_true([&] { return opening_ == 20; }));
    openers_.put({.number = number++, .path = "quick"});
    EXPECT_TRUE(comes_true([&] { return taken_.size() == 21; }));
    release("hangs");
    openers_.finish();
    EXPECT_EQ(taken_.size(), number);
}

TEST_F(FileOpenersTest, ManyAreOpenedAtOnceAndNotMore) {
    constexpr std::uint32_t count = protocol::max_opening + 10;
    for (std::uint32_t i = 0; i < count; ++i) {
        openers_.put({.number = i, .path = "hangs"});
    }
    EXPECT_TRUE(comes_true([&] { return opening_ == protocol::max_opening; }));
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    EXPECT_TRUE(comes_true([&] { return opening_ == protocol::max_opening; }));
    release("hangs");
    openers_.finish();
    EXPECT_EQ(taken_.size(), count);
}

TEST_F(FileOpenersTest, QuickOnesAreHandedOnTogether) {
    // A few threads are kept from opening, so that paths wait.
    for (std::uint32_t i = 0; i < protocol::max_opening; ++i) {
        openers_.put({.number = i, .path = "hangs"});
    }
    EXPECT_TRUE(comes_true([&] { return opening_ == protocol::max_opening; }));
    constexpr std::uint32_t count = 2000;
    for (std::uint32_t i = 0; i < count; ++i) {
        openers_.put({.number = protocol::max_opening + i, .path = "quick"});
    }
    release("hangs");
    openers_.finish();
    EXPECT_EQ(taken_.size(), protocol::max_opening + count);
    EXPECT_LE(takes_, (protocol::max_opening + count) / protocol::max_opened + 100);
}

} // namespace
} // namespace vamhash
