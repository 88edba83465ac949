#include "proxy/main/health_log.h"

#include <fcntl.h>
#include <unistd.h>

namespace remora::proxy {

HealthLog::~HealthLog() { Reopen(); }

void HealthLog::Write(const std::string& path, absl::string_view json) {
  if (path.empty()) return;
  auto [entry, is_new] = files_.try_emplace(path, -1);
  if (is_new || entry->second < 0) {
    entry->second = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (entry->second < 0) return;
  }
  std::string line(json);
  line += '\n';
  // One write a line: O_APPEND keeps lines whole, and a full disk loses the line alone.
  if (write(entry->second, line.data(), line.size()) < 0) return;
}

void HealthLog::Reopen() {
  for (const auto& [path, fd] : files_) {
    if (fd >= 0) close(fd);
  }
  files_.clear();
}

}  // namespace remora::proxy
