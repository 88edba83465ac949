#ifndef REMORA_XDS_BOOTSTRAP_H_
#define REMORA_XDS_BOOTSTRAP_H_

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "filters/metadata.h"
#include "filters/runtime.h"
#include "lb/host.h"
#include "xds/access_log.h"
#include "xds/address.h"
#include "xds/cluster.h"
#include "xds/config_source.h"
#include "xds/extension.h"
#include "xds/listener.h"
#include "xds/secret.h"

namespace envoy::config::bootstrap::v3 {
class Bootstrap;
}

namespace remora::xds {

// Who we are to a control plane.
struct Node {
  std::string id;
  std::string cluster;
  lb::Locality locality;
  MetadataValue metadata;  // a struct
  std::string original;    // serialized core.v3.Node, with every field of ours filled in
};

struct RuntimeLayerSource {
  enum class Kind { kStatic, kDisk, kAdmin, kRtds };
  Kind kind = Kind::kStatic;
  std::string name;
  Runtime::Layer values;     // kStatic
  std::string symlink_root;  // kDisk
  std::string subdirectory;  // kDisk
  bool append_service_cluster = false;
  std::string rtds_name;     // kRtds: of the resource
  ConfigSource rtds_source;  // kRtds
};

struct StatsConfig {
  struct Tag {
    std::string name;
    std::string regex;  // one of the two; empty both: a default tag by that name
    std::string fixed_value;
  };
  struct Buckets {
    StringMatcher match;
    std::vector<double> bounds;
  };
  std::vector<Tag> tags;
  bool use_all_default_tags = true;
  bool reject_all = false;
  std::vector<StringMatcher> inclusion;  // at most one of the two
  std::vector<StringMatcher> exclusion;
  std::vector<Buckets> histogram_buckets;
  absl::Duration flush_interval = absl::Seconds(5);
  bool flush_on_admin = false;
};

struct AdminConfig {
  std::optional<AddressSpec> address;  // absent: no admin server
  std::vector<AccessLog> access_logs;
  std::vector<SocketOption> socket_options;
  bool ignore_global_connection_limit = false;
  std::vector<StringMatcher> allow_paths;  // empty: all
};

// The configuration a process starts from.
struct Bootstrap {
  struct Options {
    std::string path;         // -c; read once, front to back (a pipe will do). Empty: none
    std::string inline_yaml;  // --config-yaml, merged over the file
    bool allow_unknown_static_fields = false;
    std::string service_node;  // the flags that overrule `node`
    std::string service_cluster;
    std::string service_zone;
    // The Envoy whose API and behaviour we speak, as the node says.
    std::array<uint32_t, 3> envoy_version = {1, 40, 0};
  };

  Node node;
  std::vector<std::shared_ptr<const Listener>> listeners;
  std::vector<std::shared_ptr<const Cluster>> clusters;
  std::vector<std::shared_ptr<const Secret>> secrets;
  ConfigSource lds;
  ConfigSource cds;
  std::optional<ApiConfigSource> ads;

  std::string local_cluster_name;
  std::string outlier_event_log;
  std::optional<BindConfig> upstream_bind;
  std::optional<ApiConfigSource> load_stats;
  bool deferred_cluster_creation = false;

  AdminConfig admin;
  StatsConfig stats;
  std::vector<Extension> stats_sinks;
  std::vector<RuntimeLayerSource> runtime_layers;
  std::shared_ptr<const Runtime> runtime;  // of the static layers, for start-up
  std::vector<Extension> bootstrap_extensions;
  std::string header_prefix = "x-envoy";
  std::optional<uint64_t> stats_server_version_override;
  std::optional<uint32_t> overload_max_connections;  // downstream connections in all
  std::string log_format_json;                       // application_log_config
  std::string log_format_text;

  std::vector<std::string> warnings;  // each with its field path; for the log
  std::string original;               // serialized Bootstrap, for /config_dump

  // Reads, validates and parses. Every error found is in the status, one per line, with file, line
  // and field path. Blocks on the file; main thread, at start.
  static absl::StatusOr<std::shared_ptr<const Bootstrap>> Load(const Options& options);
  static absl::StatusOr<std::shared_ptr<const Bootstrap>> Parse(
      const envoy::config::bootstrap::v3::Bootstrap& proto, const Options& options,
      ParseContext& context);
};

}  // namespace remora::xds

#endif  // REMORA_XDS_BOOTSTRAP_H_
