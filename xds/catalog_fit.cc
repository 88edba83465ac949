// What accepted resources must find around them: clusters, free addresses, users of their type.

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "xds/catalog.h"
#include "xds/extension_config.h"
#include "xds/http_connection_manager.h"
#include "xds/scoped_route.h"
#include "xds/tls.h"

namespace remora::xds {
namespace {

template <typename T>
const std::shared_ptr<const T>& As(const Resource& resource) {
  return std::get<std::shared_ptr<const T>>(resource.value);
}

// Whether two listeners would take each other's connections.
bool Collide(const Listener& a, const Listener& b) {
  if (a.kind != Listener::Kind::kTcp || b.kind != Listener::Kind::kTcp ||
      a.bind_to_port != b.bind_to_port || a.address.protocol != b.address.protocol) {
    return false;
  }
  std::vector<AddressSpec> others = b.additional_addresses;
  others.push_back(b.address);
  std::vector<AddressSpec> own = a.additional_addresses;
  own.push_back(a.address);
  return std::any_of(own.begin(), own.end(), [&](const AddressSpec& address) {
    const bool any_port = address.kind == AddressSpec::Kind::kSocket && address.port == 0;
    return !(any_port && a.bind_to_port) &&
           std::find(others.begin(), others.end(), address) != others.end();
  });
}

std::vector<const FilterChain*> ChainsOf(const Listener& listener) {
  std::vector<const FilterChain*> chains;
  for (const auto& chain : listener.filter_chains) chains.push_back(chain.get());
  if (listener.default_filter_chain != nullptr)
    chains.push_back(listener.default_filter_chain.get());
  return chains;
}

std::vector<const UpstreamTls*> TlsOf(const Cluster& cluster) {
  std::vector<const UpstreamTls*> all;
  if (cluster.transport.tls != nullptr) all.push_back(cluster.transport.tls.get());
  for (const TransportMatch& match : cluster.transport_matches) {
    if (match.transport.tls != nullptr) all.push_back(match.transport.tls.get());
  }
  return all;
}

}  // namespace

// A secret must be of the sort that those who refer to it need.
absl::Status Catalog::FitsSecretUsers(const Resource& resource) const {
  std::vector<const CommonTls*> users;
  for (const auto& user : UsersOf(resource.kind, resource.name)) {
    if (user->kind == ResourceKind::kCluster) {
      for (const UpstreamTls* tls : TlsOf(*As<Cluster>(*user))) users.push_back(&tls->common);
      continue;
    }
    for (const FilterChain* chain : ChainsOf(*As<Listener>(*user))) {
      if (chain->tls != nullptr) users.push_back(&chain->tls->common);
    }
  }
  const Secret& secret = *As<Secret>(resource);
  for (const CommonTls* tls : users) {
    const bool as_certificate =
        std::any_of(tls->certificate_refs.begin(), tls->certificate_refs.end(),
                    [&](const SecretRef& ref) { return ref.name == resource.name; });
    if (as_certificate && std::holds_alternative<ValidationContext>(secret.value))
      return absl::InvalidArgumentError("Failed to load incomplete private key from path: ");
    const bool as_validation = tls->validation_ref && tls->validation_ref->name == resource.name;
    if (as_validation && std::holds_alternative<TlsCertificate>(secret.value)) {
      return absl::InvalidArgumentError(
          absl::StrCat("secret '", resource.name, "' is no validation context"));
    }
  }
  return absl::OkStatus();
}

// A filter's configuration must be of a type that each chain which asks for it can take.
absl::Status Catalog::FitsUsers(const Resource& resource) const {
  if (resource.kind == ResourceKind::kSecret) return FitsSecretUsers(resource);
  if (resource.kind != ResourceKind::kExtension) return absl::OkStatus();
  for (const auto& user : UsersOf(resource.kind, resource.name)) {
    for (const FilterChain* chain : ChainsOf(*As<Listener>(*user))) {
      if (chain->http() == nullptr) continue;
      for (const HttpFilterConfig& filter : chain->http()->filters) {
        if (filter.discovery == nullptr || filter.discovery->name != resource.name) continue;
        absl::Status status = filter.discovery->Check(*As<ExtensionConfig>(resource));
        if (!status.ok()) return status;
      }
    }
  }
  return absl::OkStatus();
}

absl::Status Catalog::FitsClusters(const RouteTable& table, bool otherwise) const {
  if (!table.validate_clusters().value_or(otherwise)) return absl::OkStatus();
  for (const std::string& name : table.clusters()) {
    if (Has(ResourceKind::kCluster, name) || warming_clusters_.count(name) > 0) continue;
    return absl::InvalidArgumentError(absl::StrCat("route: unknown cluster '", name, "'"));
  }
  return absl::OkStatus();
}

absl::Status Catalog::FitsAddresses(const Listener& listener) const {
  for (const Entries* list : {&entries(ResourceKind::kListener), &warming_listeners_}) {
    for (const auto& [name, entry] : *list) {
      if (name == listener.name || !Collide(listener, *As<Listener>(*entry.resource))) continue;
      return absl::InvalidArgumentError(absl::StrCat(
          "error adding listener: '", listener.name, "' has duplicate address '",
          listener.address.ToString(),
          "' as existing listener, to check if the listener has duplicated addresses with other "
          "listeners or 'enable_reuse_port' is set to 'false' for the listener"));
    }
  }
  return absl::OkStatus();
}

absl::Status Catalog::FitsIn(const Resource& resource) const {
  if (resource.kind == ResourceKind::kRouteTable)
    return FitsClusters(*As<RouteTable>(resource), false);
  if (resource.kind != ResourceKind::kListener) return FitsUsers(resource);
  for (const FilterChain* chain : ChainsOf(*As<Listener>(resource))) {
    if (chain->http() == nullptr || chain->http()->route_table == nullptr) continue;
    absl::Status status = FitsClusters(*chain->http()->route_table, true);
    if (!status.ok()) return status;
  }
  return FitsAddresses(*As<Listener>(resource));
}

// What resources of one kind must agree on among each other.
absl::Status Catalog::FitsTogether(const Update& update) const {
  if (update.kind == ResourceKind::kScopedRoute) {
    std::map<std::string, std::string> keys;
    std::set<std::string> renewed(update.removed.begin(), update.removed.end());
    for (const Update::Item& item : update.items) {
      renewed.insert(item.name);
      if (!item.resource.ok()) continue;
      const ScopedRoute& scope = *As<ScopedRoute>(*item.resource);
      const auto [found, fresh] = keys.emplace(scope.key, scope.name);
      if (fresh || found->second == scope.name) continue;
      return absl::InvalidArgumentError(absl::StrCat("scope key conflict found, first scope is '",
                                                     found->second, "', second scope is '",
                                                     scope.name, "'"));
    }
    if (update.full_set) return absl::OkStatus();
    for (const auto& [name, entry] : entries(update.kind)) {
      const auto found = keys.find(As<ScopedRoute>(*entry.resource)->key);
      if (found == keys.end() || renewed.count(name) > 0) continue;
      return absl::InvalidArgumentError(absl::StrCat("scope key conflict found, first scope is '",
                                                     name, "', second scope is '", found->second,
                                                     "'"));
    }
  }
  if (update.kind == ResourceKind::kVirtualHost) {
    for (const auto& [table, source] : wanted_[static_cast<size_t>(update.kind)]) {
      const auto held = entries(ResourceKind::kRouteTable).find(table);
      if (held == entries(ResourceKind::kRouteTable).end()) continue;
      const auto whole = As<RouteTable>(*held->second.resource)->With(LateHosts(table, &update));
      if (!whole.ok()) return whole.status();
    }
  }
  return absl::OkStatus();
}

}  // namespace remora::xds
