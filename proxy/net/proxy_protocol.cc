#include "proxy/net/proxy_protocol.h"

#include <netinet/in.h>
#include <string.h>

#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace remora::proxy {
namespace {

constexpr absl::string_view kSignature1 = "PROXY ";
constexpr absl::string_view kSignature2("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr size_t kMostLine1 = 108;
constexpr size_t kFixed2 = 16;

// Decimal without sign or leading zero.
std::optional<uint16_t> Port(absl::string_view text) {
  if (text.empty() || text.size() > 5 || (text.size() > 1 && text[0] == '0')) return std::nullopt;
  uint32_t port = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    port = port * 10 + static_cast<uint32_t>(c - '0');
  }
  return port > 65535 ? std::nullopt : std::optional<uint16_t>(static_cast<uint16_t>(port));
}

ProxyHeaderResult ParseLine(absl::string_view bytes, ProxyHeader* header) {
  header->version = 1;
  const size_t end = bytes.substr(0, kMostLine1).find("\r\n");
  if (end == absl::string_view::npos) {
    return bytes.size() >= kMostLine1 ? ProxyHeaderResult::kBroken : ProxyHeaderResult::kNeedMore;
  }
  header->size = end + 2;
  const absl::string_view line = bytes.substr(kSignature1.size(), end - kSignature1.size());
  if (line.find('\0') != absl::string_view::npos) return ProxyHeaderResult::kBroken;
  if (line == "UNKNOWN" || absl::StartsWith(line, "UNKNOWN ")) return ProxyHeaderResult::kHeader;
  const std::vector<absl::string_view> words = absl::StrSplit(line, ' ');
  if (words.size() != 5) return ProxyHeaderResult::kBroken;
  const Address::Kind kind = words[0] == "TCP4"   ? Address::Kind::kIpv4
                             : words[0] == "TCP6" ? Address::Kind::kIpv6
                                                  : Address::Kind::kNone;
  const std::optional<uint16_t> source_port = Port(words[3]);
  const std::optional<uint16_t> destination_port = Port(words[4]);
  if (kind == Address::Kind::kNone || !source_port || !destination_port)
    return ProxyHeaderResult::kBroken;
  const std::optional<Address> source = Address::FromIp(words[1], *source_port);
  const std::optional<Address> destination = Address::FromIp(words[2], *destination_port);
  if (!source || !destination || source->kind() != kind || destination->kind() != kind) {
    return ProxyHeaderResult::kBroken;
  }
  header->source = *source;
  header->destination = *destination;
  return ProxyHeaderResult::kHeader;
}

uint16_t Big16(const char* at) {
  return static_cast<uint16_t>((static_cast<uint8_t>(at[0]) << 8) | static_cast<uint8_t>(at[1]));
}

Address Ip4(const char* ip, const char* port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  memcpy(&address.sin_addr, ip, 4);
  memcpy(&address.sin_port, port, 2);
  return Address::FromSockaddr(reinterpret_cast<sockaddr*>(&address), sizeof(address));
}

Address Ip6(const char* ip, const char* port) {
  sockaddr_in6 address = {};
  address.sin6_family = AF_INET6;
  memcpy(&address.sin6_addr, ip, 16);
  memcpy(&address.sin6_port, port, 2);
  return Address::FromSockaddr(reinterpret_cast<sockaddr*>(&address), sizeof(address));
}

bool ParseTlvs(absl::string_view bytes, ProxyHeader* header) {
  while (!bytes.empty()) {
    if (bytes.size() < 3) return false;
    const size_t size = Big16(bytes.data() + 1);
    if (bytes.size() < 3 + size) return false;
    header->tlvs.push_back({static_cast<uint8_t>(bytes[0]), std::string(bytes.substr(3, size))});
    bytes.remove_prefix(3 + size);
  }
  return true;
}

ProxyHeaderResult ParseBinary(absl::string_view bytes, ProxyHeader* header) {
  header->version = 2;
  if (bytes.size() < kFixed2) return ProxyHeaderResult::kNeedMore;
  const uint8_t version_command = static_cast<uint8_t>(bytes[12]);
  const uint8_t family = static_cast<uint8_t>(bytes[13]);
  const size_t length = Big16(bytes.data() + 14);
  if ((version_command >> 4) != 2 || (version_command & 0xf) > 1) return ProxyHeaderResult::kBroken;
  if (bytes.size() < kFixed2 + length) return ProxyHeaderResult::kNeedMore;
  header->size = kFixed2 + length;
  const absl::string_view body = bytes.substr(kFixed2, length);
  // LOCAL: a health check of the proxy itself; what follows is to be skipped.
  if ((version_command & 0xf) == 0) return ProxyHeaderResult::kHeader;
  size_t addresses = 0;
  if (family == 0x11) {
    addresses = 12;
    if (length < addresses) return ProxyHeaderResult::kBroken;
    header->source = Ip4(body.data(), body.data() + 8);
    header->destination = Ip4(body.data() + 4, body.data() + 10);
  } else if (family == 0x21) {
    addresses = 36;
    if (length < addresses) return ProxyHeaderResult::kBroken;
    header->source = Ip6(body.data(), body.data() + 32);
    header->destination = Ip6(body.data() + 16, body.data() + 34);
  } else {
    return ProxyHeaderResult::kBroken;
  }
  return ParseTlvs(body.substr(addresses), header) ? ProxyHeaderResult::kHeader
                                                   : ProxyHeaderResult::kBroken;
}

}  // namespace

ProxyHeaderResult ParseProxyHeader(absl::string_view bytes, ProxyHeader* header) {
  *header = ProxyHeader();
  if (absl::StartsWith(bytes, kSignature2)) return ParseBinary(bytes, header);
  if (absl::StartsWith(bytes, kSignature1)) return ParseLine(bytes, header);
  if (absl::StartsWith(kSignature2, bytes) || absl::StartsWith(kSignature1, bytes)) {
    return ProxyHeaderResult::kNeedMore;
  }
  return ProxyHeaderResult::kNone;
}

void AppendProxyTlv(uint8_t type, absl::string_view value, std::string* out) {
  out->push_back(static_cast<char>(type));
  out->push_back(static_cast<char>(value.size() >> 8));
  out->push_back(static_cast<char>(value.size()));
  out->append(value.data(), value.size());
}

namespace {

void AppendPort(uint16_t port, std::string* out) {
  out->push_back(static_cast<char>(port >> 8));
  out->push_back(static_cast<char>(port));
}

std::string WriteLine(const Address& source, const Address& destination) {
  if (!source.is_ip() || source.kind() != destination.kind()) return "PROXY UNKNOWN\r\n";
  const absl::string_view family = source.kind() == Address::Kind::kIpv4 ? "TCP4" : "TCP6";
  return absl::StrCat("PROXY ", family, " ", source.IpString(), " ", destination.IpString(), " ",
                      source.port(), " ", destination.port(), "\r\n");
}

}  // namespace

std::string WriteProxyHeader(int version, const Address& source, const Address& destination,
                             absl::string_view tlvs) {
  if (version == 1) return WriteLine(source, destination);
  std::string out(kSignature2.data(), kSignature2.size());
  const bool known = source.is_ip() && source.kind() == destination.kind();
  if (!known) {
    out.append("\x20\0\0\0", 4);
    return out;
  }
  std::string body(source.ip_bytes());
  body.append(destination.ip_bytes().data(), destination.ip_bytes().size());
  AppendPort(source.port(), &body);
  AppendPort(destination.port(), &body);
  body.append(tlvs.data(), tlvs.size());
  out.push_back('\x21');
  out.push_back(source.kind() == Address::Kind::kIpv4 ? '\x11' : '\x21');
  AppendPort(static_cast<uint16_t>(body.size()), &out);
  return out + body;
}

}  // namespace remora::proxy
