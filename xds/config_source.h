#ifndef REMORA_XDS_CONFIG_SOURCE_H_
#define REMORA_XDS_CONFIG_SOURCE_H_

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "xds/parse_context.h"

namespace envoy::config::core::v3 {
class ApiConfigSource;
class ConfigSource;
class GrpcService;
}  // namespace envoy::config::core::v3

namespace remora::xds {

// Where a gRPC service is reached. Exactly one of `cluster` (envoy_grpc) and `target_uri`
// (google_grpc) is set.
struct GrpcService {
  std::string cluster;
  std::string authority;
  bool skip_envoy_headers = false;
  uint32_t max_receive_message_length = 0;  // 0: no limit
  std::string target_uri;
  std::string stat_prefix;
  bool target_tls = false;               // google_grpc with ssl_credentials
  std::string target_root_certificates;  // PEM; empty: the system's
  std::string target_certificate_chain;
  std::string target_private_key;
  std::optional<absl::Duration> timeout;
  std::vector<std::pair<std::string, std::string>> initial_metadata;
};

struct ApiConfigSource {
  enum class Type { kRest, kGrpc, kDeltaGrpc, kAggregatedGrpc, kAggregatedDeltaGrpc };
  Type type = Type::kGrpc;
  std::vector<GrpcService> grpc_services;  // in order of preference
  std::vector<std::string> cluster_names;  // kRest
  absl::Duration refresh_delay;            // kRest
  absl::Duration request_timeout = absl::Seconds(1);
  bool set_node_on_first_message_only = false;
  bool rate_limited = false;
  uint32_t rate_limit_tokens = 100;
  double rate_limit_fill_per_second = 10;

  bool delta() const { return type == Type::kDeltaGrpc || type == Type::kAggregatedDeltaGrpc; }
};

// Where a resource comes from.
struct ConfigSource {
  enum class Kind {
    kNone,  // not configured
    kAds,   // the aggregated stream of the bootstrap
    kSelf,  // the server that sent the resource which names this source
    kApi,   // a stream of its own
    kPath,  // a file
  };
  Kind kind = Kind::kNone;
  std::string path;
  std::string watched_directory;  // empty: the folder of `path`
  ApiConfigSource api;
  absl::Duration initial_fetch_timeout = absl::Seconds(15);  // zero: wait for ever

  explicit operator bool() const { return kind != Kind::kNone; }
  bool polled() const { return kind == Kind::kApi && api.type == ApiConfigSource::Type::kRest; }
};

// The error of a source when it is not known who asks (ParseContext::node_known).
inline constexpr char kNodeRequired[] =
    "node 'id' and 'cluster' are required. Set it either in 'node' config or via --service-node "
    "and "
    "--service-cluster options.";

ConfigSource ParseConfigSource(const envoy::config::core::v3::ConfigSource& proto,
                               ParseContext& context);
ApiConfigSource ParseApiConfigSource(const envoy::config::core::v3::ApiConfigSource& proto,
                                     ParseContext& context);
GrpcService ParseGrpcService(const envoy::config::core::v3::GrpcService& proto,
                             ParseContext& context);

}  // namespace remora::xds

#endif  // REMORA_XDS_CONFIG_SOURCE_H_
