#include "proxy/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <spdlog/details/file_helper.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <mutex>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace remora::proxy {
namespace {

// Envoy's, so that its command lines and operators' habits keep working.
constexpr absl::string_view kComponents[] = {"a2a",
                                             "admin",
                                             "ai_protocol_manager",
                                             "alternate_protocols_cache",
                                             "aws",
                                             "assert",
                                             "backtrace",
                                             "basic_auth",
                                             "cache_filter",
                                             "client",
                                             "config",
                                             "connection",
                                             "conn_handler",
                                             "compression",
                                             "credential_injector",
                                             "decompression",
                                             "dns",
                                             "dubbo",
                                             "envoy_bug",
                                             "ext_authz",
                                             "ext_proc",
                                             "rocketmq",
                                             "file",
                                             "filter",
                                             "forward_proxy",
                                             "geolocation",
                                             "grpc",
                                             "happy_eyeballs",
                                             "hc",
                                             "health_checker",
                                             "http",
                                             "http2",
                                             "hystrix",
                                             "init",
                                             "io",
                                             "jwt",
                                             "json_rpc",
                                             "kafka",
                                             "key_value_store",
                                             "lua",
                                             "local_rate_limit",
                                             "main",
                                             "matcher",
                                             "mcp",
                                             "misc",
                                             "mongo",
                                             "multi_connection",
                                             "notification",
                                             "oauth2",
                                             "quic",
                                             "quic_stream",
                                             "pool",
                                             "rate_limit_quota",
                                             "rbac",
                                             "rds",
                                             "redis",
                                             "router",
                                             "runtime",
                                             "stats",
                                             "secret",
                                             "sse",
                                             "tap",
                                             "testing",
                                             "thrift",
                                             "tracing",
                                             "upstream",
                                             "udp",
                                             "wasm",
                                             "websocket",
                                             "golang",
                                             "stats_sinks",
                                             "dynamic_modules",
                                             "ip_tagging"};

// A file that can be opened anew, or standard error.
class LogSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  absl::Status Open(const std::string& path) {
    // The library would make missing folders; a mistyped path is to be told instead.
    const int probe = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (probe < 0) {
      return absl::InvalidArgumentError(absl::StrCat("Failed to open log-file '", path,
                                                     "'. e.what(): unable to open file '", path,
                                                     "': ", strerror(errno)));
    }
    close(probe);
    try {
      file_.open(path);
    } catch (const spdlog::spdlog_ex& error) {
      return absl::InvalidArgumentError(
          absl::StrCat("Failed to open log-file '", path, "'. e.what(): ", error.what()));
    }
    to_file_ = true;
    return absl::OkStatus();
  }

  void Reopen() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!to_file_) return;
    try {
      file_.reopen(false);
    } catch (const spdlog::spdlog_ex&) {
      // The old file stays in use.
    }
  }

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    if (to_file_) {
      file_.write(line);
      file_.flush();
      return;
    }
    size_t done = 0;
    while (done < line.size()) {
      const ssize_t written = write(STDERR_FILENO, line.data() + done, line.size() - done);
      if (written <= 0) return;
      done += static_cast<size_t>(written);
    }
  }
  void flush_() override {}

 private:
  spdlog::details::file_helper file_;
  bool to_file_ = false;
};

std::string EscapeJson(absl::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          absl::StrAppend(&out, "\\u00", absl::Hex(static_cast<unsigned char>(c), absl::kZeroPad2));
        } else {
          out += c;
        }
    }
  }
  return out;
}

// %j and %_ of Envoy's patterns.
class EscapedText final : public spdlog::custom_flag_formatter {
 public:
  explicit EscapedText(bool json) : json_(json) {}
  void format(const spdlog::details::log_msg& message, const std::tm&,
              spdlog::memory_buf_t& out) override {
    const absl::string_view text(message.payload.data(), message.payload.size());
    const std::string escaped = json_ ? EscapeJson(text) : absl::CEscape(text);
    out.append(escaped.data(), escaped.data() + escaped.size());
  }
  std::unique_ptr<spdlog::custom_flag_formatter> clone() const override {
    return std::make_unique<EscapedText>(json_);
  }

 private:
  bool json_;
};

struct Log {
  Log() {
    for (const absl::string_view name : kComponents) {
      components.emplace_back(name);
      all.push_back(&components.back());
    }
    sink = std::make_shared<LogSink>();
    SetFormat(std::string(kDefaultLogFormat));
  }

  void SetFormat(const std::string& format) {
    auto formatter = std::make_unique<spdlog::pattern_formatter>();
    formatter->add_flag<EscapedText>('j', true)
        .add_flag<EscapedText>('_', false)
        .set_pattern(format);
    sink->set_formatter(std::move(formatter));
  }

  std::deque<LogComponent> components;
  std::vector<LogComponent*> all;
  std::shared_ptr<LogSink> sink;
  std::atomic<bool> escape{false};
};

Log& TheLog() {
  // Never destroyed: threads may log until the process ends.
  static Log* const log = new Log;
  return *log;
}

constexpr absl::string_view kLevelNames[] = {"trace", "debug",    "info", "warning",
                                             "error", "critical", "off"};

// "proxy/base/log.cc" of the path that the compiler was given.
const char* PathInRepository(const char* file) {
  constexpr size_t kPrefix = sizeof(__FILE__) - sizeof("proxy/base/log.cc");
  const absl::string_view path(file);
  return path.size() > kPrefix && path.substr(0, kPrefix) == absl::string_view(__FILE__, kPrefix)
             ? file + kPrefix
             : file;
}

}  // namespace

LogComponent& LogComponent::Find(absl::string_view name) {
  LogComponent* misc = nullptr;
  for (LogComponent* component : TheLog().all) {
    if (component->name() == name) return *component;
    if (component->name() == "misc") misc = component;
  }
  return *misc;
}

const std::vector<LogComponent*>& LogComponent::All() { return TheLog().all; }

void LogComponent::Write(LogLevel level, const char* file, int line, absl::string_view text) {
  Log& log = TheLog();
  std::string escaped;
  if (log.escape.load(std::memory_order_relaxed)) {
    escaped = absl::CEscape(text);
    text = escaped;
  }
  const spdlog::source_loc where(PathInRepository(file), line, "");
  const spdlog::details::log_msg message(where, spdlog::string_view_t(name_.data(), name_.size()),
                                         static_cast<spdlog::level::level_enum>(level),
                                         spdlog::string_view_t(text.data(), text.size()));
  log.sink->log(message);
}

bool ParseLogLevel(absl::string_view text, LogLevel* level) {
  if (text == "warn") text = "warning";
  for (size_t i = 0; i < std::size(kLevelNames); ++i) {
    if (kLevelNames[i] != text) continue;
    *level = static_cast<LogLevel>(i);
    return true;
  }
  return false;
}

absl::string_view LogLevelName(LogLevel level) { return kLevelNames[static_cast<size_t>(level)]; }

absl::Status StartLog(const LogSettings& settings) {
  Log& log = TheLog();
  LogLevel level;
  if (!ParseLogLevel(settings.level, &level)) {
    return absl::InvalidArgumentError(
        absl::StrCat("invalid log level specified '", settings.level, "'"));
  }
  for (LogComponent* component : log.all) component->set_level(level);
  for (const auto& [name, text] : settings.component_levels) {
    if (!ParseLogLevel(text, &level)) {
      return absl::InvalidArgumentError(absl::StrCat("invalid log level specified '", text, "'"));
    }
    LogComponent& component = LogComponent::Find(name);
    if (component.name() != name) {
      return absl::InvalidArgumentError(absl::StrCat("invalid component specified '", name, "'"));
    }
    component.set_level(level);
  }
  if (!settings.path.empty()) {
    absl::Status status = log.sink->Open(settings.path);
    if (!status.ok()) return status;
  }
  log.SetFormat(settings.format.empty() ? std::string(kDefaultLogFormat) : settings.format);
  log.escape.store(settings.escape, std::memory_order_relaxed);
  return absl::OkStatus();
}

void ReopenLog() { TheLog().sink->Reopen(); }

}  // namespace remora::proxy
