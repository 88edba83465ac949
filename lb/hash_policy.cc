#include "lb/hash_policy.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace remora::lb {

namespace {

void Append(const HostSet& hosts, const HostList& list, double part, NormalizedHosts* normalized) {
  const double sum = static_cast<double>(list.total_weight());
  for (size_t i = 0; i < list.size(); ++i) {
    const uint32_t number = list.At(i);
    const double weight = hosts.weight(number) * part / sum;
    normalized->hosts.push_back({number, weight});
    normalized->min_weight = std::min(normalized->min_weight, weight);
    normalized->max_weight = std::max(normalized->max_weight, weight);
  }
}

}  // namespace

NormalizedHosts Normalize(const HostSet& hosts, uint32_t priority, bool panic, LocalityMode mode) {
  const PriorityHosts& of = hosts.priorities()[priority];
  NormalizedHosts normalized;
  if (mode != LocalityMode::kWeighted) {
    Append(hosts, hosts.list(panic ? of.all : of.healthy), 1.0, &normalized);
    return normalized;
  }
  uint64_t sum = 0;
  for (const LocalityHosts& locality : of.localities) sum += locality.weight;
  if (sum == 0) return normalized;
  for (const LocalityHosts& locality : of.localities) {
    if (locality.weight == 0) continue;
    Append(hosts, hosts.list(panic ? locality.all : locality.healthy),
           static_cast<double>(locality.weight) / static_cast<double>(sum), &normalized);
  }
  return normalized;
}

absl::string_view TableKey(const HostEntry& entry, const HashingConfig& hashing) {
  if (!entry.attributes->hash_key.empty()) return entry.attributes->hash_key;
  if (hashing.use_hostname_for_hashing) return entry.attributes->hostname;
  return entry.host->address_string();
}

double LoadBound::Overload(const NormalizedHosts::Weighted& host, uint32_t cluster_active) const {
  const uint64_t total_slots = ((uint64_t{cluster_active} + 1) * factor_ + 99) / 100;
  const double slots = std::max(1.0, std::ceil(static_cast<double>(total_slots) * host.weight));
  return hosts_.host(host.number)->state().rq_active.load(std::memory_order_relaxed) / slots;
}

uint32_t LoadBound::Choose(const NormalizedHosts& normalized, uint32_t candidate, uint64_t hash,
                           uint32_t cluster_active) {
  const auto& hosts = normalized.hosts;
  // Hosts come in the order of their numbers, except by weighted locality.
  auto at =
      std::lower_bound(hosts.begin(), hosts.end(), candidate,
                       [](const auto& host, uint32_t number) { return host.number < number; });
  if (at == hosts.end() || at->number != candidate) {
    at = std::find_if(hosts.begin(), hosts.end(),
                      [&](const auto& host) { return host.number == candidate; });
  }
  double least = Overload(*at, cluster_active);
  if (least <= 1.0) return candidate;

  uint32_t best = candidate;
  const uint32_t count = static_cast<uint32_t>(hosts.size());
  order_.resize(count);
  std::iota(order_.begin(), order_.end(), 0);
  shuffle_.seed(static_cast<uint32_t>(hash));
  // The generator and the way to [0, bound) are part of what must agree.
  const auto below = [this](uint32_t bound) {
    const uint64_t bucket = (uint64_t{1} << 32) / bound;
    uint32_t value;
    do {
      value = static_cast<uint32_t>(shuffle_() / bucket);
    } while (value >= bound);
    return value;
  };
  for (uint32_t i = 0; i < count; ++i) {
    std::swap(order_[i], order_[i + below(count - i)]);
    const NormalizedHosts::Weighted& other = hosts[order_[i]];
    if (other.number == candidate) continue;
    const double overload = Overload(other, cluster_active);
    if (overload <= 1.0) return other.number;
    if (overload < least) {
      least = overload;
      best = other.number;
    }
  }
  return best;
}

}  // namespace remora::lb
