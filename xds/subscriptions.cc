#include "xds/subscriptions.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "xds/subscription_stream.h"

namespace remora::xds {
namespace {

// The service and methods of a type's own stream.
struct OwnService {
  ResourceKind kind;
  absl::string_view service;
  absl::string_view sotw;
  absl::string_view delta;
};
constexpr OwnService kOwnServices[] = {
    {ResourceKind::kCluster, "cluster.v3.ClusterDiscoveryService", "StreamClusters",
     "DeltaClusters"},
    {ResourceKind::kEndpoints, "endpoint.v3.EndpointDiscoveryService", "StreamEndpoints",
     "DeltaEndpoints"},
    {ResourceKind::kListener, "listener.v3.ListenerDiscoveryService", "StreamListeners",
     "DeltaListeners"},
    {ResourceKind::kRouteTable, "route.v3.RouteDiscoveryService", "StreamRoutes", "DeltaRoutes"},
    {ResourceKind::kSecret, "secret.v3.SecretDiscoveryService", "StreamSecrets", "DeltaSecrets"},
    {ResourceKind::kScopedRoute, "route.v3.ScopedRoutesDiscoveryService", "StreamScopedRoutes",
     "DeltaScopedRoutes"},
    {ResourceKind::kVirtualHost, "route.v3.VirtualHostDiscoveryService", "", "DeltaVirtualHosts"},
    {ResourceKind::kExtension, "extension.v3.ExtensionConfigDiscoveryService",
     "StreamExtensionConfigs", "DeltaExtensionConfigs"},
    {ResourceKind::kRuntime, "runtime.v3.RuntimeDiscoveryService", "StreamRuntime", "DeltaRuntime"},
};

std::string OwnMethod(ResourceKind kind, bool delta) {
  for (const OwnService& service : kOwnServices) {
    if (service.kind != kind) continue;
    return absl::StrCat("/envoy.service.", service.service, "/",
                        delta ? service.delta : service.sotw);
  }
  return "";
}

// Streams that go to the same servers are shared by all resources of a kind.
std::string ServersKey(ResourceKind kind, const ApiConfigSource& api) {
  std::string key = absl::StrCat(static_cast<int>(kind), api.delta() ? "d" : "s");
  for (const GrpcService& service : api.grpc_services) {
    absl::StrAppend(&key, "|", service.cluster, "|", service.target_uri);
  }
  return key;
}

std::string TypeUrl(ResourceKind kind) { return std::string(TypeOf(kind).type_url); }

}  // namespace

Subscriptions::Subscriptions(std::shared_ptr<const Bootstrap> bootstrap, Catalog* catalog,
                             SubscriptionWorld* world, Hooks hooks, bool reject_unknown_fields)
    : bootstrap_(std::move(bootstrap)),
      catalog_(catalog),
      world_(world),
      hooks_(std::move(hooks)),
      reject_unknown_fields_(reject_unknown_fields) {}

Subscriptions::~Subscriptions() = default;

void Subscriptions::Emit(UpdateEvent::Kind kind, ResourceKind resource, std::string name,
                         std::string version, std::string detail, bool changed) {
  if (hooks_.on_event) {
    hooks_.on_event(
        {kind, resource, std::move(name), std::move(version), std::move(detail), changed});
  }
}

void Subscriptions::Start() {
  phase_ = Phase::kRuntime;
  SubscribeNames(ResourceKind::kRuntime);
  Advance();
}

void Subscriptions::StartKind(ResourceKind kind, const ConfigSource& source) {
  StartFetchTimer(kind, "", source.initial_fetch_timeout);
  if (source.kind == ConfigSource::Kind::kPath) {
    WatchResourceFile(kind, "", source);
    return;
  }
  if (source.polled()) return Poll(kind, "", source);
  Stream& stream =
      source.kind == ConfigSource::Kind::kApi ? OwnStream(kind, source) : AggregatedStream();
  stream.kinds[kind];
  stream.session.SubscribeAll(TypeUrl(kind));
  Emit(UpdateEvent::Kind::kAttempt, kind, "");
  stream.stream->Pump();
}

std::unique_ptr<Subscriptions::Stream> Subscriptions::MakeStream(const ApiConfigSource& source,
                                                                 std::string method,
                                                                 bool aggregated) {
  const Spelling spelling = source.delta() ? Spelling::kDelta : Spelling::kSotw;
  auto made = std::make_unique<Stream>(world_, source,
                                       AdsSession::Options{spelling, bootstrap_->node.original,
                                                           source.set_node_on_first_message_only});
  Stream* raw = made.get();
  AdsStream::Hooks hooks;
  hooks.on_response = [this, raw](const Response& response) { OnResponse(*raw, response); };
  hooks.on_failure = [this, raw] {
    for (const auto& [kind, names] : raw->kinds) {
      if (IsCollection(kind) && names.empty()) Emit(UpdateEvent::Kind::kFailure, kind, "");
      for (const std::string& name : names) Emit(UpdateEvent::Kind::kFailure, kind, name);
    }
  };
  if (aggregated) hooks.on_connected = hooks_.on_connected;
  hooks.log = hooks_.log;
  made->stream = std::make_unique<AdsStream>(&raw->servers, std::move(method), &raw->session,
                                             std::move(hooks));
  return made;
}

Subscriptions::Stream& Subscriptions::AggregatedStream() {
  if (aggregated_ == nullptr) {
    const ApiConfigSource source = bootstrap_->ads.value_or(ApiConfigSource());
    const Spelling spelling = source.delta() ? Spelling::kDelta : Spelling::kSotw;
    aggregated_ = MakeStream(source, std::string(AggregatedMethod(spelling)), true);
    aggregated_->stream->Start();
  }
  return *aggregated_;
}

Subscriptions::Stream& Subscriptions::OwnStream(ResourceKind kind, const ConfigSource& source) {
  std::unique_ptr<Stream>& slot = own_[ServersKey(kind, source.api)];
  if (slot == nullptr) {
    slot = MakeStream(source.api, OwnMethod(kind, source.api.delta()), false);
    slot->stream->Start();
  }
  return *slot;
}

void Subscriptions::OnInterest(ResourceKind kind) {
  // The rest waits for the runtime layers.
  if (phase_ > Phase::kRuntime || (phase_ == Phase::kRuntime && kind == ResourceKind::kRuntime))
    SubscribeNames(kind);
}

void Subscriptions::SubscribeNames(ResourceKind kind) {
  const std::map<std::string, ConfigSource> wanted = catalog_->Wanted(kind);
  DropStale(kind, wanted);
  Subscribe(kind, wanted);
  // While a response is being applied its answer must go out before what follows from it.
  if (!applying_) PumpAll();
}

// What was asked for and is no longer wanted.
void Subscriptions::DropStale(ResourceKind kind,
                              const std::map<std::string, ConfigSource>& wanted) {
  const auto drop = [&](auto& map) {
    for (auto it = map.begin(); it != map.end();) {
      const auto& [of_kind, name] = it->first;
      it = of_kind == kind && wanted.count(name) == 0 ? map.erase(it) : std::next(it);
    }
  };
  drop(files_);
  drop(fetches_);
  drop(pollers_);
}

void Subscriptions::Subscribe(ResourceKind kind,
                              const std::map<std::string, ConfigSource>& wanted) {
  std::map<Stream*, std::set<std::string>> by_stream;
  for (const auto& [name, source] : wanted) {
    if (source.kind == ConfigSource::Kind::kPath) {
      WatchResourceFile(kind, name, source);
      continue;
    }
    if (source.polled()) {
      Poll(kind, name, source);
      continue;
    }
    Stream& stream =
        source.kind == ConfigSource::Kind::kApi ? OwnStream(kind, source) : AggregatedStream();
    by_stream[&stream].insert(name);
    // Asked for anew: a name that is awaited already, or was given up, is not timed again.
    if (stream.kinds[kind].count(name) > 0) continue;
    Emit(UpdateEvent::Kind::kAttempt, kind, name);
    if (!catalog_->Arrived(kind, name)) StartFetchTimer(kind, name, source.initial_fetch_timeout);
  }
  std::vector<Stream*> streams;
  if (aggregated_ != nullptr) streams.push_back(aggregated_.get());
  for (const auto& [key, stream] : own_) streams.push_back(stream.get());
  for (Stream* stream : streams) {
    if (by_stream.count(stream) == 0 && stream->kinds.count(kind) == 0) continue;
    stream->kinds[kind] = by_stream[stream];
    // Virtual hosts are of tables, but come by names of their own: all are asked for, as Envoy
    // does.
    if (IsCollection(kind) || kind == ResourceKind::kVirtualHost) {
      stream->session.SubscribeAll(TypeUrl(kind));
      continue;
    }
    stream->session.SubscribeTo(TypeUrl(kind), stream->kinds[kind]);
  }
}

void Subscriptions::PumpAll() {
  if (aggregated_ != nullptr) aggregated_->stream->Pump();
  for (const auto& [key, stream] : own_) stream->stream->Pump();
}

void Subscriptions::StartFetchTimer(ResourceKind kind, const std::string& name,
                                    absl::Duration timeout) {
  if (timeout <= absl::ZeroDuration()) return;
  auto& slot = fetches_[{kind, name}];
  if (slot != nullptr) return;
  slot = world_->After(absl::ToChronoNanoseconds(timeout), [this, kind, name] {
    StopFetchTimer(kind, name);
    Emit(UpdateEvent::Kind::kFetchTimeout, kind, name);
    if (kind == ResourceKind::kCluster || kind == ResourceKind::kListener) {
      FirstAnswer(kind);
    } else {
      catalog_->OnFetchTimeout(kind, name);
    }
    Advance();
  });
}

void Subscriptions::StopFetchTimer(ResourceKind kind, const std::string& name) {
  fetches_.erase({kind, name});
}

void Subscriptions::FirstAnswer(ResourceKind kind) {
  if (kind == ResourceKind::kCluster) clusters_answered_ = true;
  if (kind == ResourceKind::kListener) listeners_answered_ = true;
  if (kind == ResourceKind::kCluster || kind == ResourceKind::kListener) StopFetchTimer(kind, "");
  Advance();
}

void Subscriptions::StartClusters() {
  phase_ = Phase::kClusters;
  if (bootstrap_->cds) {
    StartKind(ResourceKind::kCluster, bootstrap_->cds);
  } else {
    clusters_answered_ = true;
  }
  for (const ResourceKind kind : kReferredKinds) {
    if (kind != ResourceKind::kRuntime) SubscribeNames(kind);
  }
}

void Subscriptions::OnCatalogChange() {
  if (phase_ != Phase::kIdle) Advance();
}

void Subscriptions::Advance() {
  if (advancing_) return;
  advancing_ = true;
  if (phase_ == Phase::kRuntime && catalog_->AllArrived(ResourceKind::kRuntime)) StartClusters();
  if (phase_ == Phase::kClusters && clusters_answered_ && catalog_->clusters_settled()) {
    phase_ = Phase::kListeners;
    if (bootstrap_->lds) {
      StartKind(ResourceKind::kListener, bootstrap_->lds);
    } else {
      listeners_answered_ = true;
    }
  }
  if (phase_ == Phase::kListeners && listeners_answered_ && catalog_->listeners_settled()) {
    phase_ = Phase::kDone;
    if (hooks_.on_initialized) hooks_.on_initialized();
  }
  advancing_ = false;
}

}  // namespace remora::xds
