// Which names the accepted resources refer to.

#include <algorithm>
#include <utility>

#include "xds/catalog.h"
#include "xds/extension_config.h"
#include "xds/http_connection_manager.h"
#include "xds/late_virtual_host.h"
#include "xds/scoped_route.h"
#include "xds/tls.h"

namespace remora::xds {
namespace {

constexpr size_t Index(ResourceKind kind) { return static_cast<size_t>(kind); }

template <typename T>
const std::shared_ptr<const T>& As(const Resource& resource) {
  return std::get<std::shared_ptr<const T>>(resource.value);
}

bool SameKeys(const std::map<std::string, ConfigSource>& a,
              const std::map<std::string, ConfigSource>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const auto& x, const auto& y) { return x.first == y.first; });
}

}  // namespace

void Catalog::References::Add(ResourceKind kind, const std::string& name,
                              const ConfigSource& source) {
  sources[Index(kind)][name] = source;
  auto& list = users[Index(kind)][name];
  if (list.empty() || list.back() != user) list.push_back(user);
}

void Catalog::CollectCluster(const Cluster& cluster, References* out) {
  if (cluster.type == Cluster::Type::kEds) {
    out->Add(ResourceKind::kEndpoints, cluster.eds_service_name, cluster.eds_source);
  }
  std::vector<SecretRef> refs;
  if (cluster.transport.tls != nullptr) CollectSecretRefs(cluster.transport.tls->common, &refs);
  for (const TransportMatch& match : cluster.transport_matches) {
    if (match.transport.tls != nullptr) CollectSecretRefs(match.transport.tls->common, &refs);
  }
  for (const SecretRef& ref : refs) {
    if (ref.source) out->Add(ResourceKind::kSecret, ref.name, ref.source);
  }
}

std::set<std::string> Catalog::TablesOfScopes(const HttpConnectionManager& http) const {
  std::set<std::string> out;
  if (http.scoped == nullptr) return out;
  const auto add = [&out](const ScopedRoute& scope) {
    if (scope.table == nullptr && !scope.on_demand) out.insert(scope.route_name);
  };
  for (const auto& [key, scope] : http.scoped->inline_scopes) add(*scope);
  if (!http.scoped->dynamic()) return out;
  for (const auto& [name, entry] : entries(ResourceKind::kScopedRoute))
    add(*As<ScopedRoute>(*entry.resource));
  return out;
}

void Catalog::CollectListener(const Listener& listener, References* out) const {
  const auto collect_http = [&](const HttpConnectionManager& http) {
    if (!http.rds_name.empty()) out->Add(ResourceKind::kRouteTable, http.rds_name, http.rds_source);
    if (http.scoped != nullptr && http.scoped->dynamic())
      out->Add(ResourceKind::kScopedRoute, "", http.scoped->source);
    for (const std::string& table : TablesOfScopes(http))
      out->Add(ResourceKind::kRouteTable, table, http.scoped->rds_source);
    for (const HttpFilterConfig& filter : http.filters) {
      if (filter.discovery != nullptr)
        out->Add(ResourceKind::kExtension, filter.discovery->name, filter.discovery->source);
    }
  };
  const auto collect = [&](const FilterChain& chain) {
    for (const NetworkFilter& filter : chain.filters) {
      if (filter.http != nullptr) collect_http(*filter.http);
    }
    if (chain.tls == nullptr) return;
    std::vector<SecretRef> refs;
    CollectSecretRefs(chain.tls->common, &refs);
    if (chain.tls->ticket_keys_ref) refs.push_back(*chain.tls->ticket_keys_ref);
    for (const SecretRef& ref : refs) {
      if (ref.source) out->Add(ResourceKind::kSecret, ref.name, ref.source);
    }
  };
  for (const auto& chain : listener.filter_chains) collect(*chain);
  if (listener.default_filter_chain != nullptr) collect(*listener.default_filter_chain);
}

void Catalog::CollectLateHosts(References* out) const {
  for (const auto& [name, entry] : entries(ResourceKind::kRouteTable)) {
    const RouteTable& table = *As<RouteTable>(*entry.resource);
    const auto users = out->users[Index(ResourceKind::kRouteTable)].find(name);
    if (!table.vhds_source() || users == out->users[Index(ResourceKind::kRouteTable)].end())
      continue;
    out->sources[Index(ResourceKind::kVirtualHost)][name] = table.vhds_source();
    out->users[Index(ResourceKind::kVirtualHost)][name] = users->second;
  }
}

void Catalog::UpdateInterest() {
  References references;
  for (const Entries* list :
       {&std::as_const(*this).entries(ResourceKind::kCluster), &std::as_const(warming_clusters_)}) {
    for (const auto& [name, entry] : *list) {
      references.user = entry.resource;
      CollectCluster(*As<Cluster>(*entry.resource), &references);
    }
  }
  // The oldest first: who shares a resource counts where its first user does.
  std::vector<const Entry*> listeners;
  for (const Entries* list : {&std::as_const(*this).entries(ResourceKind::kListener),
                              &std::as_const(warming_listeners_)}) {
    for (const auto& [name, entry] : *list) listeners.push_back(&entry);
  }
  std::stable_sort(listeners.begin(), listeners.end(),
                   [](const Entry* a, const Entry* b) { return a->arrival < b->arrival; });
  for (const Entry* entry : listeners) {
    references.user = entry->resource;
    CollectListener(*As<Listener>(*entry->resource), &references);
  }
  CollectLateHosts(&references);
  for (const RuntimeLayerSource& layer : bootstrap_->runtime_layers) {
    if (layer.kind == RuntimeLayerSource::Kind::kRtds)
      references.sources[Index(ResourceKind::kRuntime)][layer.rtds_name] = layer.rtds_source;
  }
  users_ = std::move(references.users);
  for (ResourceKind kind : kReferredKinds) {
    const bool changed = !SameKeys(wanted_[Index(kind)], references.sources[Index(kind)]);
    wanted_[Index(kind)] = std::move(references.sources[Index(kind)]);
    if (changed && hooks_.on_interest) hooks_.on_interest(kind);
  }
  DropUnwanted();
}

const std::vector<std::shared_ptr<const Resource>>& Catalog::UsersOf(
    ResourceKind kind, const std::string& name) const {
  static const auto* const kNobody = new std::vector<std::shared_ptr<const Resource>>();
  const auto found = users_[Index(kind)].find(name);
  return found == users_[Index(kind)].end() ? *kNobody : found->second;
}

std::map<std::string, ConfigSource> Catalog::Wanted(ResourceKind kind) const {
  return wanted_[Index(kind)];
}

// Endpoints, routes and secrets that nobody refers to any longer are forgotten, so that a name that
// comes back is fetched anew.
void Catalog::DropUnwanted() {
  for (ResourceKind kind : kReferredKinds) {
    auto& held = entries(kind);
    const auto& wanted = wanted_[Index(kind)];
    for (auto it = held.begin(); it != held.end();) {
      if (it->second.is_static || Wants(*it->second.resource)) {
        ++it;
        continue;
      }
      it = held.erase(it);
      MarkDirty(kind);
    }
    auto& late = timed_out_[Index(kind)];
    for (auto it = late.begin(); it != late.end();)
      it = wanted.count(*it) > 0 ? std::next(it) : late.erase(it);
    auto& failed = failures_[Index(kind)];
    for (auto it = failed.begin(); it != failed.end();) {
      it = wanted.count(it->first) > 0 ? std::next(it) : failed.erase(it);
    }
  }
}

}  // namespace remora::xds
