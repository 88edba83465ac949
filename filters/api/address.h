#ifndef REMORA_FILTERS_API_ADDRESS_H_
#define REMORA_FILTERS_API_ADDRESS_H_

#include <sys/socket.h>

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "filters/api/arena.h"

namespace remora {

// Where a socket is: an IPv4 or IPv6 address with a port, or the path of a Unix socket. A value of
// fixed size that never allocates; text is made when somebody asks for it.
class Address {
 public:
  enum class Kind : uint8_t { kNone, kIpv4, kIpv6, kPipe };

  Address() = default;

  // `ip` is a literal ("10.0.0.1", "::1", "[::1]"); no names are resolved.
  static std::optional<Address> FromIp(absl::string_view ip, uint16_t port);
  // "1.2.3.4:80", "[::1]:80".
  static std::optional<Address> FromIpPort(absl::string_view text);
  // A leading '@' stands for the abstract namespace. Fails when the path does not fit.
  static std::optional<Address> FromPipe(absl::string_view path);
  // An IPv6-mapped IPv4 address is kept as it is.
  static Address FromSockaddr(const sockaddr* address, socklen_t size);

  Kind kind() const { return kind_; }
  bool is_ip() const { return kind_ == Kind::kIpv4 || kind_ == Kind::kIpv6; }
  uint16_t port() const;
  void set_port(uint16_t port);
  // 127.0.0.0/8 or ::1.
  bool is_loopback() const;
  bool is_any() const;
  // 4 or 16 bytes in network order; empty for a pipe.
  absl::string_view ip_bytes() const;

  const sockaddr* sockaddr_ptr() const { return reinterpret_cast<const sockaddr*>(&storage_); }
  socklen_t sockaddr_size() const { return size_; }

  // "1.2.3.4:80", "[::1]:80", "/path/to.sock", "@name"; "" when there is none.
  std::string ToString() const;
  absl::string_view ToString(Arena& arena) const;
  // The same without port and brackets.
  std::string IpString() const;
  absl::string_view IpString(Arena& arena) const;

  friend bool operator==(const Address& a, const Address& b);
  friend bool operator!=(const Address& a, const Address& b) { return !(a == b); }

 private:
  static constexpr size_t kMostText = 128;
  size_t Format(char* out, bool with_port) const;

  sockaddr_storage storage_ = {};
  socklen_t size_ = 0;
  Kind kind_ = Kind::kNone;
};

// An address prefix, as in xDS `CidrRange`.
class CidrRange {
 public:
  // `prefix_length` beyond the family's width is cut to it; bits behind the prefix are cleared.
  static absl::StatusOr<CidrRange> Create(absl::string_view ip, uint32_t prefix_length);

  bool Contains(const Address& address) const;
  uint32_t prefix_length() const { return length_; }
  Address::Kind kind() const { return kind_; }
  absl::string_view bytes() const { return {bytes_, kind_ == Address::Kind::kIpv4 ? 4u : 16u}; }

 private:
  Address::Kind kind_ = Address::Kind::kNone;
  uint32_t length_ = 0;
  char bytes_[16] = {};
};

}  // namespace remora

#endif  // REMORA_FILTERS_API_ADDRESS_H_
