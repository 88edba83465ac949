// One endpoint of a cluster: who it is (`Host`) and how it fares (`HostState`).
//
// A `Host` is its address and nothing else that can change, so that the same
// object lives on for as long as the address stays in the cluster: connection
// pools, tallies and ejections hang on it and survive every update. What an
// update may change (weight, locality, hostname, metadata, health) lives beside
// it, in the immutable `HostAttributes` and `HostSet` of one snapshot.
//
// Threads: `Host` is const after construction and shared by all loops through
// `shared_ptr`. `HostState` is the one part that all loops write, with relaxed
// atomics: each value is right by itself, no order between two of them is
// promised.

#ifndef REMORA_LB_HOST_H_
#define REMORA_LB_HOST_H_

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lb/clock.h"
#include "lb/criteria.h"

namespace remora::lb {

// Why a host may not, or should rather not, be used. The names in
// HealthFlagName() are those of `/clusters`.
enum HealthFlag : uint32_t {
  kFailedActiveHc = 1u << 0,
  kFailedOutlierCheck = 1u << 1,
  kFailedEdsHealth = 1u << 2,
  kDegradedActiveHc = 1u << 3,
  kDegradedEdsHealth = 1u << 4,
  kPendingDynamicRemoval = 1u << 5,
  kPendingActiveHc = 1u << 6,
  kExcludedViaImmediateHcFail = 1u << 7,
  kActiveHcTimeout = 1u << 8,
  kEdsStatusDraining = 1u << 9,
};
inline constexpr int kHealthFlagCount = 10;

// `1 << bit` as `/clusters` spells it, with the leading slash, e.g.
// "/failed_active_hc".
absl::string_view HealthFlagName(int bit);
// All set flags in `/clusters` order, or "healthy".
std::string HealthFlagsString(uint32_t flags);

// What the flags come to for balancing.
enum class Health : uint8_t { kUnhealthy, kDegraded, kHealthy };
Health CoarseHealth(uint32_t flags);
// Excluded hosts do not count in the size of their priority or locality
// (spill-over and panic are computed without them).
bool IsExcluded(uint32_t flags);

// Tallies and verdicts of one host: two cache lines of its own. All loops may
// read everything.
struct alignas(64) HostState {
  // First line: written by workers on every request. `rq_active` is what least
  // request and bounded-load hashing compare.
  std::atomic<uint32_t> rq_active{0};
  std::atomic<uint32_t> cx_active{0};
  std::atomic<uint64_t> rq_total{0};
  std::atomic<uint64_t> rq_success{0};
  std::atomic<uint64_t> rq_error{0};
  std::atomic<uint64_t> rq_timeout{0};
  std::atomic<uint64_t> cx_total{0};
  std::atomic<uint64_t> cx_connect_fail{0};

  // Second line. Passive health, written by workers through health/outlier.h
  // only where the cluster has outlier detection. The window counters only grow
  // (and wrap); the main loop's sweep takes differences.
  alignas(64) std::atomic<uint32_t> consecutive_5xx{0};
  std::atomic<uint32_t> consecutive_gateway{0};
  std::atomic<uint32_t> consecutive_local_origin{0};
  std::atomic<uint32_t> window_total{0};
  std::atomic<uint32_t> window_success{0};
  std::atomic<uint32_t> window_local_total{0};
  std::atomic<uint32_t> window_local_success{0};
  // HealthFlag bits; only the main loop writes them (SetFlag, ClearFlag).
  std::atomic<uint32_t> flags{0};
  // When the host last became healthy (an active check passed or it joined); 0
  // = never. Slow start counts from here.
  std::atomic<int64_t> healthy_since_ns{0};
  // Success rates of the last outlier sweep in percent, -1 = too few requests.
  // Main writes, `/clusters` shows.
  std::atomic<float> success_rate{-1};
  std::atomic<float> local_origin_success_rate{-1};
  // A response carried `x-envoy-immediate-health-check-fail`: a worker sets it
  // and mails main, which clears it.
  std::atomic<bool> immediate_hc_fail{false};
  // Picked since main last looked: hosts that were made for a request alone (original destination)
  // go when they no longer are.
  std::atomic<bool> used{false};

  bool HasFlag(uint32_t any_of) const {
    return (flags.load(std::memory_order_relaxed) & any_of) != 0;
  }
  // Both return whether the value changed.
  bool SetFlag(HealthFlag flag) {
    return (flags.fetch_or(flag, std::memory_order_relaxed) & flag) == 0;
  }
  bool ClearFlag(HealthFlag flag) {
    return (flags.fetch_and(~uint32_t{flag}, std::memory_order_relaxed) & flag) != 0;
  }
};

// A resolved address in the kernel's form, in as few bytes as its family needs
// (a sockaddr_storage per host would be the largest part of it).
class SocketAddress {
 public:
  // "ip" (v4 or v6, no brackets needed) and a port.
  static absl::StatusOr<SocketAddress> Ip(absl::string_view ip, uint16_t port);
  // A Unix socket's path; a leading '@' means the abstract name space.
  static absl::StatusOr<SocketAddress> Pipe(absl::string_view path);
  // From what getaddrinfo, accept or c-ares gave.
  static absl::StatusOr<SocketAddress> FromSockaddr(const sockaddr* address, socklen_t length);

  SocketAddress(SocketAddress&&) = default;
  SocketAddress& operator=(SocketAddress&&) = default;
  SocketAddress(const SocketAddress& other) { *this = other; }
  SocketAddress& operator=(const SocketAddress& other);

  const sockaddr* get() const;
  socklen_t length() const { return length_; }
  int family() const { return get()->sa_family; }
  // "1.2.3.4:80", "[::1]:80", or the pipe's path: as Envoy prints it, which is
  // also what ring hash and maglev hash.
  std::string ToString() const;
  // 0 for pipes.
  uint16_t port() const;

 private:
  SocketAddress() = default;

  union {
    sockaddr_in v4;
    sockaddr_in6 v6;
  } ip_ = {};
  std::unique_ptr<sockaddr_un> pipe_;
  socklen_t length_ = 0;
};

struct Locality {
  std::string region;
  std::string zone;
  std::string sub_zone;

  bool operator==(const Locality&) const = default;
  auto operator<=>(const Locality&) const = default;
  bool empty() const { return region.empty() && zone.empty() && sub_zone.empty(); }
};

// Where and how this endpoint is probed, where that differs from its address
// (EDS `health_check_config`).
struct HealthCheckTarget {
  std::unique_ptr<const SocketAddress> address;  // null: the host's own
  std::string hostname;                          // empty: the check's own setting
  bool disabled = false;                         // never probed, always counted as passing
};

// What one configuration says of an endpoint, besides its address. Const; xds/
// shares one object between updates (and hosts) while nothing changed in it.
// May be read by every loop.
struct HostAttributes {
  std::string hostname;
  // What ring hash and maglev hash instead of the address (metadata `envoy.lb`
  // / `hash_key`); empty = the address.
  std::string hash_key;
  // Metadata `envoy.lb`, by key: what subsets are made of.
  std::vector<Label> labels;
  // The endpoint's metadata, a type that xds/ owns and lb/ never looks into.
  // Null when there is none.
  std::shared_ptr<const void> metadata;
  // Null: probed at its own address.
  std::shared_ptr<const HealthCheckTarget> health_check;
  // Further addresses of the same endpoint, tried in turn while connecting
  // (happy eyeballs).
  std::vector<SocketAddress> additional_addresses;
  bool canary = false;
};

// Identity: one address. Created and destroyed on main, shared by all.
class Host {
 public:
  explicit Host(SocketAddress address);

  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  // Hot: tallies, through a const host too, because a snapshot is const and its
  // hosts' tallies are not part of it.
  HostState& state() const { return state_; }
  const SocketAddress& address() const { return address_; }
  // Printed form of `address()`, kept because hashing, logs and statistics all
  // want it.
  const std::string& address_string() const { return address_string_; }

 private:
  mutable HostState state_;
  const SocketAddress address_;
  const std::string address_string_;
};

}  // namespace remora::lb

#endif  // REMORA_LB_HOST_H_
