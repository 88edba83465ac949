#include "xds/catalog.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "xds/http_connection_manager.h"
#include "xds/tls.h"

namespace remora::xds {
namespace {

template <typename T>
const std::shared_ptr<const T>& As(const Resource& resource) {
  return std::get<std::shared_ptr<const T>>(resource.value);
}

// The serialized proto that a resource was made of: equal bytes are the same resource.
const std::string& OriginalOf(const Resource& resource) {
  switch (resource.kind) {
    case ResourceKind::kCluster:
      return As<Cluster>(resource)->original;
    case ResourceKind::kEndpoints:
      return As<ClusterLoadAssignment>(resource)->original;
    case ResourceKind::kListener:
      return As<Listener>(resource)->original;
    case ResourceKind::kRouteTable:
      return As<RouteTable>(resource)->original();
    case ResourceKind::kSecret:
      break;
  }
  return As<Secret>(resource)->original;
}

// A secret may read files that changed although its proto did not.
bool SameResource(const Resource& a, const Resource& b) {
  return a.kind != ResourceKind::kSecret && OriginalOf(a) == OriginalOf(b);
}

std::vector<const UpstreamTls*> TlsOf(const Cluster& cluster) {
  std::vector<const UpstreamTls*> all;
  if (cluster.transport.tls != nullptr) all.push_back(cluster.transport.tls.get());
  for (const TransportMatch& match : cluster.transport_matches) {
    if (match.transport.tls != nullptr) all.push_back(match.transport.tls.get());
  }
  return all;
}

std::vector<const FilterChain*> ChainsOf(const Listener& listener) {
  std::vector<const FilterChain*> chains;
  for (const auto& chain : listener.filter_chains) chains.push_back(chain.get());
  if (listener.default_filter_chain != nullptr)
    chains.push_back(listener.default_filter_chain.get());
  return chains;
}

std::vector<SecretRef> SecretsOf(const Cluster& cluster) {
  std::vector<SecretRef> refs;
  for (const UpstreamTls* tls : TlsOf(cluster)) CollectSecretRefs(tls->common, &refs);
  return refs;
}

std::vector<SecretRef> SecretsOf(const FilterChain& chain) {
  std::vector<SecretRef> refs;
  if (chain.tls == nullptr) return refs;
  CollectSecretRefs(chain.tls->common, &refs);
  if (chain.tls->ticket_keys_ref) refs.push_back(*chain.tls->ticket_keys_ref);
  return refs;
}

}  // namespace

void CollectSecretRefs(const CommonTls& tls, std::vector<SecretRef>* out) {
  out->insert(out->end(), tls.certificate_refs.begin(), tls.certificate_refs.end());
  if (tls.validation_ref) out->push_back(*tls.validation_ref);
}

Catalog::Catalog(std::shared_ptr<const Bootstrap> bootstrap, Hooks hooks)
    : hooks_(std::move(hooks)) {
  AddStatic(*bootstrap);
}

Catalog::~Catalog() = default;

void Catalog::AddStatic(const Bootstrap& bootstrap) {
  for (const auto& secret : bootstrap.secrets) {
    Store({ResourceKind::kSecret, secret->name, secret}, "", 0, true);
  }
  for (const auto& cluster : bootstrap.clusters) {
    Store({ResourceKind::kCluster, cluster->name, cluster}, "", 0, true);
  }
  for (const auto& listener : bootstrap.listeners) {
    Store({ResourceKind::kListener, listener->name, listener}, "", 0, true);
  }
  UpdateInterest();
  Settle();
}

Catalog::Entries& Catalog::WarmingOf(ResourceKind kind) {
  return kind == ResourceKind::kCluster ? warming_clusters_ : warming_listeners_;
}

void Catalog::MarkDirty(ResourceKind kind) {
  dirty_[static_cast<size_t>(kind)] = true;
  if (hooks_.on_change) hooks_.on_change();
}

// What a control plane says again (state of the world repeats everything) changes nothing but the
// version. An update that takes back one which still warms drops the latter.
bool Catalog::Repeats(const Resource& resource, const std::string& version) {
  const auto held = entries(resource.kind).find(resource.name);
  const bool warms =
      resource.kind == ResourceKind::kCluster || resource.kind == ResourceKind::kListener;
  if (warms) {
    Entries& warming = WarmingOf(resource.kind);
    const auto waiting = warming.find(resource.name);
    if (waiting != warming.end() && SameResource(*waiting->second.resource, resource)) {
      waiting->second.version = version;
      return true;
    }
    if (held == entries(resource.kind).end() || !SameResource(*held->second.resource, resource))
      return false;
    if (waiting != warming.end()) warming.erase(waiting);
  } else if (held == entries(resource.kind).end() ||
             !SameResource(*held->second.resource, resource)) {
    return false;
  }
  held->second.version = version;
  return true;
}

void Catalog::Store(const Resource& resource, const std::string& version, int64_t now_ms,
                    bool is_static) {
  Entry entry{std::make_shared<const Resource>(resource), version, now_ms, is_static,
              next_arrival_++};
  failures_[static_cast<size_t>(resource.kind)].erase(resource.name);
  if (Repeats(resource, version)) return;
  switch (resource.kind) {
    case ResourceKind::kCluster:
    case ResourceKind::kListener: {
      // Everything starts as warming; Settle() lets through what waits for nothing.
      const auto active = entries(resource.kind).find(resource.name);
      if (active != entries(resource.kind).end()) entry.arrival = active->second.arrival;
      WarmingOf(resource.kind)[resource.name] = std::move(entry);
      return;
    }
    default:
      timed_out_[static_cast<size_t>(resource.kind)].erase(resource.name);
      entries(resource.kind)[resource.name] = std::move(entry);
      MarkDirty(resource.kind);
  }
}

absl::Status Catalog::Admissible(const Update& update, const Resource& resource) const {
  if (update.kind != ResourceKind::kCluster && update.kind != ResourceKind::kListener)
    return absl::OkStatus();
  const auto held = entries(update.kind).find(resource.name);
  if (held == entries(update.kind).end() || !held->second.is_static) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("'", resource.name, "' is static and cannot be changed"));
}

// Endpoints, routes and secrets that nobody refers to are not kept: a name that comes into use is
// fetched anew.
bool Catalog::Wants(const Resource& resource) const {
  if (resource.kind == ResourceKind::kCluster || resource.kind == ResourceKind::kListener)
    return true;
  return wanted_[static_cast<size_t>(resource.kind)].count(resource.name) > 0;
}

void Catalog::Refuse(const Update& update, const Update::Item& item, const std::string& error,
                     int64_t now_ms) {
  failures_[static_cast<size_t>(update.kind)][item.name] = {error, update.version, now_ms,
                                                            item.bytes};
}

std::vector<Catalog::Refusal> Catalog::Apply(const Update& update, int64_t now_ms) {
  std::vector<Refusal> refusals;
  std::set<std::string> seen;
  bool any = update.items.empty();
  for (const Update::Item& item : update.items) {
    absl::Status status = item.resource.status();
    if (status.ok() && !seen.insert(item.name).second) {
      status = absl::InvalidArgumentError(absl::StrCat("duplicate resource ", item.name, " found"));
    }
    if (!status.ok()) {
      refusals.push_back({item.name, std::string(status.message())});
      Refuse(update, item, refusals.back().error, now_ms);
      continue;
    }
    any = true;
    // A static resource of the same name stays; Envoy passes over such an update silently.
    if (!Admissible(update, *item.resource).ok() || !Wants(*item.resource)) continue;
    Store(*item.resource, update.version, now_ms, false);
  }
  for (const std::string& name : update.removed) Remove(update.kind, name);
  if (update.full_set) RemoveMissing(update);
  if (any) versions_[static_cast<size_t>(update.kind)] = update.version;
  // Only clusters and listeners refer to others.
  if (update.kind == ResourceKind::kCluster || update.kind == ResourceKind::kListener)
    UpdateInterest();
  Settle();
  return refusals;
}

void Catalog::Remove(ResourceKind kind, const std::string& name) {
  const auto held = entries(kind).find(name);
  if (held != entries(kind).end() && held->second.is_static) return;
  if (kind == ResourceKind::kCluster || kind == ResourceKind::kListener)
    WarmingOf(kind).erase(name);
  failures_[static_cast<size_t>(kind)].erase(name);
  if (held == entries(kind).end()) {
    // Said not to exist: nobody needs to wait for it any longer.
    if (wanted_[static_cast<size_t>(kind)].count(name) > 0)
      timed_out_[static_cast<size_t>(kind)].insert(name);
    return;
  }
  // Endpoints and secrets that vanish while in use are kept: the last good ones serve.
  if (kind == ResourceKind::kSecret || kind == ResourceKind::kEndpoints) return;
  entries(kind).erase(held);
  MarkDirty(kind);
}

void Catalog::RemoveMissing(const Update& update) {
  std::set<std::string> present(update.confirmed.begin(), update.confirmed.end());
  for (const Update::Item& item : update.items) present.insert(item.name);
  std::vector<std::string> gone;
  for (const auto& [name, failure] : failures_[static_cast<size_t>(update.kind)]) {
    if (present.count(name) == 0) gone.push_back(name);
  }
  for (const auto& [name, entry] : entries(update.kind)) {
    if (present.count(name) == 0) gone.push_back(name);
  }
  if (update.kind == ResourceKind::kCluster || update.kind == ResourceKind::kListener) {
    for (const auto& [name, entry] : WarmingOf(update.kind)) {
      if (present.count(name) == 0) gone.push_back(name);
    }
  }
  for (const std::string& name : gone) Remove(update.kind, name);
}

absl::Status Catalog::ReloadSecret(const std::string& name, int64_t now_ms) {
  const auto held = entries(ResourceKind::kSecret).find(name);
  if (held == entries(ResourceKind::kSecret).end()) return absl::NotFoundError("no such secret");
  absl::StatusOr<std::shared_ptr<const Secret>> fresh =
      As<Secret>(*held->second.resource)->Reload();
  if (!fresh.ok()) return fresh.status();
  held->second.resource =
      std::make_shared<const Resource>(Resource{ResourceKind::kSecret, name, *std::move(fresh)});
  held->second.updated_ms = now_ms;
  MarkDirty(ResourceKind::kSecret);
  return absl::OkStatus();
}

bool Catalog::Has(ResourceKind kind, const std::string& name) const {
  return entries(kind).count(name) > 0;
}

bool Catalog::Arrived(ResourceKind kind, const std::string& name) const {
  return Has(kind, name) || timed_out_[static_cast<size_t>(kind)].count(name) > 0;
}

bool Catalog::ClusterReady(const Resource& resource) const {
  const Cluster& cluster = *As<Cluster>(resource);
  if (cluster.type == Cluster::Type::kEds &&
      !Arrived(ResourceKind::kEndpoints, cluster.eds_service_name)) {
    return false;
  }
  const std::vector<SecretRef> refs = SecretsOf(cluster);
  return std::all_of(refs.begin(), refs.end(), [&](const SecretRef& ref) {
    return Arrived(ResourceKind::kSecret, ref.name);
  });
}

std::vector<std::string> Catalog::MissingOf(const Resource& listener) const {
  std::vector<std::string> missing;
  const auto check = [&](ResourceKind kind, const std::string& name) {
    if (!Arrived(kind, name))
      missing.push_back(absl::StrCat(std::string(TypeOf(kind).short_name), " ", name));
  };
  for (const FilterChain* chain : ChainsOf(*As<Listener>(listener))) {
    const HttpConnectionManager* http = chain->http();
    if (http != nullptr && !http->rds_name.empty())
      check(ResourceKind::kRouteTable, http->rds_name);
    for (const SecretRef& ref : SecretsOf(*chain)) check(ResourceKind::kSecret, ref.name);
  }
  return missing;
}

std::vector<std::pair<std::string, std::vector<std::string>>> Catalog::UnreadyListeners() const {
  std::vector<std::pair<std::string, std::vector<std::string>>> out;
  for (const auto& [name, entry] : warming_listeners_)
    out.emplace_back(name, MissingOf(*entry.resource));
  return out;
}

bool Catalog::SettleKind(ResourceKind kind, Entries& warming,
                         bool (Catalog::*ready)(const Resource&) const) {
  bool moved = false;
  for (auto it = warming.begin(); it != warming.end();) {
    if (!(this->*ready)(*it->second.resource)) {
      ++it;
      continue;
    }
    entries(kind)[it->first] = std::move(it->second);
    it = warming.erase(it);
    moved = true;
  }
  if (moved) MarkDirty(kind);
  return moved;
}

void Catalog::Settle() {
  const bool clusters =
      SettleKind(ResourceKind::kCluster, warming_clusters_, &Catalog::ClusterReady);
  const bool listeners =
      SettleKind(ResourceKind::kListener, warming_listeners_, &Catalog::ListenerReady);
  // What a replaced one referred to may be wanted no longer.
  if (clusters || listeners) UpdateInterest();
}

void Catalog::OnFetchTimeout(ResourceKind kind, const std::string& name) {
  if (Has(kind, name)) return;
  timed_out_[static_cast<size_t>(kind)].insert(name);
  Settle();
}

size_t Catalog::warming_count(ResourceKind kind) const {
  if (kind == ResourceKind::kCluster) return warming_clusters_.size();
  return kind == ResourceKind::kListener ? warming_listeners_.size() : 0;
}

}  // namespace remora::xds
