#ifndef REMORA_PROXY_STREAM_LOG_FILE_H_
#define REMORA_PROXY_STREAM_LOG_FILE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "proxy/base/loop.h"
#include "proxy/base/stats.h"
#include "proxy/base/timer.h"

namespace remora::proxy {

class GrpcLogs;
class WorkerView;

// "filesystem."
enum class FileStat : uint16_t {
  kFlushedByTimer,
  kReopenFailed,
  kWriteBuffered,
  kWriteCompleted,
  kWriteFailed,
  kWriteTotalBuffered,  // gauge
};
StatSchema FileStatSchema();

// A file (or stdout, stderr) that lines are appended to. Its descriptor number never changes: a
// reopened file takes the old one's place (dup2), so that workers need not hear of it.
class LogFile {
 public:
  LogFile(std::string path, int fd, uint32_t index, bool owns);
  ~LogFile();
  LogFile(const LogFile&) = delete;
  LogFile& operator=(const LogFile&) = delete;

  const std::string& path() const { return path_; }
  int fd() const { return fd_; }
  uint32_t index() const { return index_; }
  // A pipe or terminal: written only when it can take the bytes, in pieces that pass whole.
  bool is_stream() const { return is_stream_; }

 private:
  friend class LogFiles;
  absl::Status Reopen();

  std::string path_;
  int fd_;
  uint32_t index_;
  bool owns_;
  bool is_stream_;
};

// Every log file of the process, by path. Threads: main. Files live as long as somebody refers to
// them; the object itself as long as the process serves.
class LogFiles {
 public:
  LogFiles() = default;
  // "/dev/stdout" and "/dev/stderr" mean the process's own.
  absl::StatusOr<std::shared_ptr<const LogFile>> Open(const std::string& path);
  std::shared_ptr<const LogFile> Stdout();
  std::shared_ptr<const LogFile> Stderr();
  // Who logs, for those that log to a service: the serialized core.v3.Node, and where they count.
  void set_process(std::string node, StatStore* stats) {
    node_ = std::move(node);
    stats_ = stats;
  }
  const std::string& node() const { return node_; }
  StatStore* stats() const { return stats_; }
  // SIGUSR1: files are opened anew under their names (after rotation). Returns how many could not
  // be.
  size_t Reopen();

 private:
  std::shared_ptr<const LogFile> Standard(const char* path, int fd);
  std::string node_;
  StatStore* stats_ = nullptr;
  uint32_t next_index_ = 0;
  std::vector<std::weak_ptr<LogFile>> files_;
};

// One loop's lines on their way to the files: a line is appended to a buffer, buffers are written
// when they hold 64 KiB, or at the flush interval. Whole lines are written by one call, so that
// lines of different loops never interleave.
//
// Threads: its loop's. Lifetime: outlives what logs through it; Flush() before the loop ends.
class LogWriter {
 public:
  // `interval_ms`: --file-flush-interval-msec.
  LogWriter(Loop* loop, int64_t interval_ms, StatScope<FileStat> stats);
  ~LogWriter();

  // Where a line goes: append it, then call Written(). The buffer keeps its capacity.
  std::string* Buffer(const std::shared_ptr<const LogFile>& file);
  void Written(const LogFile& file);
  // Writes everything out.
  void Flush();
  // Lines for services, on calls over `view`; ends with set_view(nullptr), while the view lives.
  void set_view(WorkerView* view);
  // Null without a view.
  GrpcLogs* grpc() { return grpc_.get(); }

 private:
  static constexpr size_t kFlushSize = 64 * 1024;
  // What a stream that takes nothing may hold back before lines are dropped.
  static constexpr size_t kMostHeld = 4 * 1024 * 1024;
  struct Entry {
    std::shared_ptr<const LogFile> file;
    std::string text;
    size_t logged = 0;  // length when Written() was last called
  };

  void OnTimer();
  void Flush(Entry& entry);
  bool WriteAll(const Entry& entry, size_t* done);

  Loop* loop_;
  std::unique_ptr<GrpcLogs> grpc_;
  int64_t interval_ms_;
  StatScope<FileStat> stats_;
  Timer timer_;
  std::vector<std::unique_ptr<Entry>> entries_;  // by LogFile::index()
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_STREAM_LOG_FILE_H_
