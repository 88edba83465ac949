#ifndef REMORA_PROXY_MAIN_OPTIONS_H_
#define REMORA_PROXY_MAIN_OPTIONS_H_

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/string_view.h"

namespace remora::proxy {

// The command line of `remora`: Envoy's flags with Envoy's meanings and defaults. Flags that have
// no effect here are accepted and listed in `ignored`, so that every launcher of Envoy works
// unchanged.
struct Options {
  enum class Mode { kServe, kValidate, kInitOnly };
  enum class DrainStrategy { kGradual, kImmediate };

  std::string config_path;
  std::string config_yaml;
  Mode mode = Mode::kServe;
  uint32_t concurrency = 1;  // workers; 0 on the command line means 1
  bool cpuset_threads = false;

  std::string log_level = "info";
  std::vector<std::pair<std::string, std::string>> component_log_levels;
  std::string log_path;
  std::string log_format;  // empty: the default
  bool log_format_escaped = false;
  bool fine_grain_logging = false;
  uint32_t file_flush_interval_ms = 10000;
  uint32_t file_flush_min_kb = 64;

  uint32_t drain_time_s = 600;
  DrainStrategy drain_strategy = DrainStrategy::kGradual;
  uint32_t parent_shutdown_time_s = 900;
  bool disable_hot_restart = false;
  uint32_t restart_epoch = 0;
  uint32_t base_id = 0;
  bool use_dynamic_base_id = false;
  std::string base_id_path;
  std::string socket_path = "@envoy_domain_socket";
  uint32_t socket_mode = 0;

  std::string service_cluster;
  std::string service_node;
  std::string service_zone;
  bool prefer_ipv6 = false;  // --local-address-ip-version v6
  std::string admin_address_path;
  bool allow_unknown_static_fields = false;
  bool reject_unknown_dynamic_fields = false;
  bool ignore_unknown_dynamic_fields = false;
  bool skip_deprecated_logs = false;
  std::vector<std::pair<std::string, std::string>> stats_tags;

  std::vector<std::string> ignored;  // flags given that change nothing
};

// The process is to end at once: print `text` and leave with `code`.
struct EarlyExit {
  int code = 0;
  std::string text;
  bool to_stderr = false;
};

// Parses argv (without subcommands). Malformed arguments end with code 1 and a message, as Envoy's.
std::variant<Options, EarlyExit> ParseOptions(int argc, const char* const* argv);

// "<revision>/1.40.0/Clean/RELEASE/BoringSSL": what we are, in the form that control planes and
// tools take apart; the version is that of the Envoy we speak.
std::string VersionText();
// The line that --version prints. The Envoy version we speak comes before our own.
std::string VersionLine();
// What --hot-restart-version and the admin page of that name say.
std::string HotRestartVersion(const Options& options);

// Threads that this machine has (or the cpuset, when asked).
uint32_t HardwareThreads(bool cpuset);

}  // namespace remora::proxy

#endif  // REMORA_PROXY_MAIN_OPTIONS_H_
