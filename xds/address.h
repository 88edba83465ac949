#ifndef REMORA_XDS_ADDRESS_H_
#define REMORA_XDS_ADDRESS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "filters/api/address.h"
#include "xds/parse_context.h"

namespace envoy::config::core::v3 {
class Address;
class SocketAddress;
class BindConfig;
class CidrRange;
class SocketOption;
class TcpKeepalive;
}  // namespace envoy::config::core::v3

namespace google::protobuf {
template <typename T>
class RepeatedPtrField;
}

namespace remora::xds {

// An address as configuration spells it; `remora::Address` is its resolved form.
struct AddressSpec {
  enum class Kind { kSocket, kPipe, kInternal };
  enum class Protocol { kTcp, kUdp };

  Kind kind = Kind::kSocket;
  Protocol protocol = Protocol::kTcp;
  std::string host;  // IP literal or name to resolve (kSocket), path (kPipe; '@' means abstract),
                     // listener name (kInternal)
  uint16_t port = 0;
  std::string named_port;
  std::string resolver_name;
  bool ipv4_compat = false;  // an IPv6 wildcard that also takes IPv4
  uint32_t pipe_mode = 0;    // 0: as umask says
  std::string endpoint_id;   // kInternal

  // "127.0.0.1:80", "[::1]:80", the path, or "envoy://name/id": as Envoy prints it.
  std::string ToString() const;
  bool operator==(const AddressSpec& other) const;
};

struct SocketOption {
  enum class State { kPreBind, kBound, kListening };
  int64_t level = 0;
  int64_t name = 0;
  State state = State::kPreBind;
  std::string value;  // the bytes to hand to setsockopt (an int is 4 bytes in host order)
  std::string description;
};

// Zero means the operating system's default.
struct TcpKeepalive {
  std::optional<uint32_t> probes;
  std::optional<uint32_t> time_seconds;
  std::optional<uint32_t> interval_seconds;
};

// The local end of upstream connections.
struct BindConfig {
  std::optional<AddressSpec> source;
  std::vector<AddressSpec> extra_sources;  // for the other IP family
  bool freebind = false;
  std::vector<SocketOption> socket_options;
};

AddressSpec ParseAddress(const envoy::config::core::v3::Address& proto, ParseContext& context);
AddressSpec ParseSocketAddress(const envoy::config::core::v3::SocketAddress& proto,
                               ParseContext& context);
SocketOption ParseSocketOption(const envoy::config::core::v3::SocketOption& proto,
                               ParseContext& context);
// `field` names the list in errors; ranges that are wrong are left out.
std::vector<CidrRange> ParseCidrRanges(
    absl::string_view field,
    const google::protobuf::RepeatedPtrField<envoy::config::core::v3::CidrRange>& list,
    ParseContext& context);
TcpKeepalive ParseTcpKeepalive(const envoy::config::core::v3::TcpKeepalive& proto);
BindConfig ParseBindConfig(const envoy::config::core::v3::BindConfig& proto, ParseContext& context);

}  // namespace remora::xds

#endif  // REMORA_XDS_ADDRESS_H_
