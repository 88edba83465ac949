#include "proxy/main/options.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <sstream>

#include <CLI/CLI.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "proxy/main/version.h"
#include "remora_version.h"

namespace remora::proxy {
namespace {

constexpr absl::string_view kLevels[] = {"trace", "debug", "info",     "warning",
                                         "warn",  "error", "critical", "off"};

bool KnownLevel(const std::string& level) {
  return std::find(std::begin(kLevels), std::end(kLevels), level) != std::end(kLevels);
}

// Text forms of flags that need more than a conversion.
struct RawFlags {
  std::string mode = "serve";
  std::string drain_strategy = "gradual";
  std::string component_log_level;
  std::string ip_version = "v4";
  std::string socket_mode = "600";
  std::vector<std::string> stats_tags;
  uint32_t concurrency = 0;
  bool concurrency_given = false;
  bool version = false;
  bool hot_restart_version = false;
};

EarlyExit Refuse(absl::string_view message) {
  return {1, absl::StrCat("error: ", message, "\n"), true};
}

void AddConfigFlags(CLI::App& app, Options& o, RawFlags& raw) {
  app.add_option("-c,--config-path", o.config_path,
                 "Path to the bootstrap: YAML, JSON, .pb_text or .pb");
  app.add_option("--config-yaml", o.config_yaml, "Inline YAML, merged over the file");
  app.add_option("--mode", raw.mode,
                 "serve (default), validate (check the configuration and leave), init_only");
  app.add_option("--concurrency", raw.concurrency, "Worker threads (default: hardware threads)");
  app.add_flag("--cpuset-threads", o.cpuset_threads, "Count the threads of the cpuset instead");
  app.add_flag("--allow-unknown-static-fields,--allow-unknown-fields",
               o.allow_unknown_static_fields,
               "Warn about unknown fields in the bootstrap instead of refusing them");
  app.add_flag("--reject-unknown-dynamic-fields", o.reject_unknown_dynamic_fields,
               "Refuse unknown fields in resources from a control plane");
  app.add_flag("--ignore-unknown-dynamic-fields", o.ignore_unknown_dynamic_fields,
               "Do not even look for unknown fields in resources from a control plane");
  app.add_option("--service-cluster", o.service_cluster, "Overrides node.cluster");
  app.add_option("--service-node", o.service_node, "Overrides node.id");
  app.add_option("--service-zone", o.service_zone, "Overrides node.locality.zone");
  app.add_option("--admin-address-path", o.admin_address_path,
                 "Write the bound admin address to this file");
  app.add_option("--local-address-ip-version", raw.ip_version,
                 "v4 (default) or v6: the local address to report");
  app.add_option("--stats-tag", raw.stats_tags,
                 "NAME:VALUE, a tag of every statistic; may be repeated");
}

void AddLogFlags(CLI::App& app, Options& o, RawFlags& raw) {
  app.add_option("-l,--log-level", o.log_level,
                 "trace, debug, info (default), warning, error, critical or off");
  app.add_option("--component-log-level", raw.component_log_level, "COMPONENT:LEVEL,...");
  app.add_option("--log-path", o.log_path, "Log file (default: standard error)");
  app.add_option("--log-format", o.log_format, "spdlog pattern");
  app.add_flag("--log-format-escaped", o.log_format_escaped, "Escape line breaks inside messages");
  app.add_flag("--enable-fine-grain-logging", o.fine_grain_logging, "Accepted");
  app.add_option("--file-flush-interval-msec", o.file_flush_interval_ms,
                 "Access-log flush interval (10000)");
  app.add_option("--file-flush-min-size-kb", o.file_flush_min_kb,
                 "Access-log buffer that is flushed at once (64)");
}

void AddLifeFlags(CLI::App& app, Options& o, RawFlags& raw) {
  app.add_option("--drain-time-s", o.drain_time_s, "Length of a drain in seconds (600)");
  app.add_option("--drain-strategy", raw.drain_strategy, "gradual (default) or immediate");
  app.add_option("--parent-shutdown-time-s", o.parent_shutdown_time_s,
                 "When a replaced process leaves (900)");
  app.add_flag("--disable-hot-restart", o.disable_hot_restart, "No hot restart");
  app.add_option("--restart-epoch", o.restart_epoch, "Hot restart epoch (0)");
  app.add_option("--base-id", o.base_id, "Hot restart family of this process (0)");
  app.add_flag("--use-dynamic-base-id", o.use_dynamic_base_id, "Choose a free base id");
  app.add_option("--base-id-path", o.base_id_path, "Write the base id to this file");
  app.add_option("--socket-path", o.socket_path, "Hot restart socket");
  app.add_option("--socket-mode", raw.socket_mode, "Mode of the hot restart socket (600)");
  app.add_flag("--version", raw.version, "Print the version and leave");
  app.add_flag("--hot-restart-version", raw.hot_restart_version,
               "Print the hot restart version and leave");
}

// Accepted so that old and new launchers work; they change nothing here.
void AddInertFlags(CLI::App& app, Options& o) {
  const auto flag = [&](const char* name) {
    app.add_flag_callback(
        name, [&o, name] { o.ignored.emplace_back(name); }, "Accepted, without effect");
  };
  const auto option = [&](const char* name) {
    app.add_option_function<std::string>(
        name, [&o, name](const std::string&) { o.ignored.emplace_back(name); },
        "Accepted, without effect");
  };
  flag("--enable-mutex-tracing");
  flag("--enable-core-dump");
  flag("--skip-hot-restart-on-no-parent");
  flag("--skip-hot-restart-parent-stats");
  flag("--log-stacktrace-single-entry");
  flag("--v2-config-only");
  option("--disable-extensions");
  option("--bootstrap-version");
  option("--max-obj-name-len");
  option("--max-stats");
  app.add_flag("--skip-deprecated-logs", o.skip_deprecated_logs, "Accepted, without effect");
}

bool SplitPairs(const std::string& text, std::vector<std::pair<std::string, std::string>>& out) {
  for (absl::string_view part : absl::StrSplit(text, ',', absl::SkipEmpty())) {
    const std::vector<std::string> pair = absl::StrSplit(part, absl::MaxSplits(':', 1));
    if (pair.size() != 2) return false;
    out.emplace_back(pair[0], pair[1]);
  }
  return true;
}

std::variant<Options, EarlyExit> Conclude(Options options, const RawFlags& raw) {
  if (!KnownLevel(options.log_level)) {
    return Refuse(absl::StrCat("invalid log level specified '", options.log_level, "'"));
  }
  if (!SplitPairs(raw.component_log_level, options.component_log_levels)) {
    return Refuse(absl::StrCat("component log level not correctly specified '",
                               raw.component_log_level, "'"));
  }
  for (const auto& [component, level] : options.component_log_levels) {
    if (!KnownLevel(level))
      return Refuse(absl::StrCat("invalid log level specified '", level, "'"));
  }
  for (const std::string& tag : raw.stats_tags) {
    if (!SplitPairs(tag, options.stats_tags)) {
      return Refuse(absl::StrCat("misformatted stats-tag '", tag, "'"));
    }
  }
  if (raw.mode == "validate") {
    options.mode = Options::Mode::kValidate;
  } else if (raw.mode == "init_only") {
    options.mode = Options::Mode::kInitOnly;
  } else if (raw.mode != "serve") {
    return Refuse(absl::StrCat("unknown mode '", raw.mode, "'"));
  }
  if (raw.drain_strategy == "immediate") {
    options.drain_strategy = Options::DrainStrategy::kImmediate;
  } else if (raw.drain_strategy != "gradual") {
    return Refuse(absl::StrCat("unknown drain-strategy '", raw.drain_strategy, "'"));
  }
  if (raw.ip_version != "v4" && raw.ip_version != "v6") {
    return Refuse(absl::StrCat("unknown IP address version '", raw.ip_version, "'"));
  }
  options.prefer_ipv6 = raw.ip_version == "v6";
  options.socket_mode = static_cast<uint32_t>(std::strtoul(raw.socket_mode.c_str(), nullptr, 8));
  options.concurrency = raw.concurrency_given ? std::max(1u, raw.concurrency)
                                              : HardwareThreads(options.cpuset_threads);
  return options;
}

}  // namespace

uint32_t HardwareThreads(bool cpuset) {
  cpu_set_t set;
  if (cpuset && sched_getaffinity(0, sizeof(set), &set) == 0) {
    return std::max(1, CPU_COUNT(&set));
  }
  return std::max<long>(1, sysconf(_SC_NPROCESSORS_ONLN));
}

std::string VersionText() {
  return absl::StrCat(REMORA_REVISION, "/", kEnvoyVersion, "/Clean/RELEASE/BoringSSL");
}

std::string VersionLine() {
  return absl::StrCat("version: ", VersionText(), "  (Remora ", kRemoraVersion, ")");
}

std::string HotRestartVersion(const Options& options) {
  return options.disable_hot_restart ? "disabled" : "remora-1";
}

std::variant<Options, EarlyExit> ParseOptions(int argc, const char* const* argv) {
  Options options;
  RawFlags raw;
  CLI::App app{"Remora, a service-mesh data plane that speaks Envoy's configuration and xDS v3"};
  app.allow_windows_style_options(false);
  app.footer(
      "Subcommands: remora control (the control plane; see remora control --help).\n"
      "A first bootstrap is in README.md.");
  AddConfigFlags(app, options, raw);
  AddLogFlags(app, options, raw);
  AddLifeFlags(app, options, raw);
  AddInertFlags(app, options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    return EarlyExit{0, app.help(), false};
  } catch (const CLI::ParseError& error) {
    return EarlyExit{
        1,
        absl::StrCat("PARSE ERROR: ", error.what(), "\nFor complete usage: ", argv[0], " --help\n"),
        true};
  }
  raw.concurrency_given = app.count("--concurrency") > 0;
  if (raw.version)
    return EarlyExit{0, absl::StrCat("\n", argv[0], "  ", VersionLine(), "\n\n"), false};
  if (raw.hot_restart_version) {
    return EarlyExit{0, HotRestartVersion(options) + "\n", false};
  }
  return Conclude(std::move(options), raw);
}

}  // namespace remora::proxy
