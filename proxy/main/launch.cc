#include "proxy/main/launch.h"

#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "proxy/base/log.h"
#include "proxy/main/commands/commands.h"
#include "proxy/main/options.h"
#include "proxy/main/server.h"
#include "xds/bootstrap.h"

namespace remora::proxy {
namespace {

std::string ConfigName(const Options& options) {
  return options.config_path.empty() ? std::string("--config-yaml") : options.config_path;
}

int FailInitialization(const Options& options, const absl::Status& status) {
  REMORA_LOG(kCritical, "main",
             absl::StrCat("error initializing configuration '", ConfigName(options),
                          "': ", std::string(status.message())));
  return 1;
}

LogSettings LogSettingsOf(const Options& options) {
  LogSettings settings;
  settings.level = options.log_level;
  settings.component_levels = options.component_log_levels;
  settings.path = options.log_path;
  settings.format = options.log_format;
  settings.escape = options.log_format_escaped;
  return settings;
}

absl::StatusOr<std::shared_ptr<const xds::Bootstrap>> LoadBootstrap(const Options& options) {
  if (options.config_path.empty() && options.config_yaml.empty()) {
    return absl::InvalidArgumentError(
        "At least one of --config-path or --config-yaml or Options::configProto() should be "
        "non-empty");
  }
  xds::Bootstrap::Options input;
  input.path = options.config_path;
  input.inline_yaml = options.config_yaml;
  input.allow_unknown_static_fields = options.allow_unknown_static_fields;
  input.service_node = options.service_node;
  input.service_cluster = options.service_cluster;
  input.service_zone = options.service_zone;
  return xds::Bootstrap::Load(input);
}

int Serve(Options options) {
  const absl::Status logging = StartLog(LogSettingsOf(options));
  if (!logging.ok()) {
    std::fprintf(stderr, "error: %s\n", std::string(logging.message()).c_str());
    return 1;
  }
  for (const std::string& flag : options.ignored) {
    REMORA_LOG(kWarning, "main", absl::StrCat(flag, " is accepted and has no effect"));
  }
  absl::StatusOr<std::shared_ptr<const xds::Bootstrap>> bootstrap = LoadBootstrap(options);
  if (!bootstrap.ok()) return FailInitialization(options, bootstrap.status());
  for (const std::string& warning : (*bootstrap)->warnings) REMORA_LOG(kWarning, "config", warning);
  const bool validate = options.mode == Options::Mode::kValidate;
  Server server(options, *std::move(bootstrap));
  const absl::Status status = server.Initialize(validate);
  if (!status.ok()) return FailInitialization(options, status);
  if (validate) {
    std::printf("configuration '%s' OK\n", ConfigName(options).c_str());
    return 0;
  }
  return server.Run();
}

}  // namespace

int Launch(int argc, char** argv) {
  if (const Command command = argc > 1 ? FindCommand(argv[1]) : nullptr) {
    return command(absl::MakeConstSpan(argv + 2, static_cast<size_t>(argc - 2)));
  }
  std::variant<Options, EarlyExit> parsed = ParseOptions(argc, argv);
  if (const auto* exit = std::get_if<EarlyExit>(&parsed)) {
    std::fputs(exit->text.c_str(), exit->to_stderr ? stderr : stdout);
    return exit->code;
  }
  return Serve(std::get<Options>(std::move(parsed)));
}

}  // namespace remora::proxy
