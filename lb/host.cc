#include "lb/host.h"

#include <arpa/inet.h>

#include <cstddef>
#include <cstring>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace remora::lb {

namespace {

constexpr absl::string_view kFlagNames[kHealthFlagCount] = {
    "/failed_active_hc",    "/failed_outlier_check",
    "/failed_eds_health",   "/degraded_active_hc",
    "/degraded_eds_health", "/pending_dynamic_removal",
    "/pending_active_hc",   "/excluded_via_immediate_hc_fail",
    "/active_hc_timeout",   "/eds_status_draining",
};

}  // namespace

absl::string_view HealthFlagName(int bit) { return kFlagNames[bit]; }

std::string HealthFlagsString(uint32_t flags) {
  if (flags == 0) return "healthy";
  std::string text;
  for (int bit = 0; bit < kHealthFlagCount; ++bit) {
    if (flags & (1u << bit)) absl::StrAppend(&text, kFlagNames[bit]);
  }
  return text;
}

Health CoarseHealth(uint32_t flags) {
  if (flags & (kFailedActiveHc | kFailedOutlierCheck | kFailedEdsHealth | kEdsStatusDraining)) {
    return Health::kUnhealthy;
  }
  if (flags & (kDegradedActiveHc | kDegradedEdsHealth)) {
    return Health::kDegraded;
  }
  return Health::kHealthy;
}

bool IsExcluded(uint32_t flags) {
  return (flags & (kPendingActiveHc | kExcludedViaImmediateHcFail | kEdsStatusDraining)) != 0;
}

absl::StatusOr<SocketAddress> SocketAddress::Ip(absl::string_view ip, uint16_t port) {
  const std::string text(ip);
  SocketAddress address;
  if (inet_pton(AF_INET, text.c_str(), &address.ip_.v4.sin_addr) == 1) {
    address.ip_.v4.sin_family = AF_INET;
    address.ip_.v4.sin_port = htons(port);
    address.length_ = sizeof(sockaddr_in);
    return address;
  }
  if (inet_pton(AF_INET6, text.c_str(), &address.ip_.v6.sin6_addr) == 1) {
    address.ip_.v6.sin6_family = AF_INET6;
    address.ip_.v6.sin6_port = htons(port);
    address.length_ = sizeof(sockaddr_in6);
    return address;
  }
  return absl::InvalidArgumentError(absl::StrCat("malformed IP address: ", ip));
}

absl::StatusOr<SocketAddress> SocketAddress::Pipe(absl::string_view path) {
  SocketAddress address;
  address.pipe_ = std::make_unique<sockaddr_un>();
  const bool abstract_name = !path.empty() && path[0] == '@';
  // A path needs its terminating zero; an abstract name is length-counted.
  const size_t room = sizeof(address.pipe_->sun_path) - (abstract_name ? 0 : 1);
  if (path.empty() || path.size() > room) {
    return absl::InvalidArgumentError(
        absl::StrCat("pipe path of ", path.size(), " bytes, 1 to ", room, " are allowed"));
  }
  address.pipe_->sun_family = AF_UNIX;
  std::memcpy(address.pipe_->sun_path, path.data(), path.size());
  if (abstract_name) address.pipe_->sun_path[0] = '\0';
  address.length_ = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() +
                                           (abstract_name ? 0 : 1));
  return address;
}

absl::StatusOr<SocketAddress> SocketAddress::FromSockaddr(const sockaddr* source,
                                                          socklen_t length) {
  SocketAddress address;
  if (source->sa_family == AF_INET && length >= sizeof(sockaddr_in)) {
    std::memcpy(&address.ip_.v4, source, sizeof(sockaddr_in));
    address.length_ = sizeof(sockaddr_in);
    return address;
  }
  if (source->sa_family == AF_INET6 && length >= sizeof(sockaddr_in6)) {
    std::memcpy(&address.ip_.v6, source, sizeof(sockaddr_in6));
    address.length_ = sizeof(sockaddr_in6);
    return address;
  }
  if (source->sa_family == AF_UNIX && length <= sizeof(sockaddr_un)) {
    address.pipe_ = std::make_unique<sockaddr_un>();
    std::memcpy(address.pipe_.get(), source, length);
    address.length_ = length;
    return address;
  }
  return absl::InvalidArgumentError(absl::StrCat("address of unknown family ", source->sa_family));
}

SocketAddress& SocketAddress::operator=(const SocketAddress& other) {
  if (this == &other) return *this;
  ip_ = other.ip_;
  pipe_ = other.pipe_ == nullptr ? nullptr : std::make_unique<sockaddr_un>(*other.pipe_);
  length_ = other.length_;
  return *this;
}

const sockaddr* SocketAddress::get() const {
  if (pipe_ != nullptr) return reinterpret_cast<const sockaddr*>(pipe_.get());
  return reinterpret_cast<const sockaddr*>(&ip_);
}

std::string SocketAddress::ToString() const {
  if (pipe_ != nullptr) {
    const size_t bytes = length_ - offsetof(sockaddr_un, sun_path);
    if (bytes == 0) return "";
    if (pipe_->sun_path[0] == '\0') {
      return absl::StrCat("@", absl::string_view(pipe_->sun_path + 1, bytes - 1));
    }
    return std::string(pipe_->sun_path, strnlen(pipe_->sun_path, bytes));
  }
  char text[INET6_ADDRSTRLEN];
  if (family() == AF_INET) {
    inet_ntop(AF_INET, &ip_.v4.sin_addr, text, sizeof(text));
    return absl::StrCat(text, ":", port());
  }
  inet_ntop(AF_INET6, &ip_.v6.sin6_addr, text, sizeof(text));
  return absl::StrCat("[", text, "]:", port());
}

uint16_t SocketAddress::port() const {
  if (pipe_ != nullptr) return 0;
  // Both families keep the port in the same place.
  return ntohs(ip_.v4.sin_port);
}

Host::Host(SocketAddress address)
    : address_(std::move(address)), address_string_(address_.ToString()) {}

}  // namespace remora::lb
