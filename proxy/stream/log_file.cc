#include "proxy/stream/log_file.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proxy/stream/grpc_log.h"

namespace remora::proxy {
namespace {

constexpr StatDef kFileStats[] = {
    {"flushed_by_timer", StatKind::kCounter}, {"reopen_failed", StatKind::kCounter},
    {"write_buffered", StatKind::kCounter},   {"write_completed", StatKind::kCounter},
    {"write_failed", StatKind::kCounter},     {"write_total_buffered", StatKind::kGauge},
};

int OpenForAppend(const std::string& path) {
  return ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
}

bool IsStream(int fd) {
  struct stat info;
  return ::fstat(fd, &info) == 0 && !S_ISREG(info.st_mode);
}

bool CanTakeMore(int fd) {
  pollfd entry = {fd, POLLOUT, 0};
  return ::poll(&entry, 1, 0) == 1;
}

// The longest run of whole lines of at most `most` bytes; a longer line whole.
size_t WholeLines(absl::string_view text, size_t most) {
  if (text.size() <= most) return text.size();
  size_t end = text.rfind('\n', most - 1);
  if (end == absl::string_view::npos) end = text.find('\n');
  return end == absl::string_view::npos ? text.size() : end + 1;
}

}  // namespace

StatSchema FileStatSchema() { return kFileStats; }

LogFile::LogFile(std::string path, int fd, uint32_t index, bool owns)
    : path_(std::move(path)), fd_(fd), index_(index), owns_(owns), is_stream_(IsStream(fd)) {}

LogFile::~LogFile() {
  if (owns_) ::close(fd_);
}

absl::Status LogFile::Reopen() {
  if (!owns_) return absl::OkStatus();
  const int fresh = OpenForAppend(path_);
  if (fresh < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot open '", path_, "'"));
  // One step for every thread that writes: the number stays, what it stands for changes.
  const bool done = ::dup3(fresh, fd_, O_CLOEXEC) == fd_;
  ::close(fresh);
  return done ? absl::OkStatus() : absl::ErrnoToStatus(errno, "dup3");
}

absl::StatusOr<std::shared_ptr<const LogFile>> LogFiles::Open(const std::string& path) {
  if (path == "/dev/stdout") return Stdout();
  if (path == "/dev/stderr") return Stderr();
  for (const std::weak_ptr<LogFile>& known : files_) {
    if (std::shared_ptr<LogFile> file = known.lock(); file != nullptr && file->path() == path) {
      return std::shared_ptr<const LogFile>(std::move(file));
    }
  }
  const int fd = OpenForAppend(path);
  if (fd < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("unable to open file '", path, "': ", std::strerror(errno)));
  }
  auto file = std::make_shared<LogFile>(path, fd, next_index_++, /*owns=*/true);
  files_.push_back(file);
  return std::shared_ptr<const LogFile>(std::move(file));
}

std::shared_ptr<const LogFile> LogFiles::Standard(const char* path, int fd) {
  for (const std::weak_ptr<LogFile>& known : files_) {
    if (std::shared_ptr<LogFile> file = known.lock(); file != nullptr && file->fd() == fd) {
      return file;
    }
  }
  auto file = std::make_shared<LogFile>(path, fd, next_index_++, /*owns=*/false);
  files_.push_back(file);
  return file;
}

std::shared_ptr<const LogFile> LogFiles::Stdout() { return Standard("/dev/stdout", STDOUT_FILENO); }
std::shared_ptr<const LogFile> LogFiles::Stderr() { return Standard("/dev/stderr", STDERR_FILENO); }

size_t LogFiles::Reopen() {
  size_t failed = 0;
  files_.erase(std::remove_if(files_.begin(), files_.end(),
                              [](const std::weak_ptr<LogFile>& file) { return file.expired(); }),
               files_.end());
  for (const std::weak_ptr<LogFile>& known : files_) {
    if (std::shared_ptr<LogFile> file = known.lock(); file != nullptr && !file->Reopen().ok()) {
      ++failed;
    }
  }
  return failed;
}

LogWriter::LogWriter(Loop* loop, int64_t interval_ms, StatScope<FileStat> stats)
    : loop_(loop),
      interval_ms_(interval_ms),
      stats_(stats),
      timer_(
          &loop_->timers(), [](void* self) { static_cast<LogWriter*>(self)->OnTimer(); }, this) {}

LogWriter::~LogWriter() { Flush(); }

std::string* LogWriter::Buffer(const std::shared_ptr<const LogFile>& file) {
  const uint32_t index = file->index();
  if (index >= entries_.size()) entries_.resize(index + 1);
  if (entries_[index] == nullptr) {
    entries_[index] = std::make_unique<Entry>();
    entries_[index]->file = file;
    entries_[index]->text.reserve(kFlushSize + 4096);
  }
  return &entries_[index]->text;
}

void LogWriter::Written(const LogFile& file) {
  Entry& entry = *entries_[file.index()];
  stats_.Add(FileStat::kWriteBuffered);
  stats_.Add(FileStat::kWriteTotalBuffered, entry.text.size() - entry.logged);
  entry.logged = entry.text.size();
  if (entry.text.size() >= kFlushSize) {
    Flush(entry);
  } else if (!timer_.armed()) {
    timer_.StartMs(interval_ms_);
  }
}

void LogWriter::set_view(WorkerView* view) {
  grpc_.reset();
  if (view != nullptr) grpc_ = std::make_unique<GrpcLogs>(view);
}

void LogWriter::OnTimer() {
  bool pending = false;
  for (const std::unique_ptr<Entry>& entry : entries_) {
    if (entry == nullptr || entry->text.empty()) continue;
    stats_.Add(FileStat::kFlushedByTimer);
    Flush(*entry);
    pending = pending || !entry->text.empty();
  }
  if (pending) timer_.StartMs(interval_ms_);
}

void LogWriter::Flush() {
  for (const std::unique_ptr<Entry>& entry : entries_) {
    if (entry != nullptr) Flush(*entry);
  }
}

void LogWriter::Flush(Entry& entry) {
  size_t done = 0;
  const bool failed = !WriteAll(entry, &done);
  // A file that cannot be written (disk full) must not grow memory; a slow stream may hold back
  // some.
  if (failed || entry.text.size() - done > kMostHeld) {
    stats_.Add(FileStat::kWriteFailed);
    done = entry.text.size();
  }
  stats_.Sub(FileStat::kWriteTotalBuffered, done);
  entry.text.erase(0, done);
  entry.logged = entry.text.size();
  if (!entry.text.empty() && !timer_.armed()) timer_.StartMs(interval_ms_);
}

bool LogWriter::WriteAll(const Entry& entry, size_t* done) {
  while (*done < entry.text.size()) {
    const absl::string_view rest = absl::string_view(entry.text).substr(*done);
    size_t size = rest.size();
    if (entry.file->is_stream()) {
      if (!CanTakeMore(entry.file->fd())) return true;
      size = WholeLines(rest, PIPE_BUF);
    }
    const ssize_t written = ::write(entry.file->fd(), rest.data(), size);
    if (written < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN) return true;
      return false;
    }
    stats_.Add(FileStat::kWriteCompleted);
    *done += static_cast<size_t>(written);
  }
  return true;
}

}  // namespace remora::proxy
