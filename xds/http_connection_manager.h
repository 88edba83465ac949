#ifndef REMORA_XDS_HTTP_CONNECTION_MANAGER_H_
#define REMORA_XDS_HTTP_CONNECTION_MANAGER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "filters/api/address.h"
#include "filters/header_edits.h"
#include "xds/access_log.h"
#include "xds/config_source.h"
#include "xds/extension.h"
#include "xds/header_mutation.h"
#include "xds/http_options.h"
#include "xds/parse_context.h"
#include "xds/route.h"

namespace envoy::extensions::filters::network::http_connection_manager::v3 {
class HttpConnectionManager;
class HttpFilter;
}  // namespace envoy::extensions::filters::network::http_connection_manager::v3

namespace remora {
class FilterFactory;
}

namespace remora::xds {

struct ExtensionDiscovery;
struct ScopedRoutes;

// One HTTP filter of a chain. The last one is the router.
struct HttpFilterConfig {
  std::string name;
  Extension config;
  bool disabled = false;  // off unless a route turns it on
  bool is_optional = false;
  bool is_router = false;
  // Made from `config` through the filter table. Null for the router, and when it is discovered.
  std::shared_ptr<const FilterFactory> factory;
  // The configuration comes by ECDS, in place of `config`; null: it does not.
  std::shared_ptr<const ExtensionDiscovery> discovery;
};

struct HttpUpgradeConfig {
  std::string type;  // lower-case
  bool enabled = true;
  std::vector<HttpFilterConfig> filters;  // empty: the connection manager's own
};

struct LocalReplyMapper {
  AccessLogFilter filter;
  std::optional<int> status;
  std::optional<std::string> body;
  std::optional<Format> format;
  std::vector<HeaderAddition> headers;
};

// One way to find the client's address in the request.
struct OriginalIpDetection {
  enum class Kind { kXff, kCustomHeader };
  Kind kind = Kind::kXff;
  // kXff
  uint32_t trusted_hops = 0;
  std::vector<CidrRange> trusted_ranges;  // used instead of hops when given
  bool skip_xff_append = true;
  // kCustomHeader
  std::string header;             // lower-case
  bool allow_as_trusted = false;  // the address may make the request internal
  int reject_status = 0;          // answer with this when there is no address; 0: go on
};

struct HttpConnectionManager {
  enum class Codec { kAuto, kHttp1, kHttp2, kHttp3 };
  enum class ServerHeader { kOverwrite, kAppendIfAbsent, kPassThrough };
  enum class ClientCert {
    kSanitize,
    kForwardOnly,
    kAppendForward,
    kSanitizeSet,
    kAlwaysForwardOnly
  };
  enum class EscapedSlashes { kKeep, kReject, kUnescapeAndRedirect, kUnescapeAndForward };
  enum class StripPort { kNone, kMatching, kAny };

  std::string stat_prefix;
  Codec codec = Codec::kAuto;

  // Where routes come from: exactly one of the three.
  std::shared_ptr<const RouteTable> route_table;
  std::string rds_name;
  ConfigSource rds_source;
  std::shared_ptr<const ScopedRoutes> scoped;  // the table is chosen by each request's scope

  std::vector<HttpFilterConfig> filters;
  std::vector<HttpUpgradeConfig> upgrades;

  CommonHttpOptions common;
  Http1Options http1;
  Http2Options http2;
  uint32_t max_request_headers_kb = 60;
  absl::Duration stream_idle_timeout = absl::Minutes(5);  // zero: none
  std::optional<absl::Duration> stream_flush_timeout;     // absent: stream_idle_timeout
  absl::Duration request_timeout;                         // zero: none
  absl::Duration request_headers_timeout;                 // zero: none
  absl::Duration drain_timeout = absl::Seconds(5);
  absl::Duration delayed_close_timeout = absl::Seconds(1);  // zero: close at once
  bool http1_safe_max_connection_duration = false;

  std::string server_name = "envoy";
  ServerHeader server_header = ServerHeader::kOverwrite;
  std::string via;
  bool add_user_agent = false;

  // Whom to believe.
  bool use_remote_address = false;
  uint32_t xff_num_trusted_hops = 0;
  bool skip_xff_append = false;
  bool append_x_forwarded_port = false;
  bool represent_ipv4_as_mapped_ipv6 = false;
  bool has_internal_address_config = false;
  bool internal_unix_sockets = false;
  std::vector<CidrRange> internal_ranges;
  std::vector<OriginalIpDetection> original_ip_detection;  // first answer wins
  std::vector<HeaderEdits> early_header_mutation;  // before anything else is done to a request
  ClientCert client_cert = ClientCert::kSanitize;  // x-forwarded-client-cert
  bool xfcc_subject = false;
  bool xfcc_cert = false;
  bool xfcc_chain = false;
  bool xfcc_dns = false;
  bool xfcc_uri = false;
  bool xfcc_issuer = false;

  bool generate_request_id = true;
  bool preserve_external_request_id = false;
  bool always_set_request_id_in_response = false;
  bool pack_trace_reason = true;
  bool use_request_id_for_trace_sampling = true;

  bool proxy_100_continue = false;
  bool stream_error_on_invalid_http_message = false;
  bool normalize_path = false;
  bool merge_slashes = false;
  EscapedSlashes escaped_slashes = EscapedSlashes::kKeep;
  StripPort strip_port = StripPort::kNone;
  bool strip_trailing_host_dot = false;
  std::string scheme_to_overwrite;  // empty: none
  bool scheme_match_upstream = false;

  std::vector<LocalReplyMapper> local_reply_mappers;
  std::optional<Format> local_reply_format;

  std::vector<AccessLog> access_logs;
  absl::Duration access_log_flush_interval;  // zero: only at the end
  bool flush_access_log_on_new_request = false;
  bool flush_log_on_tunnel_established = false;

  // Proxy-Status header (RFC 9209).
  bool proxy_status = false;
  bool proxy_status_remove_details = false;
  bool proxy_status_remove_connection_termination_details = false;
  bool proxy_status_remove_response_flags = false;
  bool proxy_status_recommended_code = false;
  bool proxy_status_use_node_id = false;
  std::string proxy_status_name;

  std::optional<TracingSampling> tracing_sampling;  // absent: not traced

  static absl::StatusOr<std::shared_ptr<const HttpConnectionManager>> Parse(
      const envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager&
          proto,
      ParseContext& context);
};

}  // namespace remora::xds

#endif  // REMORA_XDS_HTTP_CONNECTION_MANAGER_H_
