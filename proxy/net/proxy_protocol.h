#ifndef REMORA_PROXY_NET_PROXY_PROTOCOL_H_
#define REMORA_PROXY_NET_PROXY_PROTOCOL_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "filters/api/address.h"

namespace remora::proxy {

// The header of HAProxy's PROXY protocol, versions 1 and 2 (its specification of 2020/03/05).
struct ProxyHeader {
  struct Tlv {
    uint8_t type;
    std::string value;
  };

  int version = 0;  // also of a header that is not complete or broken; 0: none
  size_t size = 0;  // bytes it takes in front of the stream
  // Absent (kNone) when the proxy speaks for itself (LOCAL) or knows no addresses (UNKNOWN).
  Address source;
  Address destination;
  std::vector<Tlv> tlvs;
};

enum class ProxyHeaderResult {
  kNeedMore,
  kHeader,
  kNone,    // the bytes begin with no such header
  kBroken,  // they do, and it breaks the rules
};

ProxyHeaderResult ParseProxyHeader(absl::string_view bytes, ProxyHeader* header);

// One TLV as it stands on the wire.
void AppendProxyTlv(uint8_t type, absl::string_view value, std::string* out);

// A header to send. Version 1 cannot carry TLVs. Version 2 without addresses speaks for the proxy
// itself (LOCAL). `tlvs`: as on the wire.
std::string WriteProxyHeader(int version, const Address& source, const Address& destination,
                             absl::string_view tlvs);

}  // namespace remora::proxy

#endif  // REMORA_PROXY_NET_PROXY_PROTOCOL_H_
