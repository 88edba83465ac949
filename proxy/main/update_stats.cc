#include "proxy/main/update_stats.h"

#include <xxhash.h>

#include <memory>
#include <set>
#include <string>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "proxy/main/server_stats.h"
#include "proxy/upstream/cluster_stats.h"
#include "xds/http_connection_manager.h"

namespace remora::proxy {
namespace {

using Prefixes = std::set<std::string>;

void AddTablePrefixes(const xds::Listener& listener, const std::string& table, Prefixes* out) {
  const auto add = [&](const xds::FilterChain& chain) {
    for (const xds::NetworkFilter& filter : chain.filters) {
      if (filter.http == nullptr || filter.http->rds_name != table) continue;
      out->insert(absl::StrCat("http.", filter.http->stat_prefix, ".rds.", table, "."));
    }
  };
  for (const auto& chain : listener.filter_chains) add(*chain);
  if (listener.default_filter_chain != nullptr) add(*listener.default_filter_chain);
}

// Where an event counts. Endpoints and routes belong to whoever refers to them.
Prefixes PrefixesOf(const xds::UpdateEvent& event, const xds::Catalog& catalog) {
  Prefixes out;
  switch (event.resource) {
    case xds::ResourceKind::kCluster:
      return {"cluster_manager.cds."};
    case xds::ResourceKind::kListener:
      return {"listener_manager.lds."};
    case xds::ResourceKind::kSecret:
      return {absl::StrCat("sds.", event.name, ".")};
    case xds::ResourceKind::kEndpoints:
      for (const auto& user : catalog.UsersOf(event.resource, event.name)) {
        const auto& cluster = std::get<std::shared_ptr<const xds::Cluster>>(user->value);
        out.insert(absl::StrCat("cluster.", cluster->stat_name(), "."));
      }
      return out;
    case xds::ResourceKind::kRouteTable:
      break;
  }
  for (const auto& user : catalog.UsersOf(event.resource, event.name)) {
    AddTablePrefixes(*std::get<std::shared_ptr<const xds::Listener>>(user->value), event.name,
                     &out);
  }
  return out;
}

// A cluster's own statistics hold most of what EDS counts.
void CountEndpoints(xds::UpdateEvent::Kind kind, const StatScope<ClusterStat>& scope) {
  if (kind == xds::UpdateEvent::Kind::kAttempt) scope.Add(ClusterStat::kUpdateAttempt);
  if (kind == xds::UpdateEvent::Kind::kSuccess) scope.Add(ClusterStat::kUpdateSuccess);
  if (kind == xds::UpdateEvent::Kind::kFailure) scope.Add(ClusterStat::kUpdateFailure);
}

void CountIn(xds::UpdateEvent::Kind kind, const std::string& version,
             const StatScope<UpdateStat>& scope) {
  switch (kind) {
    case xds::UpdateEvent::Kind::kAttempt:
      scope.Add(UpdateStat::kAttempt);
      break;
    case xds::UpdateEvent::Kind::kSuccess:
      scope.Add(UpdateStat::kSuccess);
      scope.Add(UpdateStat::kConfigReload);
      scope.Set(UpdateStat::kUpdateTime, static_cast<uint64_t>(absl::ToUnixMillis(absl::Now())));
      scope.Set(UpdateStat::kVersion,
                version.empty() ? 0 : XXH64(version.data(), version.size(), 0));
      break;
    case xds::UpdateEvent::Kind::kRejected:
      scope.Add(UpdateStat::kRejected);
      break;
    case xds::UpdateEvent::Kind::kFailure:
      scope.Add(UpdateStat::kFailure);
      break;
    case xds::UpdateEvent::Kind::kFetchTimeout:
      scope.Add(UpdateStat::kInitFetchTimeout);
      break;
    case xds::UpdateEvent::Kind::kWarning:
      break;
  }
}

}  // namespace

void CountUpdate(const xds::UpdateEvent& event, const xds::Catalog& catalog, StatStore& stats) {
  const bool endpoints = event.resource == xds::ResourceKind::kEndpoints;
  for (const std::string& prefix : PrefixesOf(event, catalog)) {
    if (event.kind == xds::UpdateEvent::Kind::kSuccess) {
      stats.SetText(prefix + "version_text", event.version);
    }
    if (endpoints) {
      CountEndpoints(event.kind,
                     stats.MainScope<ClusterStat>(stats.Register(prefix, ClusterStatSchema())));
      const auto extra =
          stats.MainScope<EndpointUpdateStat>(stats.Register(prefix, EndpointUpdateStatSchema()));
      if (event.kind == xds::UpdateEvent::Kind::kRejected) extra.Add(EndpointUpdateStat::kRejected);
      if (event.kind == xds::UpdateEvent::Kind::kFetchTimeout)
        extra.Add(EndpointUpdateStat::kInitFetchTimeout);
      continue;
    }
    CountIn(event.kind, event.version,
            stats.MainScope<UpdateStat>(stats.Register(prefix, UpdateStatSchema())));
  }
}

}  // namespace remora::proxy
