#ifndef REMORA_PROXY_BASE_LOG_H_
#define REMORA_PROXY_BASE_LOG_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace remora::proxy {

// The process's log: one logger a component, Envoy's line format and levels. Any thread may log;
// settings are main's. Never on the request path above debug.

enum class LogLevel : uint8_t { kTrace, kDebug, kInfo, kWarning, kError, kCritical, kOff };

struct LogSettings {
  std::string level = "info";
  std::vector<std::pair<std::string, std::string>> component_levels;
  std::string path;    // empty: standard error
  std::string format;  // spdlog pattern; empty: the default
  bool escape = false;
};

// Errors: an unknown component, a file that cannot be opened.
absl::Status StartLog(const LogSettings& settings);
// Opens the log file anew (SIGUSR1).
void ReopenLog();

// Whether a line of this level would be written.
bool LogEnabled(LogLevel level, absl::string_view component);
void WriteLog(LogLevel level, absl::string_view component, const char* file, int line, absl::string_view text);

// For /logging: components by name with their levels; setting answers false for unknown names.
std::vector<std::pair<std::string, std::string>> LogLevels();
bool SetLogLevel(absl::string_view component, absl::string_view level);
bool SetAllLogLevels(absl::string_view level);

// `text` is evaluated only when the line is written.
#define REMORA_LOG(level, component, text)                                                        \
  do {                                                                                            \
    if (::remora::proxy::LogEnabled(::remora::proxy::LogLevel::level, component)) {               \
      ::remora::proxy::WriteLog(::remora::proxy::LogLevel::level, component, __FILE__, __LINE__, text); \
    }                                                                                             \
  } while (false)

}  // namespace remora::proxy

#endif  // REMORA_PROXY_BASE_LOG_H_
