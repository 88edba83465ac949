#ifndef REMORA_PROXY_MAIN_HEALTH_LOG_H_
#define REMORA_PROXY_MAIN_HEALTH_LOG_H_

#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"

namespace remora::proxy {

// Event logs of health checks and outlier detection: one JSON object a line, appended to the files
// that configuration names. A file that cannot be written is skipped; traffic does not depend on
// it.
//
// Threads: main.
class HealthLog {
 public:
  HealthLog() = default;
  ~HealthLog();
  HealthLog(const HealthLog&) = delete;
  HealthLog& operator=(const HealthLog&) = delete;

  void Write(const std::string& path, absl::string_view json);
  // Rotated files: the next line opens each anew.
  void Reopen();

 private:
  absl::flat_hash_map<std::string, int> files_;
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_MAIN_HEALTH_LOG_H_
