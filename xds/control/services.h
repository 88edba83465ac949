// What a source says about the mesh: services, where they run, who may call
// whom, and the gateways at its edge. Plain values, checked by whoever made
// them (`services_yaml` for files), so that mesh.cc need not ask again.
#ifndef REMORA_XDS_CONTROL_SERVICES_H_
#define REMORA_XDS_CONTROL_SERVICES_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace remora::control {

// HOST:PORT. `host` is an IP address without brackets or a DNS name.
struct Address {
  std::string host;
  uint16_t port = 0;
  bool is_ip = true;

  // As it is written, IPv6 in brackets.
  std::string ToString() const;
  bool operator==(const Address&) const = default;
};

// What a service's own application speaks. Between sidecars HTTP is always
// HTTP/2; TCP stays a stream of bytes.
enum class Protocol { kHttp, kHttp2, kGrpc, kTcp };

struct HealthCheck {
  enum class Kind { kHttp, kGrpc, kTcp };
  Kind kind = Kind::kHttp;
  std::string path = "/";    // kHttp
  std::string grpc_service;  // kGrpc; empty asks for the whole server
  absl::Duration interval = absl::Seconds(1);
  absl::Duration timeout = absl::Seconds(1);
  uint32_t unhealthy_after = 2;  // failures in a row
  uint32_t healthy_after = 1;    // successes in a row
};

struct Endpoint {
  std::string name;  // optional; a node id may use it as instance
  Address address;   // of the application
  uint32_t weight = 1;
  // The sidecar in front of this endpoint, if it is not the service's.
  std::optional<Address> sidecar;
};

struct Service {
  std::string name;  // a DNS label
  Protocol protocol = Protocol::kHttp;
  std::vector<Endpoint> endpoints;
  // Where the service's sidecar listens with mTLS, for endpoints that name
  // none of their own. A service with no sidecar at all is not in the mesh:
  // it is called in plain text, and `allow` cannot be held.
  std::optional<Address> sidecar;
  std::optional<HealthCheck> health_check;
  // Names of the services and gateways that may call; "*" is anyone who has
  // an identity in the mesh; empty is nobody.
  std::vector<std::string> allow;
  // Service called → where this service's sidecar listens for those calls,
  // in plain text, for the application beside it.
  std::map<std::string, Address> upstreams;
  absl::Duration timeout = absl::Seconds(15);  // of a request; zero is none
  uint32_t retries = 2;
  std::string access_log;  // path; empty is none
};

struct Split {
  std::string service;
  uint32_t weight = 1;
};

struct Route {
  std::string host = "*";
  std::string prefix = "/";
  std::string path;                       // exact; takes the place of prefix
  std::string prefix_rewrite;             // empty leaves the path alone
  std::vector<Split> to;                  // at least one
  std::optional<absl::Duration> timeout;  // else the service's
};

struct Gateway {
  std::string name;  // shares one name space with services
  Address listen;
  std::vector<Route> routes;  // of an HTTP gateway, in order
  std::string tcp_service;    // of a TCP gateway
  // Certificate and key that the gateway shows to its clients: paths on the
  // gateway's machine. Empty: plain text.
  std::string certificate;
  std::string private_key;
  std::string access_log;
};

struct Services {
  std::map<std::string, Service> services;
  std::map<std::string, Gateway> gateways;
};

}  // namespace remora::control

#endif  // REMORA_XDS_CONTROL_SERVICES_H_
