#include "proxy/upstream/cluster.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "proxy/net/tls_stats.h"
#include "proxy/upstream/codec_stats.h"

namespace remora::proxy {
namespace {

using health::Resource;

// How many hosts were given each of the cluster's transports:
// "cluster.NAME.MATCH.total_match_count".
enum class MatchStat : uint16_t { kTotal };
constexpr StatDef kMatchStats[] = {{"total_match_count", StatKind::kCounter}};

std::string PrefixOf(const xds::Cluster& config) {
  // A colon would be read as the end of a name by statistics sinks.
  return absl::StrCat("cluster.", absl::StrReplaceAll(config.stat_name(), {{":", "_"}}), ".");
}

// Counts the transports of the hosts that `previous` did not have.
void CountMatches(const Cluster& cluster, const Cluster* previous, StatStore& stats) {
  const std::string prefix = PrefixOf(*cluster.config);
  const auto scope_of = [&](absl::string_view name) {
    return stats.MainScope<MatchStat>(stats.Register(absl::StrCat(prefix, name, "."), kMatchStats));
  };
  std::vector<StatScope<MatchStat>> scopes;
  for (const xds::TransportMatch& match : cluster.config->transport_matches) {
    scopes.push_back(scope_of(match.name));
  }
  scopes.push_back(scope_of("default"));
  for (const lb::HostEntry& entry : cluster.policy->hosts().table()->entries()) {
    if (previous != nullptr && previous->members->contains(entry.host.get())) continue;
    const ClusterTransport& chosen = cluster.TransportFor(entry);
    const size_t at = &chosen == &cluster.transport
                          ? scopes.size() - 1
                          : static_cast<size_t>(&chosen - cluster.matched_transports.data());
    scopes[at].Add(MatchStat::kTotal);
  }
}

std::shared_ptr<ClusterShared> MakeShared(const xds::Cluster& config, StatStore& stats) {
  auto shared = std::make_shared<ClusterShared>(config);
  const std::string prefix = PrefixOf(config);
  shared->stats = stats.Register(prefix, ClusterStatSchema());
  shared->internal = stats.Register(absl::StrCat(prefix, "internal."), AnswerStatSchema());
  shared->external = stats.Register(absl::StrCat(prefix, "external."), AnswerStatSchema());
  shared->canary = stats.Register(absl::StrCat(prefix, "canary."), AnswerStatSchema());
  shared->retry = stats.Register(absl::StrCat(prefix, "retry."), AnswerStatSchema());
  shared->filters = stats.Register(prefix, FilterCountSchema());
  shared->http2 = stats.Register(absl::StrCat(prefix, "http2."), Http2StatSchema(), true);
  shared->http1 = stats.Register(absl::StrCat(prefix, "http1."), Http1StatSchema(), true);
  shared->breakers_default = stats.Register(absl::StrCat(prefix, "circuit_breakers.default."),
                                            BreakerStatSchema(config.track_remaining_default));
  shared->breakers_high = stats.Register(absl::StrCat(prefix, "circuit_breakers.high."),
                                         BreakerStatSchema(config.track_remaining_high));
  const auto is_tls = [](const xds::UpstreamTransport& transport) {
    return transport.kind == xds::UpstreamTransport::Kind::kTls;
  };
  const bool tls = is_tls(config.transport) ||
                   std::any_of(config.transport_matches.begin(), config.transport_matches.end(),
                               [&](const auto& match) { return is_tls(match.transport); });
  if (tls) shared->tls = RegisterTlsStats(stats, prefix);
  return shared;
}

absl::Status FillTransport(const xds::UpstreamTransport& config, const ClusterInput& input,
                           ClusterTransport* out) {
  out->config = &config;
  if (config.kind != xds::UpstreamTransport::Kind::kTls) return absl::OkStatus();
  if (!input.tls) return absl::FailedPreconditionError("no source of TLS contexts");
  auto context = input.tls(*config.tls);
  if (!context.ok()) return context.status();
  out->tls = *std::move(context);
  return absl::OkStatus();
}

std::shared_ptr<const absl::flat_hash_set<const lb::Host*>> MembersOf(const lb::HostSet& hosts) {
  auto members = std::make_shared<absl::flat_hash_set<const lb::Host*>>();
  members->reserve(hosts.size());
  for (const lb::HostEntry& entry : hosts.table()->entries()) members->insert(entry.host.get());
  return members;
}

// The policy of the previous state serves on when nothing it was made of has changed.
bool KeepsPolicy(const ClusterInput& input) {
  return input.previous != nullptr && input.local_hosts == input.previous->local_hosts &&
         input.previous->config == input.config &&
         &input.previous->policy->hosts() == input.hosts.get();
}

void SetBreakerGauges(health::Breakers& breakers, const StatScope<BreakerStat>& scope,
                      bool track_remaining, bool has_budget) {
  // A limit of zero is never reached: nothing counts up to it.
  const auto open = [&](Resource resource) {
    return breakers.count(resource) != 0 && breakers.IsOpen(resource);
  };
  scope.Set(BreakerStat::kCxOpen, open(Resource::kConnections));
  scope.Set(BreakerStat::kCxPoolOpen, open(Resource::kConnectionPools));
  scope.Set(BreakerStat::kRqOpen, open(Resource::kRequests));
  scope.Set(BreakerStat::kRqPendingOpen, open(Resource::kPending));
  scope.Set(BreakerStat::kRqRetryOpen, open(Resource::kRetries));
  if (!track_remaining) return;
  const auto remaining = [&](Resource resource) -> uint64_t {
    // Pools are not limited unless told so, and that limit shows in 64 bits.
    return breakers.limit(resource) == UINT32_MAX && resource == Resource::kConnectionPools
               ? UINT64_MAX - breakers.count(resource)
               : breakers.remaining(resource);
  };
  scope.Set(BreakerStat::kRemainingCx, remaining(Resource::kConnections));
  scope.Set(BreakerStat::kRemainingCxPools, remaining(Resource::kConnectionPools));
  scope.Set(BreakerStat::kRemainingPending, remaining(Resource::kPending));
  scope.Set(BreakerStat::kRemainingRetries, has_budget ? 0 : remaining(Resource::kRetries));
  scope.Set(BreakerStat::kRemainingRq, remaining(Resource::kRequests));
}

}  // namespace

const ClusterTransport& Cluster::TransportFor(const lb::HostEntry& entry) const {
  return TransportFor(static_cast<const Metadata*>(entry.attributes->metadata.get()));
}

const ClusterTransport& Cluster::TransportFor(const Metadata* metadata) const {
  if (matched_transports.empty()) return transport;
  const xds::UpstreamTransport& chosen = config->TransportFor(metadata);
  for (const ClusterTransport& match : matched_transports) {
    if (match.config == &chosen) return match;
  }
  return transport;
}

absl::StatusOr<std::shared_ptr<const Cluster>> BuildCluster(ClusterInput input, StatStore& stats) {
  auto cluster = std::make_shared<Cluster>();
  const xds::Cluster& config = *input.config;
  cluster->config = input.config;

  if (KeepsPolicy(input)) {
    cluster->policy = input.previous->policy;
  } else {
    auto policy = lb::MakePolicy(config.policy, input.hosts, input.local_hosts);
    if (!policy.ok()) return policy.status();
    cluster->policy = *std::move(policy);
  }
  cluster->hosts = input.hosts;
  cluster->local_hosts = input.local_hosts;
  const bool same_hosts =
      input.previous != nullptr && input.previous->policy->hosts().table() == input.hosts->table();
  cluster->members = same_hosts ? input.previous->members : MembersOf(*input.hosts);

  absl::Status status = FillTransport(config.transport, input, &cluster->transport);
  if (!status.ok()) return status;
  for (const xds::TransportMatch& match : config.transport_matches) {
    ClusterTransport transport;
    status = FillTransport(match.transport, input, &transport);
    if (!status.ok()) return status;
    cluster->matched_transports.push_back(std::move(transport));
  }

  if (!same_hosts) CountMatches(*cluster, input.previous.get(), stats);
  cluster->drop_overload = std::move(input.drop_overload);
  cluster->default_bind = std::move(input.default_bind);
  cluster->has_outlier = config.outlier.has_value();
  if (cluster->has_outlier) cluster->outlier = config.outlier->thresholds;

  if (input.previous != nullptr) {
    cluster->shared = input.previous->shared;
    cluster->shared->breakers.default_priority.SetLimits(config.default_breaker);
    cluster->shared->breakers.high_priority.SetLimits(config.high_breaker);
  } else {
    cluster->shared = MakeShared(config, stats);
  }
  return cluster;
}

const StatBlock* RegisterClusterStats(const xds::Cluster& config, StatStore& stats) {
  return stats.Register(PrefixOf(config), ClusterStatSchema());
}

void PublishMembership(const Cluster& cluster, const Cluster* previous, StatStore& stats) {
  const auto scope = stats.MainScope<ClusterStat>(cluster.shared->stats);
  const lb::HostSet& hosts = cluster.policy->hosts();
  scope.Set(ClusterStat::kMembershipTotal, hosts.size());
  scope.Set(ClusterStat::kMembershipHealthy, hosts.healthy_count());
  scope.Set(ClusterStat::kMembershipDegraded, hosts.degraded_count());
  scope.Set(ClusterStat::kMembershipExcluded, hosts.excluded_count());
  const bool changed =
      previous == nullptr ? hosts.size() != 0 : previous->policy->hosts().table() != hosts.table();
  if (changed) scope.Add(ClusterStat::kMembershipChange);
}

void RefreshBreakerGauges(const Cluster& cluster, StatStore& stats) {
  ClusterShared& shared = *cluster.shared;
  SetBreakerGauges(shared.breakers.default_priority,
                   stats.MainScope<BreakerStat>(shared.breakers_default),
                   cluster.config->track_remaining_default,
                   cluster.config->default_breaker.retry_budget_percent >= 0);
  SetBreakerGauges(
      shared.breakers.high_priority, stats.MainScope<BreakerStat>(shared.breakers_high),
      cluster.config->track_remaining_high, cluster.config->high_breaker.retry_budget_percent >= 0);
}

}  // namespace remora::proxy
