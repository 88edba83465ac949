#ifndef REMORA_PROXY_STREAM_HTTP_SERVICE_H_
#define REMORA_PROXY_STREAM_HTTP_SERVICE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "filters/api/address.h"
#include "proxy/base/stats.h"
#include "proxy/codec/codec.h"
#include "proxy/stream/access_log.h"
#include "proxy/stream/http_stats.h"
#include "xds/http_connection_manager.h"

namespace remora::proxy {

// What a connection manager needs of the process.
struct HttpServiceInput {
  std::shared_ptr<const xds::HttpConnectionManager> config;
  StatStore* stats = nullptr;
  LogFiles* log_files = nullptr;
  std::string listener_stat_prefix;     // "listener.127.0.0.1_8080."
  uint32_t buffer_limit = 1024 * 1024;  // per_connection_buffer_limit_bytes
  Address host_address;                 // of this machine: stands in XFF for loopback clients
  std::string node_id;                  // x-envoy-downstream-service-node
  std::string service_cluster;          // x-envoy-downstream-service-cluster
};

// Main's half of one HTTP connection manager: its configuration with all that is derived from it
// once. Listeners hold it by shared_ptr; each connection keeps it for its life.
//
// Threads: made on main, const, shared by workers.
class HttpService {
 public:
  static absl::StatusOr<std::shared_ptr<const HttpService>> Make(const HttpServiceInput& input);

  const xds::HttpConnectionManager& config() const { return *config_; }
  const StatBlock& stats() const { return *stats_; }
  const StatBlock& listener_stats() const { return *listener_stats_; }
  const AccessLog& access_log() const { return access_log_; }
  // Of all codecs downstream.
  const StatBlock& http1_stats() const { return *http1_stats_; }
  const StatBlock& http2_stats() const { return *http2_stats_; }
  const Http1Options& http1() const { return http1_; }
  const Http2Options& http2() const { return http2_; }
  const Address& host_address() const { return host_address_; }
  const std::string& node_id() const { return node_id_; }
  const std::string& service_cluster() const { return service_cluster_; }
  // Router.dynamic_stats.
  bool dynamic_stats() const { return dynamic_stats_; }
  // Router.suppress_envoy_headers.
  bool suppress_envoy_headers() const { return suppress_envoy_headers_; }
  // Router.respect_expected_rq_timeout.
  bool respect_expected_timeout() const { return respect_expected_timeout_; }
  uint32_t buffer_limit() const { return buffer_limit_; }

  // A filter of the chain with its place in the statistics.
  struct Filter {
    const xds::HttpFilterConfig* config = nullptr;
    const StatBlock* stats = nullptr;  // null when it counts nothing
    // Not empty: under this key each snapshot has the filter that stands here (LateHttpFilter).
    std::string late_key;
  };
  // `stat_prefix`: the connection manager's.
  static Filter MakeFilter(const xds::HttpFilterConfig& config, absl::string_view stat_prefix,
                           StatStore& stats);
  struct Chain {
    std::vector<Filter> filters;  // the router is not in it
    bool has_router = false;
  };
  const Chain& chain() const { return chain_; }
  // Every filter of every chain whose configuration comes by ECDS.
  std::vector<const Filter*> LateFilters() const;
  // The chain of an upgrade (`type` lower-case); null when the type is not allowed by the
  // connection manager; `route_allows` is the route's own word, if it has one.
  const Chain* UpgradeChain(absl::string_view type, std::optional<bool> route_allows) const;

 private:
  HttpService() = default;
  void DeriveCodecOptions();
  absl::Status ReadRouter(const std::vector<xds::HttpFilterConfig>& filters);
  Chain MakeChain(const std::vector<xds::HttpFilterConfig>& filters, StatStore& stats) const;
  void RegisterRoutes(StatStore& stats) const;

  struct Upgrade {
    std::string type;
    bool enabled = true;
    bool own_chain = false;
    Chain chain;
  };

  std::shared_ptr<const xds::HttpConnectionManager> config_;
  const StatBlock* stats_ = nullptr;
  const StatBlock* listener_stats_ = nullptr;
  const StatBlock* http1_stats_ = nullptr;
  const StatBlock* http2_stats_ = nullptr;
  AccessLog access_log_;
  Http1Options http1_;
  Http2Options http2_;
  Address host_address_;
  std::string node_id_;
  std::string service_cluster_;
  uint32_t buffer_limit_ = 0;
  bool suppress_envoy_headers_ = false;
  bool dynamic_stats_ = true;
  bool respect_expected_timeout_ = false;
  Chain chain_;
  std::vector<Upgrade> upgrades_;
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_STREAM_HTTP_SERVICE_H_
