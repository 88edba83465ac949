// What the catalog and the runtime layers come to, put into force; see server.h.

#include <utility>

#include "proxy/base/log.h"
#include "proxy/main/server.h"
#include "proxy/stream/late_http_filter.h"
#include "proxy/stream/route_stats.h"
#include "xds/extension_config.h"
#include "xds/http_connection_manager.h"
#include "xds/scoped_route.h"

namespace remora::proxy {

void Server::ApplySnapshot() {
  snapshot_due_ = false;
  const std::shared_ptr<const xds::Snapshot> previous = std::move(snapshot_);
  snapshot_ = catalog_->TakeSnapshot();
  const bool secrets_changed = tls_->SetSecrets(snapshot_->secrets);
  if (secrets_changed || previous == nullptr) WatchSecretFiles();
  if (previous == nullptr || previous->clusters != snapshot_->clusters || secrets_changed) {
    clusters_->Apply(*snapshot_->clusters, secrets_changed);
  }
  if (previous == nullptr || previous->runtime != snapshot_->runtime) {
    layers_->SetLate(snapshot_->runtime);
    if (previous != nullptr) LoadRuntime();
  }
  const auto served = listeners_->served();
  const absl::Status status = listeners_->Apply(snapshot_->listeners, secrets_changed);
  if (previous == nullptr) initial_error_ = status;
  if (previous == nullptr || previous->routes != snapshot_->routes ||
      previous->scopes != snapshot_->scopes || previous->extensions != snapshot_->extensions ||
      served != listeners_->served()) {
    ApplyRoutes();
  }
}

void Server::ApplyRoutes() {
  auto routes = std::make_shared<RouteMap>();
  routes->tables.insert(snapshot_->routes->begin(), snapshot_->routes->end());
  routes->scopes = snapshot_->scopes;
  AddLateFilters(routes.get());
  for (const auto& [name, table] : routes->tables) RegisterRouteStats(*table, stats_);
  for (const auto& [key, scope] : *routes->scopes) {
    if (scope->table != nullptr) RegisterRouteStats(*scope->table, stats_);
  }
  const bool same = routes_ != nullptr && routes_->tables == routes->tables &&
                    routes_->scopes == routes->scopes && routes_->filters == routes->filters;
  if (!same) routes_ = std::move(routes);
}

// The filter under a key so far, if it was made of the same configuration.
std::shared_ptr<const LateFilter> Server::KnownLateFilter(
    const std::string& key, const std::shared_ptr<const xds::ExtensionConfig>& source) const {
  if (routes_ == nullptr) return nullptr;
  const auto held = routes_->filters.find(key);
  if (held == routes_->filters.end()) return nullptr;
  const bool same = static_cast<const LateHttpFilter&>(*held->second).made_of == source;
  return same ? held->second : nullptr;
}

// The filters whose configuration came by ECDS, for each connection manager that asks for them.
void Server::AddLateFilters(RouteMap* routes) {
  for (const auto& listener : listeners_->served()) {
    for (const auto& [config, chain] : listener->chains) {
      if (chain->http == nullptr) continue;
      for (const HttpService::Filter* filter : chain->http->LateFilters()) {
        const xds::ExtensionDiscovery& discovery = *filter->config->discovery;
        const auto came = snapshot_->extensions->find(discovery.name);
        const std::shared_ptr<const xds::ExtensionConfig> source =
            came == snapshot_->extensions->end() ? discovery.default_is : came->second;
        if (source == nullptr) continue;
        std::shared_ptr<const LateFilter>& slot = routes->filters[filter->late_key];
        if (slot != nullptr) continue;
        slot = KnownLateFilter(filter->late_key, source);
        if (slot != nullptr) continue;
        slot = LateHttpFilter::Make(*filter->config, source, chain->http->config().stat_prefix,
                                    stats_);
      }
    }
  }
}

void Server::LoadRuntime() {
  RuntimeLayers::Loaded loaded = layers_->Load();
  for (const std::string& error : loaded.errors) REMORA_LOG(kWarning, "runtime", error);
  runtime_stats_.Add(loaded.failed ? RuntimeStat::kLoadError : RuntimeStat::kLoadSuccess);
  runtime_stats_.Add(loaded.folders > 1 ? RuntimeStat::kOverrideDirExists
                                        : RuntimeStat::kOverrideDirNotExists);
  runtime_ = std::move(loaded.runtime);
  runtime_stats_.Set(RuntimeStat::kNumKeys, runtime_->size());
  runtime_stats_.Set(RuntimeStat::kNumLayers, runtime_->layers().size());
  runtime_stats_.Set(RuntimeStat::kAdminOverridesActive, loaded.overridden ? 1 : 0);
  http_->set_runtime(runtime_);
  PublishSoon();
}

absl::Status Server::OverrideRuntime(
    const std::vector<std::pair<std::string, std::string>>& values) {
  absl::Status status = layers_->Override(values);
  if (status.ok()) LoadRuntime();
  return status;
}

}  // namespace remora::proxy
