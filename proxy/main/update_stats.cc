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
#include "xds/scoped_route.h"

namespace remora::proxy {
namespace {

using Kind = xds::UpdateEvent::Kind;
using Prefixes = std::set<std::string>;

template <typename Fn>
void ForEachHttp(const xds::Listener& listener, Fn&& fn) {
  const auto each = [&](const xds::FilterChain& chain) {
    for (const xds::NetworkFilter& filter : chain.filters) {
      if (filter.http != nullptr) fn(*filter.http);
    }
  };
  for (const auto& chain : listener.filter_chains) each(*chain);
  if (listener.default_filter_chain != nullptr) each(*listener.default_filter_chain);
}

// What a connection manager counts of a kind stands below its own prefix.
Prefixes HttpPrefixes(const xds::UpdateEvent& event, const xds::Catalog& catalog) {
  Prefixes out;
  for (const auto& user : catalog.UsersOf(event.resource, event.name)) {
    const auto* listener = std::get_if<std::shared_ptr<const xds::Listener>>(&user->value);
    if (listener == nullptr) continue;
    ForEachHttp(**listener, [&](const xds::HttpConnectionManager& http) {
      const std::string prefix = absl::StrCat("http.", http.stat_prefix, ".");
      const bool scoped = http.scoped != nullptr;
      switch (event.resource) {
        case xds::ResourceKind::kScopedRoute:
          if (scoped && http.scoped->dynamic())
            out.insert(absl::StrCat(prefix, "scoped_rds.", http.scoped->name, "."));
          break;
        case xds::ResourceKind::kVirtualHost:
          if (http.rds_name == event.name || scoped)
            out.insert(absl::StrCat(prefix, "vhds.", event.name, "."));
          break;
        default:
          if (http.rds_name == event.name || scoped)
            out.insert(absl::StrCat(prefix, "rds.", event.name, "."));
      }
    });
    // Several share one subscription, which counts for the first of them.
    if (!out.empty()) return {*out.begin()};
  }
  return out;
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
    case xds::ResourceKind::kRuntime:
      return {"runtime."};
    case xds::ResourceKind::kExtension:
      return {absl::StrCat("extension_config_discovery.http_filter.", event.name, ".")};
    case xds::ResourceKind::kRouteTable:
    case xds::ResourceKind::kScopedRoute:
    case xds::ResourceKind::kVirtualHost:
      break;
  }
  return HttpPrefixes(event, catalog);
}

uint64_t HashOf(const std::string& version) {
  return version.empty() ? 0 : XXH64(version.data(), version.size(), 0);
}

uint64_t NowMs() { return static_cast<uint64_t>(absl::ToUnixMillis(absl::Now())); }

// A cluster's own statistics hold most of what EDS counts.
void CountEndpoints(const xds::UpdateEvent& event, const std::string& prefix, StatStore& stats) {
  const auto own = stats.MainScope<ClusterStat>(stats.Register(prefix, ClusterStatSchema()));
  const auto extra =
      stats.MainScope<EndpointUpdateStat>(stats.Register(prefix, EndpointUpdateStatSchema()));
  switch (event.kind) {
    case Kind::kAttempt:
      own.Add(ClusterStat::kUpdateAttempt);
      break;
    case Kind::kSuccess:
      own.Add(ClusterStat::kUpdateSuccess);
      extra.Set(EndpointUpdateStat::kUpdateTime, NowMs());
      own.Set(ClusterStat::kVersion, HashOf(event.version));
      break;
    case Kind::kFailure:
      own.Add(ClusterStat::kUpdateFailure);
      break;
    case Kind::kEmpty:
      own.Add(ClusterStat::kUpdateEmpty);
      break;
    case Kind::kRejected:
      extra.Add(EndpointUpdateStat::kRejected);
      break;
    case Kind::kFetchTimeout:
      extra.Add(EndpointUpdateStat::kInitFetchTimeout);
      break;
    case Kind::kWarning:
      break;
  }
}

void CountCommon(const xds::UpdateEvent& event, const std::string& prefix, StatStore& stats) {
  const auto scope = stats.MainScope<UpdateStat>(stats.Register(prefix, UpdateStatSchema()));
  switch (event.kind) {
    case Kind::kAttempt:
      scope.Add(UpdateStat::kAttempt);
      break;
    case Kind::kSuccess:
      scope.Add(UpdateStat::kSuccess);
      scope.Set(UpdateStat::kUpdateTime, NowMs());
      scope.Set(UpdateStat::kVersion, HashOf(event.version));
      break;
    case Kind::kRejected:
      scope.Add(UpdateStat::kRejected);
      break;
    case Kind::kFailure:
      scope.Add(UpdateStat::kFailure);
      break;
    case Kind::kFetchTimeout:
      scope.Add(UpdateStat::kInitFetchTimeout);
      break;
    case Kind::kEmpty:
    case Kind::kWarning:
      break;
  }
}

void CountExtension(const xds::UpdateEvent& event, const std::string& prefix, StatStore& stats) {
  const auto scope = stats.MainScope<ExtensionStat>(stats.Register(prefix, ExtensionStatSchema()));
  if (event.kind == Kind::kSuccess && event.changed) scope.Add(ExtensionStat::kReloads);
  if (event.kind == Kind::kRejected || event.kind == Kind::kFailure)
    scope.Add(ExtensionStat::kFailures);
}

void CountScopes(const xds::Catalog& catalog, const std::string& prefix, StatStore& stats) {
  const auto scope = stats.MainScope<ScopeStat>(stats.Register(prefix, ScopeStatSchema()));
  uint64_t all = 0;
  uint64_t on_demand = 0;
  for (const auto& status : catalog.Statuses(xds::ResourceKind::kScopedRoute)) {
    if (status.resource == nullptr) continue;
    ++all;
    on_demand +=
        std::get<std::shared_ptr<const xds::ScopedRoute>>(status.resource->value)->on_demand;
  }
  scope.Set(ScopeStat::kAll, all);
  scope.Set(ScopeStat::kActive, all - on_demand);
  scope.Set(ScopeStat::kOnDemand, on_demand);
}

void CountReload(const xds::UpdateEvent& event, const std::string& prefix, StatStore& stats) {
  const auto scope = stats.MainScope<ReloadStat>(stats.Register(prefix, ReloadStatSchema()));
  if (event.kind != Kind::kSuccess || !event.changed) return;
  scope.Add(ReloadStat::kReloads);
  scope.Set(ReloadStat::kTimeMs, NowMs());
}

// What the kind counts besides.
void CountOfKind(const xds::UpdateEvent& event, const xds::Catalog& catalog,
                 const std::string& prefix, StatStore& stats) {
  switch (event.resource) {
    case xds::ResourceKind::kScopedRoute:
      CountScopes(catalog, prefix, stats);
      [[fallthrough]];
    case xds::ResourceKind::kRouteTable:
    case xds::ResourceKind::kVirtualHost: {
      const auto scope =
          stats.MainScope<EmptyUpdateStat>(stats.Register(prefix, EmptyUpdateStatSchema()));
      if (event.kind == Kind::kEmpty) scope.Add(EmptyUpdateStat::kEmpty);
      CountReload(event, prefix, stats);
      break;
    }
    case xds::ResourceKind::kCluster:
      CountReload(event, prefix, stats);
      break;
    case xds::ResourceKind::kExtension:
      CountExtension(event, prefix, stats);
      break;
    case xds::ResourceKind::kSecret:
      stats.Register(prefix, SecretUpdateStatSchema());
      break;
    default:
      break;
  }
}

}  // namespace

void CountUpdate(const xds::UpdateEvent& event, const xds::Catalog& catalog, StatStore& stats) {
  const bool endpoints = event.resource == xds::ResourceKind::kEndpoints;
  for (const std::string& prefix : PrefixesOf(event, catalog)) {
    // Shown from the first attempt on.
    static auto* const named = new Prefixes();
    if (named->insert(prefix).second || event.kind == Kind::kSuccess) {
      stats.SetText(prefix + "version_text",
                    event.kind == Kind::kSuccess ? event.version : std::string());
    }
    if (endpoints) {
      CountEndpoints(event, prefix, stats);
      continue;
    }
    CountCommon(event, prefix, stats);
    CountOfKind(event, catalog, prefix, stats);
  }
}

}  // namespace remora::proxy
