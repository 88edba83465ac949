// Plug point of lb/: choosing a host for a request.
//
// A `Policy` is made on main (or the offload thread) from a configuration and a
// `HostSet`; it is const, holds whatever is costly to build (rings, tables,
// priority loads) and is shared by all workers. A `Picker` belongs to one
// worker, holds what changes with each pick (cursors, queues) and never
// allocates or blocks while picking. When a snapshot brings a new policy, its
// picker may continue where the old one was.
//
// Main: `auto policy = MakePolicy(config, host_set, nullptr)`. Worker, when the
// snapshot is installed: `picker = (*policy)->MakePicker(old_picker, seed, now)`;
// per request: `PickContext ctx(random, now)`, then `picker->Pick(ctx)`.

#ifndef REMORA_LB_POLICY_H_
#define REMORA_LB_POLICY_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <variant>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "lb/clock.h"
#include "lb/criteria.h"
#include "lb/host.h"
#include "lb/host_set.h"
#include "lb/priority.h"
#include "lb/random_source.h"
#include "lb/subset.h"

namespace remora::lb {

// Says which hosts a retry does not want (tried before, wrong metadata, ...). A
// null `rejects` accepts all.
struct HostPredicate {
  bool (*rejects)(const void* arg, const HostEntry& entry) = nullptr;
  const void* arg = nullptr;

  bool Rejects(const HostEntry& entry) const { return rejects != nullptr && rejects(arg, entry); }
};

// How a pick (or, where said, a policy) came about, for the cluster's `lb_*` statistics.
enum PickNote : uint32_t {
  kNoteHealthyPanic = 1u << 0,            // lb_healthy_panic
  kNoteZoneRoutingAllDirectly = 1u << 1,  // lb_zone_routing_all_directly
  kNoteZoneRoutingSampled = 1u << 2,      // lb_zone_routing_sampled
  kNoteZoneRoutingCrossZone = 1u << 3,    // lb_zone_routing_cross_zone
  kNoteZoneNoCapacityLeft = 1u << 4,      // lb_zone_no_capacity_left
  kNoteLocalClusterNotOk = 1u << 5,       // lb_local_cluster_not_ok; of a policy too
  kNoteZoneClusterTooSmall = 1u << 6,     // lb_zone_cluster_too_small; of a policy only
  kNoteSubsetSelected = 1u << 7,          // lb_subsets_selected
  kNoteSubsetFallback = 1u << 8,          // lb_subsets_fallback
  kNoteSubsetFallbackPanic = 1u << 9,     // lb_subsets_fallback_panic
};

// What a request tells the picker, and (`notes`) the picker about the pick.
// Lives on the caller's stack for one pick.
struct PickContext {
  PickContext(RandomSource& random_source, TimePoint time) : random(random_source), now(time) {}

  RandomSource& random;
  TimePoint now;  // of this turn of the loop; slow start only
  // From the route's hash policy (hash_key.h). Without one, ring hash and
  // maglev pick at random.
  uint64_t hash = 0;
  bool has_hash = false;
  // Retries: hosts not wanted, and how often to pick again because of it. The
  // last pick stands even if it is rejected.
  HostPredicate predicate;
  uint32_t max_reselections = 0;
  // Retries: loads that replace the policy's own (priorities already tried
  // masked out). Size = number of priorities.
  const PriorityLoad* priority_load = nullptr;
  // Requests active on the whole cluster, for bounded-load hashing. Null:
  // unbounded.
  const std::atomic<uint32_t>* cluster_rq_active = nullptr;
  // The labels asked for, where the cluster has subsets. Null: none.
  const Criteria* criteria = nullptr;

  uint32_t notes = 0;  // PickNote bits, only ever set
};

// A host and its entry. Valid as long as the picker's host set (the snapshot);
// whoever keeps a host longer copies `entry->host`.
struct Choice {
  Host* host = nullptr;
  const HostEntry* entry = nullptr;

  explicit operator bool() const { return host != nullptr; }
};

// Worker-local; must not outlive its Policy.
class Picker {
 public:
  virtual ~Picker() = default;
  // Nothing when no host may be used. Does not touch tallies: whoever sends the
  // request does.
  virtual Choice Pick(PickContext& ctx) = 0;
};

// What a policy says of itself, once it is made.
struct PolicyFigures {
  // Ring hash and maglev, of the last priority that has a table: `ring_hash_lb.size`,
  // `*_lb.min_*_per_host`, `*_lb.max_*_per_host`. Zero for others.
  uint64_t table_size = 0;
  uint64_t min_per_host = 0;
  uint64_t max_per_host = 0;
  uint64_t subsets = 0;                 // how many there are
  uint64_t single_host_duplicates = 0;  // lb_subsets_single_host_per_subset_duplicate
  uint32_t notes = 0;                   // PickNote bits
};

class Policy {
 public:
  virtual ~Policy() = default;
  // On a worker. `predecessor` is its picker of the same cluster in the
  // previous snapshot, still alive, of whatever policy, or null: a picker of
  // the same kind hands over its cursor, so that an update does not restart the
  // rotation. `seed` is the worker's own, the same for each picker of this
  // cluster. `now` matters to slow start only, which also stamps healthy hosts
  // that have no `healthy_since_ns` yet.
  virtual std::unique_ptr<Picker> MakePicker(const Picker* predecessor, uint64_t seed,
                                             TimePoint now) const = 0;
  virtual const HostSet& hosts() const = 0;
  virtual const PriorityState& priorities() const = 0;
  virtual PolicyFigures figures() const = 0;
};

// New hosts get a growing part of their weight: max(min_weight_percent / 100,
// (age / window) ^ (1 / aggression)).
struct SlowStartConfig {
  Duration window{0};  // 0: off
  double aggression = 1.0;
  double min_weight_percent = 10.0;
};

struct RoundRobinConfig {
  SlowStartConfig slow_start;
};

struct LeastRequestConfig {
  uint32_t choice_count = 2;         // >= 2
  double active_request_bias = 1.0;  // >= 0
  bool full_scan = false;
  SlowStartConfig slow_start;
};

struct RandomConfig {};

enum class HashFunction : uint8_t { kXxHash64, kMurmurHash2 };

// Common to the two policies that hash.
struct HashingConfig {
  bool use_hostname_for_hashing = false;
  // Percent of the mean load a host may have before others are tried; 0:
  // unbounded, else >= 100.
  uint32_t hash_balance_factor = 0;
};

struct RingHashConfig {
  uint64_t minimum_ring_size = 1024;
  uint64_t maximum_ring_size = 8 * 1024 * 1024;
  HashFunction hash_function = HashFunction::kXxHash64;
  HashingConfig hashing;
};

struct MaglevConfig {
  uint64_t table_size = 65537;  // prime, <= 5,000,011
  HashingConfig hashing;
};

// Prefers the proxy's own zone as far as upstream and local capacity allow.
// Needs the local cluster's host set.
struct ZoneAwareConfig {
  double routing_enabled_percent = 100.0;
  uint64_t min_cluster_size = 6;
  bool fail_traffic_on_panic = false;
  // Counts hosts by weight instead of number.
  bool by_host_weight = false;
};

enum class LocalityMode : uint8_t { kIgnore, kWeighted, kZoneAware };

// Everything a cluster says about balancing.
struct PolicyConfig {
  std::variant<RoundRobinConfig, LeastRequestConfig, RandomConfig, RingHashConfig, MaglevConfig>
      algorithm;
  double panic_threshold = 50.0;  // percent of healthy hosts; 0: never
  // Zone-aware unless told otherwise, as Envoy: without a local cluster that comes to nothing.
  LocalityMode locality_mode = LocalityMode::kZoneAware;
  ZoneAwareConfig zone_aware = {};
  // Set: hosts are parted by label, and all of the above holds within each part.
  std::shared_ptr<const SubsetConfig> subset = nullptr;
};

// One row per policy.
struct PolicyKind {
  absl::string_view name;         // extension, "envoy.load_balancing_policies.round_robin"
  absl::string_view legacy_enum;  // Cluster.LbPolicy, "ROUND_ROBIN"
  size_t config_index;            // alternative of PolicyConfig::algorithm
  std::shared_ptr<const Policy> (*make)(const PolicyConfig& config,
                                        std::shared_ptr<const HostSet> hosts,
                                        std::shared_ptr<const HostSet> local_hosts);
};
absl::Span<const PolicyKind> PolicyKinds();

// Errors name the setting that cannot be (a maglev table that is not prime,
// ...). `local_hosts` is the local cluster's set, used by zone-aware routing
// only, or null.
absl::StatusOr<std::shared_ptr<const Policy>> MakePolicy(
    const PolicyConfig& config, std::shared_ptr<const HostSet> hosts,
    std::shared_ptr<const HostSet> local_hosts);

}  // namespace remora::lb

#endif  // REMORA_LB_POLICY_H_
