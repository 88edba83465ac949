#ifndef REMORA_XDS_NETWORK_FILTER_H_
#define REMORA_XDS_NETWORK_FILTER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "filters/rbac.h"
#include "xds/extension.h"
#include "xds/parse_context.h"

namespace remora {
class Formatter;
}

namespace remora::xds {

// Network filters other than the connection manager and the TCP proxy: what each is told, by the
// type of its configuration (`kType`). proxy/stream/network_filter.h runs them.
struct NetworkSettings {
  virtual ~NetworkSettings() = default;
};

// RuntimeFeatureFlag: a truth value that a runtime key may replace.
struct RuntimeFlag {
  bool otherwise = true;
  std::string key;  // empty: no key
};

// Who may speak at all, judged when the first bytes arrive.
struct NetworkRbac final : NetworkSettings {
  static constexpr absl::string_view kType = "envoy.extensions.filters.network.rbac.v3.RBAC";
  std::string stat_prefix;    // "PREFIX.rbac."
  std::string shadow_prefix;  // in front of metadata keys, and with a dot of shadow statistics
  std::optional<RbacEngine> rules;
  std::optional<RbacEngine> shadow_rules;
  bool continuous = false;    // judge each time bytes arrive, not only the first
  absl::Duration delay_deny;  // a refused connection is closed only then; zero: at once
};

struct ConnectionLimit final : NetworkSettings {
  static constexpr absl::string_view kType =
      "envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit";
  std::string stat_prefix;
  uint64_t max_connections = 0;
  absl::Duration delay;  // before a connection too many is closed
  RuntimeFlag enabled;
};

// So many new connections in a time.
struct NetworkRateLimit final : NetworkSettings {
  static constexpr absl::string_view kType =
      "envoy.extensions.filters.network.local_ratelimit.v3.LocalRateLimit";
  std::string stat_prefix;
  uint64_t max_tokens = 0;
  uint64_t tokens_per_fill = 1;
  absl::Duration fill_interval;
  std::string share_key;  // filters of this key and of equal buckets share one; empty: none
  RuntimeFlag enabled;
};

// Sends back what comes. Terminal.
struct Echo final : NetworkSettings {
  static constexpr absl::string_view kType = "envoy.extensions.filters.network.echo.v3.Echo";
};

// Says one thing and closes. Terminal.
struct DirectResponse final : NetworkSettings {
  static constexpr absl::string_view kType =
      "envoy.extensions.filters.network.direct_response.v3.Config";
  std::string body;
};

// The TCP proxy's cluster is named by the server name that the client asked for.
struct SniCluster final : NetworkSettings {
  static constexpr absl::string_view kType =
      "envoy.extensions.filters.network.sni_cluster.v3.SniCluster";
};

// Notes texts about the connection under keys that later filters read.
struct SetFilterState final : NetworkSettings {
  static constexpr absl::string_view kType =
      "envoy.extensions.filters.network.set_filter_state.v3.Config";
  struct Value {
    std::string key;
    std::string fixed;                           // without a formatter
    std::shared_ptr<const Formatter> formatter;  // null: `fixed`
    bool skip_if_empty = false;
  };
  std::vector<Value> on_new_connection;
  std::vector<Value> on_downstream_tls_handshake;
  std::vector<Value> on_downstream_data;
};

// Null after an error in `context`; `*known` tells whether the type is one of the above.
std::shared_ptr<const NetworkSettings> ParseNetworkSettings(const Extension& config, bool* known,
                                                            ParseContext& context);

// What there is to know of a filter by the type of its configuration alone.
struct NetworkFilterKind {
  absl::string_view name;  // Envoy's: "envoy.filters.network.echo"; empty for a type not known
  bool terminal = false;   // ends a chain
};
NetworkFilterKind NetworkFilterKindOf(absl::string_view type_name);

}  // namespace remora::xds

#endif  // REMORA_XDS_NETWORK_FILTER_H_
