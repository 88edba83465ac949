#include "xds/catalog.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "xds/extension_config.h"
#include "xds/http_connection_manager.h"
#include "xds/late_virtual_host.h"
#include "xds/parse_context.h"
#include "xds/scoped_route.h"
#include "xds/tls.h"

namespace remora::xds {
namespace {

template <typename T>
const std::shared_ptr<const T>& As(const Resource& resource) {
  return std::get<std::shared_ptr<const T>>(resource.value);
}

// A secret may read files that changed although its proto did not.
bool SameResource(const Resource& a, const Resource& b) {
  return a.kind != ResourceKind::kSecret && OriginalOf(a) == OriginalOf(b);
}

bool OnlyChainsDiffer(const Resource& a, const Resource& b) {
  if (a.kind != ResourceKind::kListener) return false;
  const Listener& old = *As<Listener>(a);
  const Listener& next = *As<Listener>(b);
  return old.socket_key == next.socket_key && old.address == next.address;
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
    : hooks_(std::move(hooks)), bootstrap_(std::move(bootstrap)) {
  AddStatic(*bootstrap_);
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

// What a control plane says again (state of the world repeats everything) changes nothing, not even
// the version. An update that takes back one which still warms drops the latter.
bool Catalog::Repeats(const Resource& resource) {
  const auto held = entries(resource.kind).find(resource.name);
  const bool warms =
      resource.kind == ResourceKind::kCluster || resource.kind == ResourceKind::kListener;
  if (warms) {
    Entries& warming = WarmingOf(resource.kind);
    const auto waiting = warming.find(resource.name);
    if (waiting != warming.end() && SameResource(*waiting->second.resource, resource)) return true;
    if (held == entries(resource.kind).end() || !SameResource(*held->second.resource, resource))
      return false;
    if (waiting != warming.end()) warming.erase(waiting);
  } else if (held == entries(resource.kind).end() ||
             !SameResource(*held->second.resource, resource)) {
    return false;
  }
  return true;
}

void Catalog::Store(const Resource& resource, const std::string& version, int64_t now_ms,
                    bool is_static) {
  Entry entry{std::make_shared<const Resource>(resource), version, now_ms, is_static,
              next_arrival_++};
  failures_[static_cast<size_t>(resource.kind)].erase(resource.name);
  if (Repeats(resource)) return;
  ++changes_;
  switch (resource.kind) {
    case ResourceKind::kCluster:
    case ResourceKind::kListener: {
      // Everything starts as warming; Settle() lets through what waits for nothing.
      const auto active = entries(resource.kind).find(resource.name);
      if (active != entries(resource.kind).end()) {
        entry.arrival = active->second.arrival;
        // A listener whose filter chains alone change is the same one still (Envoy's way).
        if (OnlyChainsDiffer(*active->second.resource, resource))
          entry.version = active->second.version;
      }
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
  const auto& wanted = wanted_[static_cast<size_t>(resource.kind)];
  // They may come before the table that they belong to.
  if (resource.kind == ResourceKind::kScopedRoute || resource.kind == ResourceKind::kVirtualHost)
    return !wanted.empty();
  return wanted.count(resource.name) > 0;
}

// Collections, and the virtual hosts of a table, have arrived with the first answer, whatever it
// held.
void Catalog::NoteAnswer(const Update& update) {
  answered_[static_cast<size_t>(update.kind)] = true;
  if (update.kind != ResourceKind::kVirtualHost) return;
  auto& arrived = timed_out_[static_cast<size_t>(update.kind)];
  for (const Update::Item& item : update.items)
    arrived.insert(std::string(TableOfVirtualHost(item.name)));
  for (const std::string& name : update.confirmed)
    arrived.insert(std::string(TableOfVirtualHost(name)));
  if (!update.items.empty()) return;
  for (const auto& [table, source] : wanted_[static_cast<size_t>(update.kind)])
    arrived.insert(table);
}

// Remembered where Envoy shows it: of listeners. A second one of a name fails in its answer only.
void Catalog::Refuse(const Update& update, const Update::Item& item, const std::string& error,
                     bool again, int64_t now_ms) {
  if (update.kind != ResourceKind::kListener) return;
  listener_failures_.push_back({error, "", 0, item.bytes});
  if (again) return;
  failures_[static_cast<size_t>(update.kind)][item.name] = {error, "", now_ms, item.bytes};
}

// A response with a part that is no resource at all, or with parts that contradict each other, is
// refused as a whole.
std::vector<Catalog::Refusal> Catalog::RefusedWhole(const Update& update) const {
  std::vector<Refusal> refusals;
  for (const Update::Item& item : update.items) {
    if (absl::IsDataLoss(item.resource.status()))
      refusals.push_back({item.name, std::string(item.resource.status().message())});
  }
  if (!refusals.empty()) return refusals;
  if (const absl::Status together = FitsTogether(update); !together.ok())
    refusals.push_back({"", std::string(together.message())});
  return refusals;
}

std::vector<Catalog::Refusal> Catalog::Apply(const Update& update, int64_t now_ms) {
  changes_ = 0;
  removed_any_ = false;
  NoteAnswer(update);
  if (update.kind == ResourceKind::kListener) listener_failures_.clear();
  std::vector<Refusal> refusals = RefusedWhole(update);
  if (!refusals.empty()) {
    Settle();
    return refusals;
  }
  // Listeners that go make room first; clusters go last.
  const bool room_first = update.full_set && update.kind == ResourceKind::kListener;
  if (room_first) RemoveMissing(update);
  std::set<std::string> seen;
  for (const Update::Item& item : update.items) {
    absl::Status status = item.resource.status();
    const bool again = !seen.insert(item.name).second;
    if (status.ok() && again) {
      status = absl::InvalidArgumentError(
          absl::StrCat("duplicate ", update.kind == ResourceKind::kCluster ? "cluster" : "listener",
                       " ", item.name, " found"));
    }
    // A static resource of the same name stays; Envoy passes over such an update silently.
    if (status.ok() && (!Admissible(update, *item.resource).ok() || !Wants(*item.resource)))
      continue;
    if (status.ok()) status = FitsIn(*item.resource);
    if (!status.ok()) {
      refusals.push_back({item.name, std::string(status.message())});
      Refuse(update, item, PlainText(status), again, now_ms);
      continue;
    }
    Store(*item.resource, update.version, now_ms, false);
  }
  for (const std::string& name : update.removed) Remove(update.kind, name);
  if (update.full_set && !room_first) RemoveMissing(update);
  // What changed nothing is no new version (Envoy's way).
  if (changes_ > 0 || removed_any_) versions_[static_cast<size_t>(update.kind)] = update.version;
  // Endpoints and the like refer to nothing else.
  if (IsCollection(update.kind) || update.kind == ResourceKind::kRouteTable) UpdateInterest();
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
  // Endpoints, tables and secrets that vanish while in use are kept: the last good ones serve.
  if (kind == ResourceKind::kSecret || kind == ResourceKind::kEndpoints ||
      kind == ResourceKind::kRouteTable) {
    return;
  }
  removed_any_ = true;
  if (kind == ResourceKind::kExtension || kind == ResourceKind::kRuntime)
    timed_out_[static_cast<size_t>(kind)].insert(name);
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
  if (IsCollection(kind) && answered_[static_cast<size_t>(kind)]) return true;
  if (timed_out_[static_cast<size_t>(kind)].count(name) > 0) return true;
  if (kind != ResourceKind::kVirtualHost) return Has(kind, name);
  const auto first = entries(kind).lower_bound(absl::StrCat(name, "/"));
  return first != entries(kind).end() && TableOfVirtualHost(first->first) == name;
}

bool Catalog::AllArrived(ResourceKind kind) const {
  const auto& wanted = wanted_[static_cast<size_t>(kind)];
  return std::all_of(wanted.begin(), wanted.end(),
                     [&](const auto& item) { return Arrived(kind, item.first); });
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
  const auto check_table = [&](const std::string& name) {
    check(ResourceKind::kRouteTable, name);
    if (wanted_[static_cast<size_t>(ResourceKind::kVirtualHost)].count(name) > 0)
      check(ResourceKind::kVirtualHost, name);
  };
  for (const FilterChain* chain : ChainsOf(*As<Listener>(listener))) {
    if (const HttpConnectionManager* http = chain->http(); http != nullptr) {
      if (!http->rds_name.empty()) check_table(http->rds_name);
      if (http->scoped != nullptr && http->scoped->dynamic()) check(ResourceKind::kScopedRoute, "");
      for (const std::string& table : TablesOfScopes(*http)) check_table(table);
      for (const HttpFilterConfig& filter : http->filters) {
        if (filter.discovery != nullptr && !filter.discovery->without_warming)
          check(ResourceKind::kExtension, filter.discovery->name);
      }
    }
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
