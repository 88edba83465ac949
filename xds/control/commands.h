// What `remora control` can be asked to do: serve, make a token, write a
// bootstrap. main.cc parses the command line and calls one of these.
#ifndef REMORA_XDS_CONTROL_COMMANDS_H_
#define REMORA_XDS_CONTROL_COMMANDS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace remora::control {

struct ServeOptions {
  std::string services;  // file or folder
  std::vector<std::string> listen;
  std::string state;
  std::string trust_domain;
  std::string ttl = "1h";
};
// Serves until SIGTERM or SIGINT.
absl::Status Serve(const ServeOptions& options);

struct TokenOptions {
  std::string name;
  std::string state;
  std::string out;  // default STATE/join/NAME.token
};
// Writes a new token to a file of mode 0600; the value is its path.
absl::StatusOr<std::string> WriteToken(const TokenOptions& options);

struct BootstrapCommand {
  std::string name;
  std::string state;
  std::string control;  // default: where the control plane last listened
  std::string admin;
  std::string instance;
  std::string token_file;  // default STATE/join/NAME.token, made if missing
  std::string out;         // "-" is standard output
  bool delta = false;
};
absl::Status WriteBootstrap(const BootstrapCommand& options);

}  // namespace remora::control

#endif  // REMORA_XDS_CONTROL_COMMANDS_H_
