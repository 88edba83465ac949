#ifndef REMORA_XDS_TCP_PROXY_H_
#define REMORA_XDS_TCP_PROXY_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "lb/criteria.h"
#include "xds/access_log.h"
#include "xds/parse_context.h"

namespace envoy::extensions::filters::network::tcp_proxy::v3 {
class TcpProxy;
}

namespace remora::xds {

struct TcpProxy {
  struct WeightedCluster {
    std::string name;
    uint32_t weight = 0;
    std::shared_ptr<const lb::Criteria> criteria;  // over those of the whole; null: none
  };

  std::string stat_prefix;
  std::string cluster;  // one of `cluster` and `weighted_clusters`
  std::vector<WeightedCluster> weighted_clusters;
  uint32_t total_weight = 0;
  std::shared_ptr<const lb::Criteria> criteria;  // of metadata_match; null: none
  absl::Duration idle_timeout = absl::Hours(1);  // both directions quiet; zero: none
  uint32_t max_connect_attempts = 1;
  absl::Duration connect_backoff_base;  // zero: at once
  absl::Duration connect_backoff_max;
  bool hash_source_ip = false;
  std::string hash_filter_state;           // key; empty: none
  absl::Duration max_connection_duration;  // zero: none
  double max_connection_duration_jitter_percent = 0;
  std::vector<AccessLog> access_logs;
  absl::Duration access_log_flush_interval;  // zero: only at the end
  bool flush_access_log_on_connected = false;
  bool flush_access_log_on_start = false;
  // When the upstream connection is opened.
  enum class ConnectMode { kImmediate, kOnDownstreamData, kOnDownstreamTls };
  ConnectMode connect_mode = ConnectMode::kImmediate;
  // Bytes that are read before there is an upstream connection; absent: none.
  std::optional<uint32_t> max_early_data;

  // The cluster for one connection: one of the weighted ones, or null where there is only
  // `cluster`. `random` is any 64-bit number.
  const WeightedCluster* ChooseWeighted(uint64_t random) const;

  static absl::StatusOr<std::shared_ptr<const TcpProxy>> Parse(
      const envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy& proto,
      ParseContext& context);
};

}  // namespace remora::xds

#endif  // REMORA_XDS_TCP_PROXY_H_
