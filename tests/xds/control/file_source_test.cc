#include "xds/control/file_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>

#include "tests/support/control/temp_dir.h"
#include "xds/control/state_dir.h"

namespace remora::control {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;

std::string ServiceAt(int port) {
  return "services:\n  web: {endpoints: ['127.0.0.1:" + std::to_string(port) + "']}\n";
}

constexpr std::chrono::seconds kPatience(10);

// Remembers what the source said last.
class Listener {
 public:
  Source::Sink Sink() {
    return [this](Services services) {
      std::lock_guard lock(mutex_);
      services_ = std::move(services);
      ++updates_;
      changed_.notify_all();
    };
  }
  // Whether the first endpoint of `web` comes to be at this port.
  bool Sees(int port) {
    auto seen = [this, port] {
      auto web = services_.services.find("web");
      return web != services_.services.end() && !web->second.endpoints.empty() &&
             web->second.endpoints[0].address.port == port;
    };
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, seen);
  }
  bool SeesServices(size_t count) {
    auto seen = [this, count] { return services_.services.size() == count; };
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, seen);
  }
  int updates() {
    std::lock_guard lock(mutex_);
    return updates_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  Services services_;
  int updates_ = 0;
};

// Takes the place of the process's log while it lives.
class LogCapture {
 public:
  LogCapture() : sink_(std::make_shared<CapturingSink>()), before_(spdlog::default_logger()) {
    spdlog::set_default_logger(std::make_shared<spdlog::logger>("test", sink_));
  }
  ~LogCapture() { spdlog::set_default_logger(before_); }
  bool Sees(const std::string& text) {
    auto seen = [this, &text] { return sink_->lines.find(text) != std::string::npos; };
    std::unique_lock lock(sink_->mutex);
    return sink_->changed.wait_for(lock, kPatience, seen);
  }

 private:
  struct CapturingSink : spdlog::sinks::base_sink<spdlog::details::null_mutex> {
    void sink_it_(const spdlog::details::log_msg& message) override {
      std::lock_guard lock(mutex);
      lines.append(message.payload.data(), message.payload.size());
      lines += '\n';
      changed.notify_all();
    }
    void flush_() override {}
    std::mutex mutex;
    std::condition_variable changed;
    std::string lines;
  };
  std::shared_ptr<CapturingSink> sink_;
  std::shared_ptr<spdlog::logger> before_;
};

TEST(FileSource, SaysAtOnceWhatTheFileHolds) {
  TempDir dir;
  dir.Write("s.yaml", ServiceAt(1001));
  Listener listener;
  FileSource source(dir / "s.yaml");
  ASSERT_TRUE(source.Start(listener.Sink()).ok());
  EXPECT_EQ(listener.updates(), 1);
}

TEST(FileSource, DoesNotStartOnAMistake) {
  TempDir dir;
  Listener listener;
  EXPECT_FALSE(FileSource(dir / "s.yaml").Start(listener.Sink()).ok());
  dir.Write("s.yaml", "services: {web: {port: 1}}\n");
  const absl::Status status = FileSource(dir / "s.yaml").Start(listener.Sink());
  EXPECT_THAT(std::string(status.message()), HasSubstr("s.yaml:1: services.web.port"));
  EXPECT_EQ(listener.updates(), 0);
}

TEST(FileSource, FollowsWritesInPlace) {
  TempDir dir;
  dir.Write("s.yaml", ServiceAt(1001));
  Listener listener;
  FileSource source(dir / "s.yaml");
  ASSERT_TRUE(source.Start(listener.Sink()).ok());
  dir.Write("s.yaml", ServiceAt(1002));
  EXPECT_TRUE(listener.Sees(1002));
}

TEST(FileSource, FollowsFilesMovedOverIt) {
  TempDir dir;
  dir.Write("s.yaml", ServiceAt(1001));
  Listener listener;
  FileSource source(dir / "s.yaml");
  ASSERT_TRUE(source.Start(listener.Sink()).ok());
  for (int port = 1002; port < 1005; ++port) {
    ASSERT_TRUE(WriteFileAtomically(dir / "s.yaml", ServiceAt(port)).ok());
    EXPECT_TRUE(listener.Sees(port));
  }
}

TEST(FileSource, FollowsFoldersSwappedBySymbolicLink) {
  TempDir dir;
  fs::create_directories(dir / "v1");
  fs::create_directories(dir / "v2");
  fs::create_directories(dir / "mount");
  dir.Write("v1/s.yaml", ServiceAt(1001));
  dir.Write("v2/s.yaml", ServiceAt(1002));
  fs::create_symlink(dir / "v1", dir / "mount/..data");
  fs::create_symlink("..data/s.yaml", dir / "mount/s.yaml");
  Listener listener;
  FileSource source(dir / "mount/s.yaml");
  ASSERT_TRUE(source.Start(listener.Sink()).ok());
  EXPECT_TRUE(listener.Sees(1001));
  fs::create_symlink(dir / "v2", dir / "mount/..new");
  fs::rename(dir / "mount/..new", dir / "mount/..data");
  EXPECT_TRUE(listener.Sees(1002));
  // And what the link leads to now is watched in its turn.
  dir.Write("v2/s.yaml", ServiceAt(1003));
  EXPECT_TRUE(listener.Sees(1003));
}

TEST(FileSource, FollowsTheFilesOfAFolder) {
  TempDir dir;
  fs::create_directories(dir / "conf");
  dir.Write("conf/a.yaml", ServiceAt(1001));
  dir.Write("conf/ignored.txt", "::");
  Listener listener;
  FileSource source(dir / "conf");
  ASSERT_TRUE(source.Start(listener.Sink()).ok());
  dir.Write("conf/b.yml", "services:\n  api: {endpoints: ['127.0.0.1:7']}\n");
  EXPECT_TRUE(listener.SeesServices(2));
  fs::remove(dir / "conf/b.yml");
  EXPECT_TRUE(listener.SeesServices(1));
  // The whole folder is exchanged.
  fs::create_directories(dir / "next");
  dir.Write("next/a.yaml", ServiceAt(1002));
  fs::rename(dir / "conf", dir / "old");
  fs::rename(dir / "next", dir / "conf");
  EXPECT_TRUE(listener.Sees(1002));
}

TEST(FileSource, KeepsTheLastGoodStateAndSaysWhatIsWrong) {
  TempDir dir;
  dir.Write("s.yaml", ServiceAt(1001));
  Listener listener;
  LogCapture log;
  FileSource source(dir / "s.yaml");
  ASSERT_TRUE(source.Start(listener.Sink()).ok());
  ASSERT_TRUE(WriteFileAtomically(dir / "s.yaml", "services:\n  web: {port: 7}\n").ok());
  EXPECT_TRUE(log.Sees("s.yaml:2: services.web.port: unknown key"));
  EXPECT_TRUE(log.Sees("the last good state stays in force"));
  EXPECT_EQ(listener.updates(), 1);
  ASSERT_TRUE(WriteFileAtomically(dir / "s.yaml", ServiceAt(1002)).ok());
  EXPECT_TRUE(listener.Sees(1002));
  fs::remove(dir / "s.yaml");
  EXPECT_TRUE(log.Sees("cannot read"));
  EXPECT_EQ(listener.updates(), 2);
  dir.Write("s.yaml", ServiceAt(1003));
  EXPECT_TRUE(listener.Sees(1003));
}

TEST(FoldersOnTheWay, NamesEachOnceAndEndsOnCircles) {
  TempDir dir;
  fs::create_directories(dir / "a/b");
  fs::create_symlink(dir / "a/b", dir / "link");
  EXPECT_THAT(
      FoldersOnTheWay(dir / "link/s.yaml"),
      AllOf(Contains("/"), Contains(dir.path()), Contains(dir / "a"), Contains(dir / "a/b")));
  fs::create_symlink(dir / "round", dir / "round");
  FoldersOnTheWay(dir / "round/s.yaml");
}

}  // namespace
}  // namespace remora::control
