#ifndef REMORA_XDS_ROUTE_H_
#define REMORA_XDS_ROUTE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "filters/matchers.h"
#include "filters/metadata.h"
#include "filters/rate_limits.h"
#include "filters/runtime.h"
#include "lb/criteria.h"
#include "xds/access_log.h"
#include "xds/config_source.h"
#include "xds/extension.h"
#include "xds/header_mutation.h"
#include "xds/parse_context.h"
#include "xds/retry_policy.h"
#include "xds/route_match.h"

namespace envoy::config::route::v3 {
class RouteConfiguration;
class VirtualHost;
}  // namespace envoy::config::route::v3

namespace remora::xds {

// typed_per_filter_config of one level: what a filter, named by its name in the chain, is told
// here.
struct PerFilterConfig {
  Extension config;       // empty type_url: only `disabled` is set
  bool disabled = false;  // FilterConfig.disabled: the filter is skipped
  bool enabled =
      false;  // FilterConfig without `disabled`: overrides a filter disabled in the chain
  bool is_optional = false;
  std::shared_ptr<const void> parsed;  // by the filter's factory; null when it reads none
};
using PerFilterConfigs = absl::flat_hash_map<std::string, PerFilterConfig>;

struct MirrorPolicy {
  std::string cluster;  // one of the two
  std::string cluster_header;
  std::optional<RuntimeFraction> fraction;  // absent: always
  bool append_shadow_suffix = true;
  std::string host_rewrite;
  std::vector<HeaderAddition> add_headers;  // to the copy; removals come first
  std::vector<std::string> remove_headers;  // lower-case
};

struct HashPolicy {
  enum class Kind { kHeader, kCookie, kSourceIp, kQueryParameter, kFilterState };
  Kind kind = Kind::kHeader;
  std::string name;  // header (lower-case), cookie, parameter or filter state key
  std::optional<RegexSubstitution> rewrite;  // kHeader
  std::optional<absl::Duration> ttl;  // kCookie: set one when it is missing; zero: a session cookie
  std::string path;                   // kCookie
  std::vector<std::pair<std::string, std::string>> attributes;  // kCookie
  bool terminal = false;                                        // stop once a hash was made
};

struct UpgradeSetting {
  std::string type;  // lower-case: "websocket", "connect"
  bool enabled = true;
  bool terminate_connect = false;  // connect_config: CONNECT ends here, its payload goes upstream
  bool connect_allow_post = false;
};

struct WeightedCluster {
  std::string name;  // one of the two
  std::string cluster_header;
  uint32_t weight = 0;
  Metadata metadata_match;
  std::shared_ptr<const lb::Criteria> criteria;  // over the route's own; null: none
  HeaderMutations request_headers;
  HeaderMutations response_headers;
  PerFilterConfigs per_filter;
  std::string host_rewrite;  // empty: none
};

// What the route of a redirect's target must be.
struct RedirectPredicate {
  enum class Kind {
    kNotTakenBefore,  // by a redirect of the same route
    kAllowed,         // one of `names`
    kSafeScheme,      // no way from HTTP to HTTPS
  };
  Kind kind = Kind::kNotTakenBefore;
  std::vector<std::string> names;
};

struct InternalRedirectPolicy {
  uint32_t max_redirects = 1;
  std::vector<uint32_t> codes;  // empty: 302
  bool allow_cross_scheme = false;
  std::vector<std::string> response_headers_to_copy;
  std::vector<RedirectPredicate> predicates;

  bool Includes(int status) const;
};

// The request goes to a cluster.
// What a route makes of a request's grpc-timeout.
struct GrpcTimeoutRule {
  std::optional<absl::Duration> header_max;  // zero: the header has no limit; absent: ignore it
  std::optional<absl::Duration> header_offset;
};

// A route's max_stream_duration.
struct StreamDuration {
  std::optional<absl::Duration> most;  // zero: none; absent: the connection manager's
  GrpcTimeoutRule grpc;
};

struct ForwardAction {
  enum class ClusterBy { kName, kHeader, kWeights, kPlugin };
  ClusterBy cluster_by = ClusterBy::kName;
  std::string cluster;  // kName: the cluster; kHeader: the header's name
  std::vector<WeightedCluster> weighted;
  uint64_t total_weight = 0;
  std::string weight_runtime_prefix;
  std::string weight_header;  // a header whose number replaces the random value
  bool weight_by_hash_policy = false;
  int cluster_not_found_status = 503;
  Metadata metadata_match;
  std::shared_ptr<const lb::Criteria> criteria;  // of metadata_match; null: none

  // Path: at most one of these.
  std::string prefix_rewrite;
  std::optional<RegexSubstitution> regex_rewrite;
  std::string template_rewrite;                   // path_rewrite_policy; needs match.uri_template
  std::string path_rewrite_text;                  // path_rewrite: the template
  std::shared_ptr<const Formatter> path_rewrite;  // compiled path_rewrite

  // Host: at most one of these.
  std::string host_rewrite_literal;
  bool auto_host_rewrite = false;
  std::string host_rewrite_header;  // lower-case
  std::optional<RegexSubstitution> host_rewrite_path_regex;
  std::string host_rewrite_text;
  std::shared_ptr<const Formatter> host_rewrite;
  bool append_x_forwarded_host = false;

  absl::Duration timeout = absl::Seconds(15);  // zero: none
  std::optional<absl::Duration> idle_timeout;  // replaces the connection manager's; zero: none
  std::optional<absl::Duration> flush_timeout;
  // The older way in which grpc-timeout counts: it takes the place of `timeout`.
  GrpcTimeoutRule grpc_timeout;
  // The newer way: a limit to the whole stream, which the connection keeps.
  std::optional<StreamDuration> stream_duration;

  std::optional<RetryPolicy> retry;  // the route's, else the virtual host's
  std::optional<HedgePolicy> hedge;
  std::vector<HashPolicy> hash_policies;
  std::vector<MirrorPolicy> mirrors;  // the route's, else the virtual host's, else the table's
  std::vector<UpgradeSetting> upgrades;
  std::optional<InternalRedirectPolicy> internal_redirect;
  bool high_priority = false;
  std::shared_ptr<const RateLimits> rate_limits;  // null: none
  bool include_vh_rate_limits = false;
};

struct RedirectAction {
  bool https = false;
  std::string scheme;  // empty: kept
  std::string host;    // empty: kept
  uint32_t port = 0;   // zero: kept
  std::string path;    // path_redirect; may bring its own query
  std::string prefix_rewrite;
  bool has_prefix_rewrite = false;
  std::optional<RegexSubstitution> regex_rewrite;
  int status = 301;
  bool strip_query = false;
};

struct DirectResponseAction {
  int status = 200;
  std::string body;
  std::optional<Format> format;
};

struct NonForwardingAction {};

struct TracingSampling {
  std::optional<FractionalPercent> client;
  std::optional<FractionalPercent> random;
  std::optional<FractionalPercent> overall;
};

struct Route {
  std::string name;
  std::string stat_prefix;  // empty: no statistics of its own
  RouteMatch match;
  std::variant<ForwardAction, RedirectAction, DirectResponseAction, NonForwardingAction> action;
  HeaderMutations request_headers;
  HeaderMutations response_headers;
  PerFilterConfigs per_filter;
  Metadata metadata;
  std::string decorator_operation;
  bool decorator_propagate = true;
  std::optional<uint64_t> request_buffer_limit;
  std::optional<TracingSampling> tracing;
  uint32_t index = 0;                     // in its virtual host
  mutable const void* numbers = nullptr;  // as VirtualCluster's, when there is a stat_prefix

  const ForwardAction* forward() const { return std::get_if<ForwardAction>(&action); }
  const RedirectAction* redirect() const { return std::get_if<RedirectAction>(&action); }
  const DirectResponseAction* direct_response() const {
    return std::get_if<DirectResponseAction>(&action);
  }
};

struct VirtualCluster {
  std::string name;
  std::vector<HeaderMatcher> headers;
  // Of whoever serves the table (its statistics): set once, before the table is shared.
  mutable const void* numbers = nullptr;
};

struct RouteTree;

struct VirtualHost {
  enum class RequireTls { kNone, kExternalOnly, kAll };

  std::string name;
  std::vector<std::string> domains;
  std::vector<Route> routes;              // in order: the first that matches wins
  std::shared_ptr<const RouteTree> tree;  // chooses among them otherwise; null: none
  RequireTls require_tls = RequireTls::kNone;
  std::vector<VirtualCluster> virtual_clusters;
  mutable const void* other_numbers = nullptr;  // of requests that no virtual cluster matches
  HeaderMutations request_headers;
  HeaderMutations response_headers;
  PerFilterConfigs per_filter;
  Metadata metadata;
  bool include_request_attempt_count = false;
  bool include_attempt_count_in_response = false;
  bool include_is_timeout_retry_header = false;
  std::optional<uint64_t> request_buffer_limit;
  std::shared_ptr<const RateLimits> rate_limits;  // null: none

  // The first route that matches, or null. Goes to the exact paths at once where there are many.
  const Route* Match(const RouteQuery& query) const;
  // The virtual cluster of a request, or null.
  const VirtualCluster* MatchVirtualCluster(const Headers& headers) const;

  static VirtualHost Parse(const envoy::config::route::v3::VirtualHost& proto,
                           ParseContext& context);

 private:
  friend class RouteTable;
  void IndexPaths(bool ignore_path_parameters);
  // Runs of consecutive exact-path routes, each with a hash from path to the first route.
  struct Segment {
    uint32_t begin;
    uint32_t end;
    absl::flat_hash_map<std::string, std::vector<uint32_t>> exact;  // empty: walk the routes
  };
  std::vector<Segment> segments_;
};

// The result of a look-up.
struct RouteResult {
  const VirtualHost* virtual_host = nullptr;  // null: no domain matched
  const Route* route = nullptr;               // null: no route matched
};

// One RDS resource, or the inline table of a connection manager.
//
// Threads: const, shared by workers. A Route is valid for as long as its table.
class RouteTable {
 public:
  static absl::StatusOr<std::shared_ptr<const RouteTable>> Parse(
      const envoy::config::route::v3::RouteConfiguration& proto, ParseContext& context);

  // This table with more virtual hosts (serialized), which came after it by VHDS. An error when
  // they do not fit each other.
  absl::StatusOr<std::shared_ptr<const RouteTable>> With(
      absl::Span<const std::string* const> hosts) const;

  RouteResult Match(const RouteQuery& query) const;
  // By domain alone: exact, then the longest suffix "*.x", then the longest prefix "x.*", then "*".
  const VirtualHost* FindVirtualHost(absl::string_view host) const;

  const std::string& name() const { return name_; }
  const std::vector<VirtualHost>& virtual_hosts() const { return virtual_hosts_; }
  const HeaderMutations& request_headers() const { return request_headers_; }
  const HeaderMutations& response_headers() const { return response_headers_; }
  const std::vector<std::string>& internal_only_headers() const { return internal_only_headers_; }
  const PerFilterConfigs& per_filter() const { return per_filter_; }
  const Metadata& metadata() const { return metadata_; }
  bool most_specific_header_mutations_wins() const { return most_specific_header_mutations_wins_; }
  // Whether a route to a cluster that is not there makes the table invalid; absent: true when
  // static.
  std::optional<bool> validate_clusters() const { return validate_clusters_; }
  // Where more virtual hosts come from (VHDS); kNone for most tables.
  const ConfigSource& vhds_source() const { return vhds_source_; }
  bool ignore_port_in_host_matching() const { return ignore_port_in_host_matching_; }
  // Every cluster that a route names, without duplicates (weighted and mirrored ones included).
  const std::vector<std::string>& clusters() const { return clusters_; }
  const std::string& original() const { return original_; }

 private:
  class Parser;
  friend class Parser;
  using DomainMap = absl::flat_hash_map<std::string, uint32_t>;
  struct WildcardLevel {
    size_t length;  // of the fixed part
    DomainMap hosts;
  };

  std::string name_;
  std::vector<VirtualHost> virtual_hosts_;
  DomainMap exact_;
  std::vector<WildcardLevel> suffixes_;  // longest first
  std::vector<WildcardLevel> prefixes_;  // longest first
  std::optional<uint32_t> any_;
  std::string vhost_header_;
  HeaderMutations request_headers_;
  HeaderMutations response_headers_;
  std::vector<std::string> internal_only_headers_;
  PerFilterConfigs per_filter_;
  Metadata metadata_;
  std::vector<MirrorPolicy> mirrors_;
  std::vector<std::string> clusters_;
  bool most_specific_header_mutations_wins_ = false;
  std::optional<bool> validate_clusters_;
  bool ignore_port_in_host_matching_ = false;
  ConfigSource vhds_source_;
  std::string original_;
};

}  // namespace remora::xds

#endif  // REMORA_XDS_ROUTE_H_
