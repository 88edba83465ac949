#include "filters/api/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <algorithm>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace remora {
namespace {

// inet_pton wants a terminated string; literals are short.
bool ToBytes(int family, absl::string_view ip, void* out) {
  char text[INET6_ADDRSTRLEN];
  if (ip.size() >= sizeof(text)) return false;
  std::memcpy(text, ip.data(), ip.size());
  text[ip.size()] = '\0';
  return inet_pton(family, text, out) == 1;
}

}  // namespace

std::optional<Address> Address::FromIp(absl::string_view ip, uint16_t port) {
  if (ip.size() > 2 && ip.front() == '[' && ip.back() == ']') ip = ip.substr(1, ip.size() - 2);
  Address address;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&address.storage_);
  if (ToBytes(AF_INET, ip, &v4->sin_addr)) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    address.size_ = sizeof(*v4);
    address.kind_ = Kind::kIpv4;
    return address;
  }
  address.storage_ = {};
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&address.storage_);
  if (!ToBytes(AF_INET6, ip, &v6->sin6_addr)) return std::nullopt;
  v6->sin6_family = AF_INET6;
  v6->sin6_port = htons(port);
  address.size_ = sizeof(*v6);
  address.kind_ = Kind::kIpv6;
  return address;
}

std::optional<Address> Address::FromIpPort(absl::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == absl::string_view::npos) return std::nullopt;
  uint32_t port = 0;
  if (!absl::SimpleAtoi(text.substr(colon + 1), &port) || port > 65535) return std::nullopt;
  const absl::string_view ip = text.substr(0, colon);
  const bool bracketed = !ip.empty() && ip.front() == '[';
  if (!bracketed && ip.find(':') != absl::string_view::npos) return std::nullopt;
  return FromIp(ip, static_cast<uint16_t>(port));
}

std::optional<Address> Address::FromPipe(absl::string_view path) {
  Address address;
  auto* un = reinterpret_cast<sockaddr_un*>(&address.storage_);
  if (path.empty() || path.size() >= sizeof(un->sun_path)) return std::nullopt;
  un->sun_family = AF_UNIX;
  std::memcpy(un->sun_path, path.data(), path.size());
  const bool abstract = path.front() == '@';
  if (abstract) un->sun_path[0] = '\0';
  address.size_ = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + !abstract);
  address.kind_ = Kind::kPipe;
  return address;
}

Address Address::FromSockaddr(const sockaddr* from, socklen_t size) {
  Address address;
  if (from == nullptr || size > sizeof(address.storage_)) return address;
  std::memcpy(&address.storage_, from, size);
  address.size_ = size;
  switch (from->sa_family) {
    case AF_INET:
      address.kind_ = Kind::kIpv4;
      break;
    case AF_INET6:
      address.kind_ = Kind::kIpv6;
      break;
    case AF_UNIX:
      address.kind_ = Kind::kPipe;
      break;
    default:
      break;
  }
  return address;
}

uint16_t Address::port() const {
  if (kind_ == Kind::kIpv4) return ntohs(reinterpret_cast<const sockaddr_in*>(&storage_)->sin_port);
  if (kind_ == Kind::kIpv6)
    return ntohs(reinterpret_cast<const sockaddr_in6*>(&storage_)->sin6_port);
  return 0;
}

void Address::set_port(uint16_t port) {
  if (kind_ == Kind::kIpv4) reinterpret_cast<sockaddr_in*>(&storage_)->sin_port = htons(port);
  if (kind_ == Kind::kIpv6) reinterpret_cast<sockaddr_in6*>(&storage_)->sin6_port = htons(port);
}

absl::string_view Address::ip_bytes() const {
  if (kind_ == Kind::kIpv4) {
    return {
        reinterpret_cast<const char*>(&reinterpret_cast<const sockaddr_in*>(&storage_)->sin_addr),
        4};
  }
  if (kind_ == Kind::kIpv6) {
    return {
        reinterpret_cast<const char*>(&reinterpret_cast<const sockaddr_in6*>(&storage_)->sin6_addr),
        16};
  }
  return {};
}

bool Address::is_loopback() const {
  const absl::string_view bytes = ip_bytes();
  if (kind_ == Kind::kIpv4) return bytes[0] == 127;
  if (kind_ != Kind::kIpv6) return false;
  return IN6_IS_ADDR_LOOPBACK(reinterpret_cast<const in6_addr*>(bytes.data()));
}

bool Address::is_any() const {
  if (!is_ip()) return false;
  const absl::string_view bytes = ip_bytes();
  return std::all_of(bytes.begin(), bytes.end(), [](char c) { return c == 0; });
}

size_t Address::Format(char* out, bool with_port) const {
  char* at = out;
  if (kind_ == Kind::kPipe) {
    const auto* un = reinterpret_cast<const sockaddr_un*>(&storage_);
    const size_t header = offsetof(sockaddr_un, sun_path);
    if (size_ <= header) return 0;
    const bool abstract = un->sun_path[0] == '\0';
    const size_t path = abstract ? size_ - header : strnlen(un->sun_path, size_ - header);
    std::memcpy(out, un->sun_path, path);
    if (abstract) out[0] = '@';
    return path;
  }
  if (!is_ip()) return 0;
  const bool v6 = kind_ == Kind::kIpv6;
  if (v6 && with_port) *at++ = '[';
  inet_ntop(v6 ? AF_INET6 : AF_INET, ip_bytes().data(), at, INET6_ADDRSTRLEN);
  at += std::strlen(at);
  if (!with_port) return at - out;
  if (v6) *at++ = ']';
  *at++ = ':';
  char digits[5];
  size_t count = 0;
  for (uint16_t rest = port(); count == 0 || rest > 0; rest /= 10)
    digits[count++] = '0' + rest % 10;
  while (count > 0) *at++ = digits[--count];
  return at - out;
}

std::string Address::ToString() const {
  char text[kMostText];
  return std::string(text, Format(text, true));
}

std::string Address::IpString() const {
  char text[kMostText];
  return std::string(text, Format(text, false));
}

absl::string_view Address::ToString(Arena& arena) const {
  char text[kMostText];
  return arena.Copy({text, Format(text, true)});
}

absl::string_view Address::IpString(Arena& arena) const {
  char text[kMostText];
  return arena.Copy({text, Format(text, false)});
}

bool operator==(const Address& a, const Address& b) {
  if (a.kind_ != b.kind_) return false;
  if (a.is_ip()) return a.ip_bytes() == b.ip_bytes() && a.port() == b.port();
  return a.size_ == b.size_ && std::memcmp(&a.storage_, &b.storage_, a.size_) == 0;
}

absl::StatusOr<CidrRange> CidrRange::Create(absl::string_view ip, uint32_t prefix_length) {
  const std::optional<Address> address = Address::FromIp(ip, 0);
  if (!address) return absl::InvalidArgumentError(absl::StrCat("malformed IP address: ", ip));
  CidrRange range;
  range.kind_ = address->kind();
  const absl::string_view bytes = address->ip_bytes();
  range.length_ = std::min<uint32_t>(prefix_length, bytes.size() * 8);
  std::memcpy(range.bytes_, bytes.data(), bytes.size());
  for (uint32_t bit = range.length_; bit < bytes.size() * 8; ++bit) {
    range.bytes_[bit / 8] = static_cast<char>(range.bytes_[bit / 8] & ~(0x80 >> (bit % 8)));
  }
  return range;
}

bool CidrRange::Contains(const Address& address) const {
  if (address.kind() != kind_) return false;
  const absl::string_view ip = address.ip_bytes();
  const uint32_t whole = length_ / 8;
  if (std::memcmp(ip.data(), bytes_, whole) != 0) return false;
  if (length_ % 8 == 0) return true;
  const unsigned mask = 0xFF00u >> (length_ % 8) & 0xFF;
  return ((static_cast<unsigned char>(ip[whole]) ^ static_cast<unsigned char>(bytes_[whole])) &
          mask) == 0;
}

}  // namespace remora
