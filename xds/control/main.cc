// remora-control, which `remora control` runs.
#include <grpc/support/log.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <cstdio>
#include <string>

#include <CLI/CLI.hpp>

#include "remora_version.h"
#include "xds/control/commands.h"

namespace {

using remora::control::BootstrapCommand;
using remora::control::ServeOptions;
using remora::control::TokenOptions;

int Report(const absl::Status& status) {
  if (status.ok()) return 0;
  fprintf(stderr, "remora control: %s\n", std::string(status.message()).c_str());
  return 1;
}

CLI::App* AddToken(CLI::App* app, TokenOptions* options) {
  CLI::App* token =
      app->add_subcommand("token", "Make a join token for a service or gateway, in a file of 0600");
  token->add_option("SERVICE", options->name, "service or gateway")->required();
  token->add_option("--state", options->state, "state folder of the control plane");
  token->add_option("--out", options->out, "where to write it (default STATE/join/SERVICE.token)");
  return token;
}

CLI::App* AddBootstrap(CLI::App* app, BootstrapCommand* options) {
  CLI::App* bootstrap =
      app->add_subcommand("bootstrap", "Write the bootstrap of a sidecar or gateway, ready to run");
  bootstrap->add_option("SERVICE", options->name, "service or gateway")->required();
  bootstrap->add_option("--state", options->state, "state folder of the control plane");
  bootstrap->add_option("--control", options->control,
                        "control plane, HOST:PORT or unix:PATH (default: where it last listened)");
  bootstrap->add_option("--admin", options->admin, "admin page, HOST:PORT; port 0 takes a free one")
      ->default_val("127.0.0.1:0");
  bootstrap->add_option("--instance", options->instance,
                        "which of the service's sidecars: its HOST:PORT, or an "
                        "endpoint's name");
  bootstrap->add_option("--token", options->token_file,
                        "file with the join token (default "
                        "STATE/join/SERVICE.token, made if missing)");
  bootstrap->add_option("--out", options->out, "file to write, 0600 (default: standard output)");
  bootstrap->add_flag("--delta", options->delta, "ask for changes only (incremental xDS)");
  return bootstrap;
}

void AddServe(CLI::App* app, ServeOptions* options) {
  app->add_option("--services", options->services,
                  "YAML file, or folder of them, that describes the mesh");
  app->add_option("--listen", options->listen,
                  "HOST:PORT (TLS, join tokens) or unix:PATH (whoever may open "
                  "the socket); repeatable")
      ->allow_extra_args(false);
  app->add_option("--state", options->state,
                  "folder for CA and tokens (default $XDG_STATE_HOME/remora)");
  app->add_option("--trust-domain", options->trust_domain,
                  "SPIFFE trust domain of a new CA (default mesh.internal)");
  app->add_option("--ttl", options->ttl, "life of a service's certificate")->default_val("1h");
}

// gRPC's own complaints, which are about single connections.
void LogGrpc(gpr_log_func_args* args) { spdlog::debug("grpc: {}", args->message); }

}  // namespace

int main(int argc, char** argv) {
  spdlog::set_default_logger(spdlog::stderr_logger_mt("control"));
  spdlog::set_pattern("[%Y-%m-%d %H:%M:%S.%e] [%l] %v");
  gpr_set_log_function(LogGrpc);
  CLI::App app(
      "Remora's control plane: tells sidecars and gateways about the services "
      "of a mesh, and gives each its identity.",
      "remora control");
  app.set_version_flag("--version", "remora-control " REMORA_VERSION);
  ServeOptions serve;
  TokenOptions token;
  BootstrapCommand bootstrap;
  AddServe(&app, &serve);
  const CLI::App* token_command = AddToken(&app, &token);
  const CLI::App* bootstrap_command = AddBootstrap(&app, &bootstrap);
  app.require_subcommand(0, 1);
  CLI11_PARSE(app, argc, argv);

  if (*token_command) {
    absl::StatusOr<std::string> path = remora::control::WriteToken(token);
    if (path.ok()) printf("%s\n", path->c_str());
    return Report(path.status());
  }
  if (*bootstrap_command) {
    return Report(remora::control::WriteBootstrap(bootstrap));
  }
  if (serve.services.empty() || serve.listen.empty()) {
    fputs("remora control: --services and --listen are needed (see --help)\n", stderr);
    return 1;
  }
  return Report(remora::control::Serve(serve));
}
