#ifndef REMORA_XDS_LISTENER_H_
#define REMORA_XDS_LISTENER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "filters/metadata.h"
#include "xds/access_log.h"
#include "xds/address.h"
#include "xds/extension.h"
#include "xds/filter_chain_match.h"
#include "xds/parse_context.h"

namespace envoy::config::listener::v3 {
class FilterChain;
class Listener;
class ListenerFilter;
class ListenerFilterChainMatchPredicate;
}  // namespace envoy::config::listener::v3

namespace remora::xds {

struct HttpConnectionManager;
struct TcpProxy;
struct DownstreamTls;
struct NetworkSettings;

// One network filter of a chain. Exactly one of the three is set; the settings are those of the
// filter whose configuration has the type `type` (network_filter.h).
struct NetworkFilter {
  std::string name;
  std::shared_ptr<const HttpConnectionManager> http;
  std::shared_ptr<const TcpProxy> tcp;
  std::string type;  // "envoy.extensions.filters.network..."
  std::shared_ptr<const NetworkSettings> settings;
};

struct FilterChain {
  std::string name;
  FilterChainMatchRule match;
  std::vector<NetworkFilter> filters;        // in order; the last is terminal
  std::shared_ptr<const DownstreamTls> tls;  // null: raw
  absl::Duration transport_connect_timeout;  // zero: none
  Metadata metadata;
  std::string key;  // serialized original: equal chains live on across an update

  // The connection manager or TCP proxy that ends the chain, or null.
  const HttpConnectionManager* http() const {
    return filters.empty() ? nullptr : filters.back().http.get();
  }
  const TcpProxy* tcp() const { return filters.empty() ? nullptr : filters.back().tcp.get(); }

  static std::shared_ptr<const FilterChain> Parse(
      const envoy::config::listener::v3::FilterChain& proto, ParseContext& context);
};

// filter_disabled of a listener filter: a predicate on the destination port.
struct ListenerFilterPredicate {
  enum class Kind { kAny, kPortRange, kAnd, kOr, kNot };
  Kind kind = Kind::kAny;
  uint32_t port_start = 0;
  uint32_t port_end = 0;  // exclusive
  std::vector<ListenerFilterPredicate> children;

  bool Matches(uint16_t destination_port) const;
  static ListenerFilterPredicate Parse(
      const envoy::config::listener::v3::ListenerFilterChainMatchPredicate& proto,
      ParseContext& context);
};

struct ListenerFilter {
  enum class Kind { kTlsInspector, kHttpInspector, kOriginalDst, kProxyProtocol, kOther };
  Kind kind = Kind::kOther;
  std::string name;
  Extension config;
  std::optional<ListenerFilterPredicate> disabled;  // absent: always on
  // tls_inspector
  bool ja3 = false;
  bool ja4 = false;
  uint32_t initial_read_size = 64 * 1024;
  uint32_t max_client_hello_size = 64 * 1024;
  bool close_on_client_hello_error = false;
  // proxy_protocol
  bool allow_without_proxy_protocol = false;
  bool allow_v1 = true;
  bool allow_v2 = true;
  bool tlv_pass_all = false;
  std::vector<uint8_t> tlv_pass;  // types to keep when not all
  struct TlvRule {
    uint8_t type;
    std::string metadata_namespace;  // empty: envoy.filters.listener.proxy_protocol
    std::string key;
  };
  std::vector<TlvRule> tlv_rules;
  std::string stat_prefix;

  static ListenerFilter Parse(const envoy::config::listener::v3::ListenerFilter& proto,
                              ParseContext& context);
};

// One LDS resource, or a listener of the bootstrap.
struct Listener {
  enum class DrainType { kDefault, kModifyOnly };
  enum class Direction { kUnspecified, kInbound, kOutbound };
  enum class Kind { kTcp, kInternal, kApi };

  std::string name;  // never empty: a UUID-like name is given when configuration has none
  Kind kind = Kind::kTcp;
  AddressSpec address;
  std::vector<AddressSpec> additional_addresses;
  std::string stat_prefix;  // empty: the address names the statistics
  bool bind_to_port = true;
  bool use_original_dst = false;
  bool reuse_port = true;
  bool transparent = false;
  bool freebind = false;
  bool exact_balance = false;
  bool mptcp = false;
  std::vector<SocketOption> socket_options;
  std::optional<TcpKeepalive> tcp_keepalive;
  std::optional<uint32_t> fast_open_queue;
  uint32_t backlog = 0;                // zero: the operating system's default (SOMAXCONN)
  uint32_t max_accepts_per_event = 0;  // zero: no limit
  uint32_t per_connection_buffer_limit = 1024 * 1024;
  bool ignore_global_connection_limit = false;
  bool bypass_overload_manager = false;
  Direction direction = Direction::kUnspecified;
  DrainType drain_type = DrainType::kDefault;

  std::vector<ListenerFilter> listener_filters;
  absl::Duration listener_filters_timeout = absl::Seconds(15);  // zero: none
  bool continue_on_listener_filters_timeout = false;

  std::vector<std::shared_ptr<const FilterChain>> filter_chains;
  std::shared_ptr<const FilterChain> default_filter_chain;  // may be null
  std::vector<AccessLog> access_logs;
  Metadata metadata;
  std::string original;  // serialized, for /config_dump

  // The chain for a connection: by the matcher, else the default chain, else null.
  const FilterChain* Match(const ConnectionFacts& facts) const;

  // Everything but the filter chains, serialized: equal means "only filter chains changed".
  std::string socket_key;

  static absl::StatusOr<std::shared_ptr<const Listener>> Parse(
      const envoy::config::listener::v3::Listener& proto, ParseContext& context);

 private:
  class Parser;
  friend class Parser;
  FilterChainMatcher matcher_;
};

}  // namespace remora::xds

#endif  // REMORA_XDS_LISTENER_H_
