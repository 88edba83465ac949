// The table of policies: one row each. A new policy is a file with its maker
// (makers.h), an alternative of PolicyConfig::algorithm and a row here.

#include <cstdint>
#include <memory>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "lb/makers.h"
#include "lb/policy.h"

namespace remora::lb {

namespace {

template <typename Config, size_t i = 0>
constexpr size_t IndexOf() {
  using Algorithm = decltype(PolicyConfig::algorithm);
  if constexpr (std::is_same_v<std::variant_alternative_t<i, Algorithm>, Config>) {
    return i;
  } else {
    return IndexOf<Config, i + 1>();
  }
}

constexpr PolicyKind kKinds[] = {
    {"envoy.load_balancing_policies.round_robin", "ROUND_ROBIN", IndexOf<RoundRobinConfig>(),
     &MakeRoundRobin},
    {"envoy.load_balancing_policies.least_request", "LEAST_REQUEST", IndexOf<LeastRequestConfig>(),
     &MakeLeastRequest},
    {"envoy.load_balancing_policies.random", "RANDOM", IndexOf<RandomConfig>(), &MakeRandom},
    {"envoy.load_balancing_policies.ring_hash", "RING_HASH", IndexOf<RingHashConfig>(),
     &MakeRingHash},
    {"envoy.load_balancing_policies.maglev", "MAGLEV", IndexOf<MaglevConfig>(), &MakeMaglev},
};

bool IsPrime(uint64_t number) {
  if (number < 2) return false;
  for (uint64_t divisor = 2; divisor * divisor <= number; ++divisor) {
    if (number % divisor == 0) return false;
  }
  return true;
}

absl::Status CheckHashing(const HashingConfig& hashing) {
  if (hashing.hash_balance_factor == 0 || hashing.hash_balance_factor >= 100) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("hash_balance_factor ", hashing.hash_balance_factor, " is below 100"));
}

struct Check {
  absl::Status operator()(const RoundRobinConfig&) const { return absl::OkStatus(); }
  absl::Status operator()(const LeastRequestConfig& config) const {
    if (config.choice_count >= 2 && config.active_request_bias >= 0) {
      return absl::OkStatus();
    }
    return absl::InvalidArgumentError(
        config.choice_count < 2
            ? absl::StrCat("choice_count ", config.choice_count, " is below 2")
            : absl::StrCat("active_request_bias ", config.active_request_bias, " is negative"));
  }
  absl::Status operator()(const RandomConfig&) const { return absl::OkStatus(); }
  absl::Status operator()(const RingHashConfig& config) const {
    constexpr uint64_t kMost = 8 * 1024 * 1024;
    if (config.minimum_ring_size > config.maximum_ring_size) {
      return absl::InvalidArgumentError(
          absl::StrCat("ring hash: minimum_ring_size (", config.minimum_ring_size,
                       ") > maximum_ring_size (", config.maximum_ring_size, ")"));
    }
    if (config.maximum_ring_size > kMost) {
      return absl::InvalidArgumentError(
          absl::StrCat("ring hash: maximum_ring_size (", config.maximum_ring_size, ") > ", kMost));
    }
    return CheckHashing(config.hashing);
  }
  absl::Status operator()(const MaglevConfig& config) const {
    constexpr uint64_t kMost = 5'000'011;
    if (config.table_size > kMost || config.table_size < 2) {
      return absl::InvalidArgumentError(
          absl::StrCat("maglev: table_size (", config.table_size, ") must be 2 to ", kMost));
    }
    if (!IsPrime(config.table_size)) {
      return absl::InvalidArgumentError("The table size of maglev must be prime number");
    }
    return CheckHashing(config.hashing);
  }
};

}  // namespace

absl::Span<const PolicyKind> PolicyKinds() { return kKinds; }

absl::StatusOr<std::shared_ptr<const Policy>> MakePolicy(
    const PolicyConfig& config, std::shared_ptr<const HostSet> hosts,
    std::shared_ptr<const HostSet> local_hosts) {
  if (absl::Status valid = std::visit(Check(), config.algorithm); !valid.ok()) {
    return valid;
  }
  if (config.subset != nullptr) {
    if (absl::Status valid = CheckSubsets(*config.subset); !valid.ok()) return valid;
    return MakeSubset(config, std::move(hosts), std::move(local_hosts));
  }
  for (const PolicyKind& kind : kKinds) {
    if (kind.config_index == config.algorithm.index()) {
      return kind.make(config, std::move(hosts), std::move(local_hosts));
    }
  }
  return absl::InternalError("load balancing policy without a maker");
}

}  // namespace remora::lb
