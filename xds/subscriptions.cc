#include "xds/subscriptions.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "xds/parse_context.h"

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

// One line for each, with its name.
std::string Describe(const std::vector<Catalog::Refusal>& refusals) {
  return absl::StrJoin(refusals, "\n", [](std::string* out, const Catalog::Refusal& refusal) {
    absl::StrAppend(out, refusal.name, ": ", refusal.error);
  });
}

std::string TypeUrl(ResourceKind kind) { return std::string(TypeOf(kind).type_url); }

}  // namespace

// One discovery stream with its protocol state.
struct Subscriptions::Stream {
  // Puts the stream's servers in place of the bootstrap's.
  class Servers final : public AdsWorld {
   public:
    Servers(SubscriptionWorld* world, ApiConfigSource source)
        : world_(world), source_(std::move(source)) {}
    std::unique_ptr<Call> Open(size_t server, absl::string_view method,
                               CallEvents* events) override {
      return world_->OpenAt(source_, server, method, events);
    }
    std::unique_ptr<TimerHandle> After(std::chrono::nanoseconds delay,
                                       std::function<void()> fire) override {
      return world_->After(delay, std::move(fire));
    }
    lb::RandomSource& random() override { return world_->random(); }

   private:
    SubscriptionWorld* world_;
    ApiConfigSource source_;
  };

  Stream(SubscriptionWorld* world, const ApiConfigSource& source, AdsSession::Options options)
      : servers(world, source), session(std::move(options)) {}

  Servers servers;
  AdsSession session;
  std::unique_ptr<AdsStream> stream;
  // What this stream brings: names by kind; none for CDS and LDS, which come as a whole.
  std::map<ResourceKind, std::set<std::string>> kinds;
};

struct Subscriptions::File {
  ResourceKind kind;
  std::string name;
  std::string path;
  std::unique_ptr<SubscriptionWorld::Watch> watch;
};

Subscriptions::Subscriptions(std::shared_ptr<const Bootstrap> bootstrap, Catalog* catalog,
                             SubscriptionWorld* world, Hooks hooks, bool reject_unknown_fields)
    : bootstrap_(std::move(bootstrap)),
      catalog_(catalog),
      world_(world),
      hooks_(std::move(hooks)),
      reject_unknown_fields_(reject_unknown_fields) {}

Subscriptions::~Subscriptions() = default;

void Subscriptions::Emit(UpdateEvent::Kind kind, ResourceKind resource, std::string name,
                         std::string version, std::string detail) {
  if (hooks_.on_event) {
    hooks_.on_event({kind, resource, std::move(name), std::move(version), std::move(detail)});
  }
}

void Subscriptions::Start() {
  phase_ = Phase::kClusters;
  if (bootstrap_->cds) {
    StartKind(ResourceKind::kCluster, bootstrap_->cds);
  } else {
    clusters_answered_ = true;
  }
  for (ResourceKind kind :
       {ResourceKind::kEndpoints, ResourceKind::kRouteTable, ResourceKind::kSecret}) {
    SubscribeNames(kind);
  }
  Advance();
}

void Subscriptions::StartKind(ResourceKind kind, const ConfigSource& source) {
  StartFetchTimer(kind, "", source.initial_fetch_timeout);
  if (source.kind == ConfigSource::Kind::kPath) {
    WatchResourceFile(kind, "", source);
    return;
  }
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
      if (TypeOf(kind).full_set) Emit(UpdateEvent::Kind::kFailure, kind, "");
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
  if (phase_ != Phase::kIdle) SubscribeNames(kind);
}

void Subscriptions::SubscribeNames(ResourceKind kind) {
  std::map<Stream*, std::set<std::string>> by_stream;
  const std::map<std::string, ConfigSource> wanted = catalog_->Wanted(kind);
  for (const auto& [name, source] : wanted) {
    if (source.kind == ConfigSource::Kind::kPath) {
      WatchResourceFile(kind, name, source);
      continue;
    }
    Stream& stream =
        source.kind == ConfigSource::Kind::kApi ? OwnStream(kind, source) : AggregatedStream();
    by_stream[&stream].insert(name);
    // Asked for anew: a name that is awaited already, or was given up, is not timed again.
    if (stream.kinds[kind].count(name) > 0) continue;
    Emit(UpdateEvent::Kind::kAttempt, kind, name);
    if (!catalog_->Has(kind, name)) StartFetchTimer(kind, name, source.initial_fetch_timeout);
  }
  for (auto it = files_.begin(); it != files_.end();) {
    const bool stale =
        it->first.first == kind && !it->first.second.empty() && wanted.count(it->first.second) == 0;
    it = stale ? files_.erase(it) : std::next(it);
  }
  for (auto it = fetches_.begin(); it != fetches_.end();) {
    const bool stale =
        it->first.first == kind && !it->first.second.empty() && wanted.count(it->first.second) == 0;
    it = stale ? fetches_.erase(it) : std::next(it);
  }
  std::vector<Stream*> streams;
  if (aggregated_ != nullptr) streams.push_back(aggregated_.get());
  for (const auto& [key, stream] : own_) streams.push_back(stream.get());
  for (Stream* stream : streams) {
    if (by_stream.count(stream) == 0 && stream->kinds.count(kind) == 0) continue;
    stream->kinds[kind] = by_stream[stream];
    stream->session.SubscribeTo(TypeUrl(kind), stream->kinds[kind]);
  }
  // While a response is being applied its answer must go out before what follows from it.
  if (!applying_) PumpAll();
}

void Subscriptions::PumpAll() {
  if (aggregated_ != nullptr) aggregated_->stream->Pump();
  for (const auto& [key, stream] : own_) stream->stream->Pump();
}

Update Subscriptions::Parse(const ResourceType& type, const Response& response) {
  Update update{type.kind, response.version, {}, type.full_set, response.removed, {}};
  for (const WireResource& wire : response.resources) {
    if (wire.heartbeat) {
      update.confirmed.push_back(wire.name);
      continue;
    }
    ParseContext context(ParseContext::Origin::kDynamic);
    context.set_unknown_fields_are_errors(reject_unknown_fields_);
    context.set_runtime(bootstrap_->runtime);
    std::string name = wire.name.empty() ? type.name(wire.bytes) : wire.name;
    if (wire.type_url != type.type_url) {
      update.items.push_back(
          {std::move(name),
           absl::InvalidArgumentError(absl::StrCat(
               wire.type_url, " does not match the message-wide type URL ", type.type_url)),
           ""});
      continue;
    }
    absl::StatusOr<Resource> resource = type.parse(wire.bytes, context);
    for (const Finding& warning : context.warnings()) {
      Emit(UpdateEvent::Kind::kWarning, type.kind, name, response.version,
           context.Describe(warning));
    }
    if (resource.ok()) name = resource->name;
    update.items.push_back({std::move(name), std::move(resource), wire.bytes});
  }
  return update;
}

void Subscriptions::OnResponse(Stream& stream, const Response& response) {
  const ResourceType* type = FindResourceType(response.type_url);
  if (type == nullptr) {
    stream.session.Refuse(response, absl::StrCat("unknown type URL ", response.type_url), {});
    return;
  }
  Update update = Parse(*type, response);
  // In the delta spelling a response never is the full set; removals are said.
  if (stream.session.spelling() == Spelling::kDelta) update.full_set = false;
  applying_ = true;
  const std::vector<Catalog::Refusal> refusals = catalog_->Apply(update, world_->WallClockMs());
  applying_ = false;
  if (refusals.empty()) {
    stream.session.Accept(response);
  } else {
    std::set<std::string> refused;
    for (const Catalog::Refusal& refusal : refusals) refused.insert(refusal.name);
    stream.session.Refuse(response,
                          absl::StrCat("Error adding/updating ", type->short_name, " resource(s) ",
                                       Describe(refusals)),
                          refused);
  }
  PumpAll();
  Report(update, refusals, /*from_stream=*/true);
  FirstAnswer(type->kind);
}

// Envoy counts the next attempt as soon as one has ended; of files each reading is one.
void Subscriptions::Report(const Update& update, const std::vector<Catalog::Refusal>& refusals,
                           bool from_stream) {
  for (const Update::Item& item : update.items) StopFetchTimer(update.kind, item.name);
  const auto emit = [&](UpdateEvent::Kind kind, const std::string& name,
                        const std::string& detail) {
    Emit(kind, update.kind, name, update.version, detail);
    if (from_stream) Emit(UpdateEvent::Kind::kAttempt, update.kind, name);
  };
  if (TypeOf(update.kind).full_set) {
    if (refusals.empty()) {
      emit(UpdateEvent::Kind::kSuccess, "", "");
    } else {
      emit(UpdateEvent::Kind::kRejected, "", Describe(refusals));
    }
    return;
  }
  std::set<std::string> refused;
  for (const Catalog::Refusal& refusal : refusals) {
    refused.insert(refusal.name);
    emit(UpdateEvent::Kind::kRejected, refusal.name, refusal.error);
  }
  for (const Update::Item& item : update.items) {
    if (refused.count(item.name) == 0) emit(UpdateEvent::Kind::kSuccess, item.name, "");
  }
}

void Subscriptions::WatchResourceFile(ResourceKind kind, const std::string& name,
                                      const ConfigSource& source) {
  std::unique_ptr<File>& slot = files_[{kind, name}];
  if (slot != nullptr && slot->path == source.path) return;
  slot = std::make_unique<File>(File{kind, name, source.path, nullptr});
  File* file = slot.get();
  file->watch =
      world_->WatchFile(source.path, source.watched_directory, [this, file] { ReadFile(*file); });
  // A first reading in a later turn: the catalog may be in the middle of an update.
  fetches_[{kind, name}] =
      world_->After(std::chrono::nanoseconds(0), [this, file] { ReadFile(*file); });
}

void Subscriptions::ReadFile(File& file) {
  StopFetchTimer(file.kind, file.name);
  Emit(UpdateEvent::Kind::kAttempt, file.kind, file.name);
  absl::StatusOr<FileResources> read = ReadResourceFile(file.path, TypeOf(file.kind).type_url);
  if (!read.ok()) {
    Emit(UpdateEvent::Kind::kFailure, file.kind, file.name, "",
         std::string(read.status().message()));
    if (!file.name.empty()) catalog_->OnFetchTimeout(file.kind, file.name);
    FirstAnswer(file.kind);
    return;
  }
  for (const std::string& warning : read->warnings) {
    Emit(UpdateEvent::Kind::kWarning, file.kind, file.name, read->version, warning);
  }
  Update update{file.kind, read->version, {}, file.name.empty(), {}, {}};
  for (FileResources::Item& item : read->items) {
    if (!file.name.empty() && item.name != file.name) continue;
    update.items.push_back({std::move(item.name), std::move(item.resource), std::move(item.bytes)});
  }
  const std::string name = file.name;
  const ResourceKind kind = file.kind;
  const bool found = name.empty() || !update.items.empty();
  Report(update, catalog_->Apply(update, world_->WallClockMs()), /*from_stream=*/false);
  if (!found) catalog_->OnFetchTimeout(kind, name);
  FirstAnswer(kind);
}

void Subscriptions::StartFetchTimer(ResourceKind kind, const std::string& name,
                                    absl::Duration timeout) {
  if (timeout <= absl::ZeroDuration()) return;
  auto& slot = fetches_[{kind, name}];
  if (slot != nullptr) return;
  slot = world_->After(absl::ToChronoNanoseconds(timeout), [this, kind, name] {
    StopFetchTimer(kind, name);
    Emit(UpdateEvent::Kind::kFetchTimeout, kind, name);
    if (name.empty()) {
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

void Subscriptions::OnCatalogChange() {
  if (phase_ != Phase::kIdle) Advance();
}

void Subscriptions::Advance() {
  if (advancing_) return;
  advancing_ = true;
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
