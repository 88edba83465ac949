// Which names the accepted resources refer to, and what they come to as a snapshot.

#include <algorithm>
#include <utility>

#include "xds/catalog.h"
#include "xds/http_connection_manager.h"
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

void Catalog::CollectListener(const Listener& listener, References* out) {
  const auto collect = [out](const FilterChain& chain) {
    for (const NetworkFilter& filter : chain.filters) {
      if (filter.http != nullptr && !filter.http->rds_name.empty()) {
        out->Add(ResourceKind::kRouteTable, filter.http->rds_name, filter.http->rds_source);
      }
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

void Catalog::UpdateInterest() {
  References references;
  for (const Entries* list :
       {&std::as_const(*this).entries(ResourceKind::kCluster), &std::as_const(warming_clusters_)}) {
    for (const auto& [name, entry] : *list) {
      references.user = entry.resource;
      CollectCluster(*As<Cluster>(*entry.resource), &references);
    }
  }
  for (const Entries* list : {&std::as_const(*this).entries(ResourceKind::kListener),
                              &std::as_const(warming_listeners_)}) {
    for (const auto& [name, entry] : *list) {
      references.user = entry.resource;
      CollectListener(*As<Listener>(*entry.resource), &references);
    }
  }
  users_ = std::move(references.users);
  for (ResourceKind kind :
       {ResourceKind::kEndpoints, ResourceKind::kRouteTable, ResourceKind::kSecret}) {
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
  for (ResourceKind kind :
       {ResourceKind::kEndpoints, ResourceKind::kRouteTable, ResourceKind::kSecret}) {
    auto& held = entries(kind);
    const auto& wanted = wanted_[Index(kind)];
    for (auto it = held.begin(); it != held.end();) {
      if (it->second.is_static || wanted.count(it->first) > 0) {
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
      next->listeners.push_back({As<Listener>(*entry->resource), !entry->is_static});
    }
  }
  if (last_ == nullptr || dirty_[Index(ResourceKind::kRouteTable)]) {
    auto routes = std::make_shared<RouteTables>();
    for (const auto& [name, entry] : entries(ResourceKind::kRouteTable)) {
      routes->emplace(name, As<RouteTable>(*entry.resource));
    }
    next->routes = std::move(routes);
  }
  if (last_ == nullptr || dirty_[Index(ResourceKind::kSecret)]) {
    auto secrets = std::make_shared<Secrets>();
    for (const auto& [name, entry] : entries(ResourceKind::kSecret)) {
      secrets->emplace(name, As<Secret>(*entry.resource));
    }
    next->secrets = std::move(secrets);
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
