#ifndef REMORA_PROXY_BASE_LOG_H_
#define REMORA_PROXY_BASE_LOG_H_

#include <atomic>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace remora::proxy {

// The process's own log (not access logs): one logger a component, with Envoy's names, levels and
// line format. Kept free of the logging library's headers, which are slow to compile.
//
// Threads: any. A line below its component's level costs one relaxed load. Writing takes the sink's
// lock: for what is rare, never for what happens with every request.
enum class LogLevel : uint8_t { kTrace, kDebug, kInfo, kWarning, kError, kCritical, kOff };

class LogComponent {
 public:
  // The component of that name; unknown names share "misc". Valid for the life of the process.
  static LogComponent& Find(absl::string_view name);
  // Every component, by name.
  static const std::vector<LogComponent*>& All();

  absl::string_view name() const { return name_; }
  LogLevel level() const { return level_.load(std::memory_order_relaxed); }
  void set_level(LogLevel level) { level_.store(level, std::memory_order_relaxed); }
  bool Enabled(LogLevel level) const { return level >= this->level(); }
  void Write(LogLevel level, const char* file, int line, absl::string_view text);

  // Use Find().
  explicit LogComponent(absl::string_view name) : name_(name) {}

 private:
  absl::string_view name_;
  std::atomic<LogLevel> level_{LogLevel::kInfo};
};

// The name as Envoy spells it; false when there is no such level.
bool ParseLogLevel(absl::string_view text, LogLevel* level);
absl::string_view LogLevelName(LogLevel level);

struct LogSettings {
  std::string level = "info";
  std::vector<std::pair<std::string, std::string>> component_levels;  // name, level
  std::string path;                                                   // empty: standard error
  // A pattern in the logging library's (and Envoy's) syntax, `%j` for the text as JSON would escape
  // it, `%_` for the text with its newlines escaped; empty: kDefaultLogFormat.
  std::string format;
  bool escape = false;  // C-style escapes in the text, newlines included
};

inline constexpr absl::string_view kDefaultLogFormat = "[%Y-%m-%d %T.%e][%t][%l][%n] [%g:%#] %v";

// Puts settings into force. Before it, lines at "info" and above go to standard error. Main thread,
// before other threads log.
absl::Status StartLog(const LogSettings& settings);
// Opens the log file anew (it was rotated). No effect on standard error. Main thread.
void ReopenLog();

#define REMORA_LOG(level, component, text)                                                    \
  do {                                                                                        \
    static ::remora::proxy::LogComponent& remora_log_component =                              \
        ::remora::proxy::LogComponent::Find(component);                                       \
    if (remora_log_component.Enabled(::remora::proxy::LogLevel::level)) {                     \
      remora_log_component.Write(::remora::proxy::LogLevel::level, __FILE__, __LINE__, text); \
    }                                                                                         \
  } while (false)

}  // namespace remora::proxy

#endif  // REMORA_PROXY_BASE_LOG_H_
