// What the accepted resources come to: snapshots for workers, states for dumps.

#include <algorithm>
#include <utility>

#include "xds/catalog.h"
#include "xds/extension_config.h"
#include "xds/late_virtual_host.h"
#include "xds/runtime_layer.h"
#include "xds/scoped_route.h"

namespace remora::xds {
namespace {

constexpr size_t Index(ResourceKind kind) { return static_cast<size_t>(kind); }

template <typename T>
const std::shared_ptr<const T>& As(const Resource& resource) {
  return std::get<std::shared_ptr<const T>>(resource.value);
}

}  // namespace

template <typename T>
std::shared_ptr<const absl::flat_hash_map<std::string, std::shared_ptr<const T>>> Catalog::MapOf(
    ResourceKind kind) const {
  auto out = std::make_shared<absl::flat_hash_map<std::string, std::shared_ptr<const T>>>();
  for (const auto& [name, entry] : entries(kind)) out->emplace(name, As<T>(*entry.resource));
  return out;
}

// The virtual hosts that came for a table; those of `with` in place of what is held.
std::vector<const std::string*> Catalog::LateHosts(const std::string& table,
                                                   const Update* with) const {
  std::map<std::string, const std::string*> hosts;
  for (const auto& [name, entry] : entries(ResourceKind::kVirtualHost)) {
    if (TableOfVirtualHost(name) == table) hosts[name] = &OriginalOf(*entry.resource);
  }
  if (with != nullptr) {
    for (const Update::Item& item : with->items) {
      if (item.resource.ok() && TableOfVirtualHost(item.name) == table)
        hosts[item.name] = &OriginalOf(*item.resource);
    }
    for (const std::string& name : with->removed) hosts.erase(name);
  }
  std::vector<const std::string*> out;
  for (const auto& [name, original] : hosts) out.push_back(original);
  return out;
}

std::shared_ptr<const RouteTable> Catalog::Whole(
    const std::shared_ptr<const RouteTable>& table) const {
  if (!table->vhds_source()) return table;
  absl::StatusOr<std::shared_ptr<const RouteTable>> whole =
      table->With(LateHosts(table->name(), nullptr));
  return whole.ok() ? *std::move(whole) : table;
}

std::shared_ptr<const Snapshot> Catalog::TakeSnapshot() {
  auto next = std::make_shared<Snapshot>();
  if (last_ != nullptr) *next = *last_;
  next->number = next_number_++;
  if (last_ == nullptr || dirty_[Index(ResourceKind::kCluster)] ||
      dirty_[Index(ResourceKind::kEndpoints)]) {
    auto clusters = std::make_shared<ClusterResources>();
    for (const auto& [name, entry] : entries(ResourceKind::kCluster)) {
      ClusterResource resource{As<Cluster>(*entry.resource), nullptr, !entry.is_static};
      if (resource.config->type == Cluster::Type::kEds) {
        const auto found =
            entries(ResourceKind::kEndpoints).find(resource.config->eds_service_name);
        if (found != entries(ResourceKind::kEndpoints).end()) {
          resource.assignment = As<ClusterLoadAssignment>(*found->second.resource);
        }
      }
      clusters->emplace(name, std::move(resource));
    }
    next->clusters = std::move(clusters);
  }
  if (last_ == nullptr || dirty_[Index(ResourceKind::kListener)]) {
    std::vector<const Entry*> ordered;
    for (const auto& [name, entry] : entries(ResourceKind::kListener)) ordered.push_back(&entry);
    std::sort(ordered.begin(), ordered.end(),
              [](const Entry* a, const Entry* b) { return a->arrival < b->arrival; });
    next->listeners.clear();
    for (const Entry* entry : ordered) {
      next->listeners.push_back(
          {As<Listener>(*entry->resource), !entry->is_static, entry->version, entry->updated_ms});
    }
  }
  const auto due = [this](ResourceKind kind) { return last_ == nullptr || dirty_[Index(kind)]; };
  if (due(ResourceKind::kRouteTable) || due(ResourceKind::kVirtualHost)) {
    auto routes = std::make_shared<RouteTables>();
    for (const auto& [name, entry] : entries(ResourceKind::kRouteTable)) {
      routes->emplace(name, Whole(As<RouteTable>(*entry.resource)));
    }
    next->routes = std::move(routes);
  }
  if (due(ResourceKind::kSecret)) next->secrets = MapOf<Secret>(ResourceKind::kSecret);
  if (due(ResourceKind::kExtension))
    next->extensions = MapOf<ExtensionConfig>(ResourceKind::kExtension);
  if (due(ResourceKind::kRuntime)) next->runtime = MapOf<RuntimeLayer>(ResourceKind::kRuntime);
  if (due(ResourceKind::kScopedRoute)) {
    auto scopes = std::make_shared<ScopeMap>();
    for (const auto& [name, entry] : entries(ResourceKind::kScopedRoute)) {
      const auto& scope = As<ScopedRoute>(*entry.resource);
      scopes->emplace(scope->key, scope);
    }
    next->scopes = std::move(scopes);
  }
  dirty_ = {};
  last_ = next;
  return next;
}

std::vector<Catalog::Status> Catalog::Statuses(ResourceKind kind) const {
  std::vector<Status> statuses;
  const auto& failures = failures_[Index(kind)];
  std::set<std::string> named;
  const auto add = [&](const Entries& list, Stage stage) {
    for (const auto& [name, entry] : list) {
      const auto failure = failures.find(name);
      statuses.push_back({name, entry.version, entry.updated_ms, entry.is_static, stage,
                          entry.resource, failure == failures.end() ? nullptr : &failure->second});
      named.insert(name);
    }
  };
  add(entries(kind), Stage::kActive);
  if (kind == ResourceKind::kCluster) add(warming_clusters_, Stage::kWarming);
  if (kind == ResourceKind::kListener) add(warming_listeners_, Stage::kWarming);
  for (const auto& [name, failure] : failures) {
    if (named.count(name) == 0)
      statuses.push_back({name, "", 0, false, Stage::kActive, nullptr, &failure});
  }
  return statuses;
}

}  // namespace remora::xds
