#include "proxy/base/log.h"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace remora::proxy {
namespace {

constexpr char kPattern[] = "[%Y-%m-%d %T.%e][%t][%l][%n] [%g:%#] %v";

// Envoy's components, those that Remora logs under among them: launchers name them in flags.
constexpr const char* kComponents[] = {
    "admin",    "aws",     "assert",   "backtrace", "client",  "config",   "connection", "conn_handler",
    "decompression", "dns", "dynamic_forward_proxy", "ext_authz", "ext_proc", "file", "filter", "forward_proxy",
    "grpc",     "happy_eyeballs", "hc", "health_checker", "http", "http2", "hystrix", "init",
    "io",       "jwt",     "kafka",    "key_value_store", "lua", "main",   "matcher",    "misc",
    "mongo",    "multi_connection", "oauth2", "quic", "quic_stream", "pool", "rate_limit_quota", "rbac",
    "rds",      "redis",   "router",   "runtime",   "secret",  "stats",    "tap",        "testing",
    "thrift",   "tracing", "upstream", "udp",       "wasm",    "websocket"};

spdlog::level::level_enum ToSpdlog(absl::string_view level) {
  if (level == "trace") return spdlog::level::trace;
  if (level == "debug") return spdlog::level::debug;
  if (level == "warning" || level == "warn") return spdlog::level::warn;
  if (level == "error") return spdlog::level::err;
  if (level == "critical") return spdlog::level::critical;
  if (level == "off") return spdlog::level::off;
  return spdlog::level::info;
}

bool KnownLevel(absl::string_view level) {
  constexpr absl::string_view kNames[] = {"trace", "debug", "info", "warning", "warn", "error", "critical", "off"};
  return std::find(std::begin(kNames), std::end(kNames), level) != std::end(kNames);
}

spdlog::level::level_enum ToSpdlog(LogLevel level) { return static_cast<spdlog::level::level_enum>(level); }

struct Loggers {
  Loggers() { Make(std::make_shared<spdlog::sinks::stderr_sink_mt>(), kPattern); }

  void Make(const spdlog::sink_ptr& sink, const std::string& pattern) {
    loggers.clear();
    for (const char* name : kComponents) {
      loggers.push_back(std::make_shared<spdlog::logger>(name, sink));
      loggers.back()->set_pattern(pattern);
      loggers.back()->flush_on(spdlog::level::trace);
    }
  }

  spdlog::logger* Find(absl::string_view name) {
    for (const auto& logger : loggers) {
      if (logger->name() == std::string_view(name.data(), name.size())) return logger.get();
    }
    return nullptr;
  }

  std::vector<std::shared_ptr<spdlog::logger>> loggers;
  LogSettings settings;
};

Loggers& All() {
  static Loggers* const loggers = new Loggers;
  return *loggers;
}

absl::Status OpenSink() {
  Loggers& all = All();
  const std::string pattern = all.settings.format.empty() ? std::string(kPattern) : all.settings.format;
  if (all.settings.path.empty()) {
    all.Make(std::make_shared<spdlog::sinks::stderr_sink_mt>(), pattern);
    return absl::OkStatus();
  }
  try {
    all.Make(std::make_shared<spdlog::sinks::basic_file_sink_mt>(all.settings.path), pattern);
  } catch (const spdlog::spdlog_ex& error) {
    return absl::InvalidArgumentError(
        absl::StrCat("Failed to open log-file '", all.settings.path, "'. e.what(): ", error.what()));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status StartLog(const LogSettings& settings) {
  Loggers& all = All();
  all.settings = settings;
  absl::Status status = OpenSink();
  if (!status.ok()) return status;
  for (const auto& logger : all.loggers) logger->set_level(ToSpdlog(settings.level));
  for (const auto& [component, level] : settings.component_levels) {
    if (!SetLogLevel(component, level)) {
      return absl::InvalidArgumentError(absl::StrCat("invalid component specified '", component, "'"));
    }
  }
  return absl::OkStatus();
}

void ReopenLog() {
  Loggers& all = All();
  if (all.settings.path.empty()) return;
  const auto levels = LogLevels();
  // A file that cannot be opened anew leaves the old one in place.
  if (!OpenSink().ok()) return;
  for (const auto& [component, level] : levels) SetLogLevel(component, level);
}

bool LogEnabled(LogLevel level, absl::string_view component) {
  spdlog::logger* logger = All().Find(component);
  return logger != nullptr && logger->should_log(ToSpdlog(level));
}

void WriteLog(LogLevel level, absl::string_view component, const char* file, int line, absl::string_view text) {
  spdlog::logger* logger = All().Find(component);
  if (logger == nullptr) return;
  const std::string escaped = All().settings.escape ? absl::StrReplaceAll(text, {{"\n", "\\n"}, {"\r", "\\r"}})
                                                    : std::string(text);
  logger->log(spdlog::source_loc{file, line, ""}, ToSpdlog(level), "{}", escaped);
}

std::vector<std::pair<std::string, std::string>> LogLevels() {
  std::vector<std::pair<std::string, std::string>> levels;
  for (const auto& logger : All().loggers) {
    const spdlog::string_view_t name = spdlog::level::to_string_view(logger->level());
    levels.emplace_back(logger->name(), std::string(name.data(), name.size()));
  }
  return levels;
}

bool SetLogLevel(absl::string_view component, absl::string_view level) {
  spdlog::logger* logger = All().Find(component);
  if (logger == nullptr || !KnownLevel(level)) return false;
  logger->set_level(ToSpdlog(level));
  return true;
}

bool SetAllLogLevels(absl::string_view level) {
  if (!KnownLevel(level)) return false;
  for (const auto& logger : All().loggers) logger->set_level(ToSpdlog(level));
  return true;
}

}  // namespace remora::proxy
