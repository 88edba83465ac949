#ifndef REMORA_XDS_FILTER_CHAIN_MATCH_H_
#define REMORA_XDS_FILTER_CHAIN_MATCH_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "filters/api/address.h"
#include "xds/parse_context.h"

namespace envoy::config::listener::v3 {
class FilterChainMatch;
}

namespace remora::xds {

struct FilterChain;

// What is known of a connection when its filter chain is chosen. Views must live for the call.
struct ConnectionFacts {
  // The address and port the client meant: restored by original_dst where that filter ran.
  remora::Address destination;
  absl::string_view server_name;         // SNI, any case; empty when unknown
  absl::string_view transport_protocol;  // "tls" or "raw_buffer"; empty means "raw_buffer"
  absl::Span<const absl::string_view> application_protocols;  // ALPN offers or http_inspector's
  remora::Address direct_source;                              // of the socket
  remora::Address source;                                     // as PROXY protocol says
};

// The conditions of one chain as configured. Empty lists mean "any".
struct FilterChainMatchRule {
  enum class SourceType { kAny, kSameIpOrLoopback, kExternal };

  std::optional<uint16_t> destination_port;
  std::vector<CidrRange> prefix_ranges;
  std::vector<std::string> server_names;  // lower-case; "*.x" as ".x"
  std::string transport_protocol;
  std::vector<std::string> application_protocols;
  std::vector<CidrRange> direct_source_ranges;
  SourceType source_type = SourceType::kAny;
  std::vector<CidrRange> source_ranges;
  std::vector<uint16_t> source_ports;

  static FilterChainMatchRule Parse(const envoy::config::listener::v3::FilterChainMatch& proto,
                                    ParseContext& context);
};

// The compiled matcher: chooses by destination port, destination IP (longest prefix), server name
// (exact, then suffixes longest first), transport protocol, application protocols, direct source
// IP, source type, source IP, source port, in this order. At each step only the most specific
// survivors go on and there is no way back.
//
// Threads: const after Build, shared by workers. Match() does not allocate.
class FilterChainMatcher {
 public:
  FilterChainMatcher();
  ~FilterChainMatcher();
  FilterChainMatcher(FilterChainMatcher&&) noexcept;
  FilterChainMatcher& operator=(FilterChainMatcher&&) noexcept;

  // Adds one chain; InvalidArgument when a connection could not tell it from an earlier one.
  // `chain` must outlive the matcher.
  absl::Status Add(const FilterChainMatchRule& rule, const FilterChain* chain);

  // The chosen chain, or null.
  const FilterChain* Match(const ConnectionFacts& facts) const;

 private:
  struct Node;
  std::unique_ptr<Node> root_;
};

}  // namespace remora::xds

#endif  // REMORA_XDS_FILTER_CHAIN_MATCH_H_
