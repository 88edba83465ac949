// The bootstrap that a sidecar or gateway is started with: who it is, where
// its control plane is, by which root and id it knows it, and its join token.
// Envoy's own format, so stock Envoys run on it too.
#ifndef REMORA_XDS_CONTROL_BOOTSTRAP_H_
#define REMORA_XDS_CONTROL_BOOTSTRAP_H_

#include <string>

#include "absl/status/statusor.h"

namespace remora::control {

struct BootstrapOptions {
  std::string name;      // service or gateway
  std::string instance;  // see NodeId
  std::string control;   // "HOST:PORT" or "unix:PATH"
  std::string admin;     // "HOST:PORT", port 0 takes a free one
  bool delta = false;
  // For TLS; not used with a Unix socket.
  std::string token;
  std::string bundle;       // PEM that the control plane's certificate ends in
  std::string control_id;   // its SPIFFE id
  std::string server_name;  // for SNI
};

// YAML.
absl::StatusOr<std::string> MakeBootstrap(const BootstrapOptions& options);

}  // namespace remora::control

#endif  // REMORA_XDS_CONTROL_BOOTSTRAP_H_
