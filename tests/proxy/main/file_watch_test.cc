#include "proxy/main/file_watch.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "proxy/base/loop.h"

namespace remora::proxy {
namespace {

namespace fs = std::filesystem;

class FileWatchTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/remora-watch-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    folder_ = name;
  }
  void TearDown() override { fs::remove_all(folder_); }

  fs::path Path(const std::string& name) const { return folder_ / name; }
  void Write(const std::string& name, const std::string& text) {
    std::ofstream(Path(name)) << text;
  }
  std::unique_ptr<FileWatcher::Watch> Watch(const fs::path& path,
                                            const std::string& directory = "") {
    return watcher_.Add(path.string(), directory, [this] { ++changes_; });
  }
  // All that has happened is told: inotify answers at once, timers of no delay in the next turn.
  int Changes() {
    for (int i = 0; i < 10; ++i) loop_.RunOnce(false);
    return std::exchange(changes_, 0);
  }

  fs::path folder_;
  Loop loop_;
  FileWatcher watcher_{&loop_};
  int changes_ = 0;
};

TEST_F(FileWatchTest, AMoveOntoTheNameIsToldOnce) {
  Write("a", "1");
  const auto watch = Watch(Path("a"));
  EXPECT_EQ(Changes(), 0);
  Write("a.new", "2");
  EXPECT_EQ(Changes(), 0) << "another name";
  fs::rename(Path("a.new"), Path("a"));
  EXPECT_EQ(Changes(), 1);
  Write("a.new", "3");
  fs::rename(Path("a.new"), Path("a"));
  EXPECT_EQ(Changes(), 1) << "and again";
}

TEST_F(FileWatchTest, AWriteIsToldWhenItIsComplete) {
  Write("a", "1");
  const auto watch = Watch(Path("a"));
  Write("a", "2");
  EXPECT_EQ(Changes(), 1);
}

TEST_F(FileWatchTest, AFileMayAppearLater) {
  const auto watch = Watch(Path("a"));
  EXPECT_EQ(Changes(), 0);
  Write("a", "1");
  EXPECT_EQ(Changes(), 1);
}

TEST_F(FileWatchTest, ASwapOfKubernetesDataLinkIsNoticedEachTime) {
  fs::create_directory(Path("v1"));
  Write("v1/key", "1");
  fs::create_directory_symlink("v1", Path("..data"));
  fs::create_symlink("..data/key", Path("key"));
  const auto watch = Watch(Path("key"));
  for (const char* version : {"v2", "v3"}) {
    fs::create_directory(Path(version));
    Write(std::string(version) + "/key", version);
    fs::create_directory_symlink(version, Path("..data_tmp"));
    EXPECT_EQ(Changes(), 0);
    fs::rename(Path("..data_tmp"), Path("..data"));
    EXPECT_EQ(Changes(), 1) << version;
  }
  fs::remove_all(Path("v1"));
  EXPECT_EQ(Changes(), 0) << "the old folder is of no interest any more";
}

TEST_F(FileWatchTest, AWriteBehindALinkIsNoticed) {
  fs::create_directory(Path("real"));
  Write("real/key", "1");
  fs::create_symlink("real/key", Path("key"));
  const auto watch = Watch(Path("key"));
  Write("real/key", "2");
  EXPECT_EQ(Changes(), 1);
}

TEST_F(FileWatchTest, AnyMoveInAWatchedDirectoryCounts) {
  fs::create_directory(Path("d"));
  Write("a", "1");
  const auto watch = Watch(Path("a"), Path("d").string());
  Write("d/other.new", "1");
  Changes();
  fs::rename(Path("d/other.new"), Path("d/other"));
  EXPECT_EQ(Changes(), 1);
}

TEST_F(FileWatchTest, WatchesOfOneFolderAreIndependent) {
  Write("a", "1");
  Write("b", "1");
  auto first = Watch(Path("a"));
  const auto second = Watch(Path("b"));
  first.reset();
  Write("a", "2");
  EXPECT_EQ(Changes(), 0);
  Write("b", "2");
  EXPECT_EQ(Changes(), 1);
}

TEST_F(FileWatchTest, AWatchMayEndInItsOwnCall) {
  Write("a", "1");
  std::unique_ptr<FileWatcher::Watch> watch;
  watch = watcher_.Add(Path("a").string(), "", [&] {
    ++changes_;
    watch.reset();
  });
  Write("a", "2");
  EXPECT_EQ(Changes(), 1);
  Write("a", "3");
  EXPECT_EQ(Changes(), 0);
}

TEST_F(FileWatchTest, ALoopOfLinksIsNoTrouble) {
  fs::create_symlink("b", Path("a"));
  fs::create_symlink("a", Path("b"));
  const auto watch = Watch(Path("a"));
  EXPECT_EQ(Changes(), 0);
}

}  // namespace
}  // namespace remora::proxy
