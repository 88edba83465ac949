#ifndef REMORA_XDS_HEALTH_CHECK_H_
#define REMORA_XDS_HEALTH_CHECK_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "filters/matchers.h"
#include "filters/metadata.h"
#include "health/active_checker.h"
#include "xds/extension.h"
#include "xds/header_mutation.h"
#include "xds/parse_context.h"

namespace envoy::config::core::v3 {
class HealthCheck;
}

namespace remora::xds {

// How a host is asked over HTTP.
struct HttpProbe {
  std::string host;  // empty: the endpoint's own hostname, else the cluster's name
  std::string path;
  std::string method = "GET";
  bool http2 = false;
  std::vector<HeaderAddition> headers_to_add;
  std::vector<std::string> headers_to_remove;
  // Half-open ranges of statuses; empty: 200 alone.
  std::vector<std::pair<uint32_t, uint32_t>> expected_statuses;
  std::vector<std::pair<uint32_t, uint32_t>> retriable_statuses;
  std::optional<StringMatcher> service_name;  // against x-envoy-upstream-healthchecked-cluster
  std::string send;                           // body
  std::vector<std::string>
      receive;  // byte patterns, in order, within the first response_buffer_size
  uint64_t response_buffer_size = 1024;

  bool Expects(uint32_t status) const;
  bool Retries(uint32_t status) const;
};

struct TcpProbe {
  std::string send;                  // empty: connect only
  std::vector<std::string> receive;  // in order, not necessarily adjoining
};

struct GrpcProbe {
  std::string service;
  std::string authority;  // empty: as HttpProbe::host
  std::vector<HeaderAddition> initial_metadata;
};

// One entry of health_checks.
struct HealthCheck {
  health::ActiveCheckConfig schedule;
  std::variant<HttpProbe, TcpProbe, GrpcProbe> probe;
  uint16_t alt_port = 0;  // probe this port instead; zero: the endpoint's own
  bool reuse_connection = true;
  std::string event_log_path;  // a file of JSON lines; empty: none
  bool always_log_failures = false;
  bool always_log_success = false;
  std::vector<std::string> alpn;            // tls_options
  MetadataValue transport_socket_criteria;  // null: the host's own metadata decides

  static HealthCheck Parse(const envoy::config::core::v3::HealthCheck& proto,
                           ParseContext& context);
};

}  // namespace remora::xds

#endif  // REMORA_XDS_HEALTH_CHECK_H_
