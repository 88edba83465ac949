// What a response, a file or a poll brings, on its way into the catalog; see subscriptions.h.

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "xds/late_virtual_host.h"
#include "xds/parse_context.h"
#include "xds/subscription_stream.h"

namespace remora::xds {
namespace {

std::string Describe(const std::vector<Catalog::Refusal>& refusals, absl::string_view separator) {
  return absl::StrJoin(refusals, separator, [](std::string* out, const Catalog::Refusal& refusal) {
    if (!refusal.name.empty()) absl::StrAppend(out, refusal.name, ": ");
    absl::StrAppend(out, refusal.error);
  });
}

// What the server is told, in Envoy's words.
std::string ErrorDetail(ResourceKind kind, const std::vector<Catalog::Refusal>& refusals) {
  switch (kind) {
    case ResourceKind::kCluster:
      return absl::StrCat("Error adding/updating cluster(s) ", Describe(refusals, ", "));
    case ResourceKind::kListener:
      return absl::StrCat("Error adding/updating listener(s) ", Describe(refusals, "\n"), "\n");
    case ResourceKind::kScopedRoute:
      return absl::StrCat("Error adding/updating scoped route(s): ", Describe(refusals, "\n"));
    default:
      return absl::StrCat("Error adding/updating ", TypeOf(kind).short_name, " resource(s) ",
                          Describe(refusals, "\n"));
  }
}

// Why `count` resources are not the one that was asked for; empty: none at all may be.
std::string WrongCount(ResourceKind kind, const std::string& name, size_t count) {
  switch (kind) {
    case ResourceKind::kEndpoints:
      return count == 0 ? "" : absl::StrCat("Unexpected EDS resource length: ", count);
    case ResourceKind::kRouteTable:
      return count == 0 ? "" : absl::StrCat("Unexpected RDS resource length: ", count);
    case ResourceKind::kSecret:
      return count == 0 ? absl::StrCat("Missing SDS resources for ", name, " in onConfigUpdate()")
                        : absl::StrCat("Unexpected SDS secrets length: ", count);
    case ResourceKind::kExtension:
      return absl::StrCat("Unexpected number of resources in ExtensionConfigDS response: ", count);
    default:
      return absl::StrCat("Unexpected RTDS resource length, number of added resources ", count,
                          ", number of removed resources 0");
  }
}

std::string WrongName(ResourceKind kind, const std::string& name, const std::string& got) {
  switch (kind) {
    case ResourceKind::kEndpoints:
      return absl::StrCat("Unexpected EDS cluster (expecting ", name, "): ", got);
    case ResourceKind::kRouteTable:
      return absl::StrCat("Unexpected RDS configuration (expecting ", name, "): ", got);
    case ResourceKind::kSecret:
      return absl::StrCat("Unexpected SDS secret (expecting ", name, "): ", got);
    case ResourceKind::kExtension:
      return absl::StrCat("Unexpected resource name in ExtensionConfigDS response: ", got);
    default:
      return absl::StrCat("Unexpected RTDS runtime (expecting ", name, "): ", got);
  }
}

}  // namespace

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
           absl::DataLossError(absl::StrCat(
               wire.type_url, " does not match the message-wide type URL ", type.type_url)),
           ""});
      continue;
    }
    absl::StatusOr<Resource> resource = type.parse(wire.bytes, context);
    for (const Finding& warning : context.warnings()) {
      Emit(UpdateEvent::Kind::kWarning, type.kind, name, response.version,
           context.Describe(warning));
    }
    // A virtual host is known by the name of its envelope, which says whose it is.
    if (resource.ok() && type.kind == ResourceKind::kVirtualHost) resource->name = name;
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
    stream.session.Refuse(response, ErrorDetail(type->kind, refusals), refused);
  }
  PumpAll();
  StartClocks(type->kind, response);
  Report(update, refusals, /*from_stream=*/true);
  FirstAnswer(type->kind);
}

// A resource with a time to live goes when it was not said again in time.
void Subscriptions::StartClocks(ResourceKind kind, const Response& response) {
  for (const std::string& name : response.removed) clocks_.erase({kind, name});
  for (const WireResource& wire : response.resources) {
    if (wire.name.empty()) continue;
    if (wire.ttl <= absl::ZeroDuration()) {
      clocks_.erase({kind, wire.name});
      continue;
    }
    clocks_[{kind, wire.name}] =
        world_->After(absl::ToChronoNanoseconds(wire.ttl), [this, kind, name = wire.name] {
          const Update gone{kind, catalog_->version(kind), {}, false, {name}, {}};
          catalog_->Apply(gone, world_->WallClockMs());
          clocks_.erase({kind, name});
          PumpAll();
        });
  }
}

// Envoy counts the next attempt as soon as one has ended; of files each reading is one.
void Subscriptions::Report(const Update& update, const std::vector<Catalog::Refusal>& refusals,
                           bool from_stream) {
  for (const Update::Item& item : update.items) StopFetchTimer(update.kind, item.name);
  const auto emit = [&](UpdateEvent::Kind kind, const std::string& name,
                        const std::string& detail) {
    Emit(kind, update.kind, name, update.version, detail, catalog_->changes() > 0);
    if (from_stream) Emit(UpdateEvent::Kind::kAttempt, update.kind, name);
  };
  if (IsCollection(update.kind)) {
    StopFetchTimer(update.kind, "");
    if (refusals.empty()) {
      emit(UpdateEvent::Kind::kSuccess, "", "");
    } else {
      emit(UpdateEvent::Kind::kRejected, "", Describe(refusals, "\n"));
    }
    return;
  }
  // Virtual hosts count for their table.
  const auto counted = [&](const std::string& name) {
    return update.kind == ResourceKind::kVirtualHost ? std::string(TableOfVirtualHost(name)) : name;
  };
  std::set<std::string> done;
  for (const Catalog::Refusal& refusal : refusals) {
    done.insert(counted(refusal.name));
    emit(UpdateEvent::Kind::kRejected, counted(refusal.name), refusal.error);
  }
  for (const Update::Item& item : update.items) {
    if (!done.insert(counted(item.name)).second) continue;
    StopFetchTimer(update.kind, counted(item.name));
    emit(UpdateEvent::Kind::kSuccess, counted(item.name), "");
  }
}

bool Subscriptions::HoldsOne(const std::string& name, Update* update) {
  std::string wrong;
  if (update->items.size() != 1) {
    wrong = WrongCount(update->kind, name, update->items.size());
  } else if (const Update::Item& item = update->items.front(); !item.resource.ok()) {
    // Its own fault is named first; it is held against the name that was asked for.
    update->items.front().name = name;
    return true;
  } else if (item.name != name) {
    wrong = WrongName(update->kind, name, item.name);
  } else {
    return true;
  }
  if (wrong.empty()) {
    Emit(UpdateEvent::Kind::kEmpty, update->kind, name, update->version);
    Emit(UpdateEvent::Kind::kSuccess, update->kind, name, update->version, "", false);
  } else {
    Emit(UpdateEvent::Kind::kRejected, update->kind, name, update->version, wrong);
  }
  catalog_->OnFetchTimeout(update->kind, name);
  return false;
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
  const std::string name = file.name;
  const ResourceKind kind = file.kind;
  StopFetchTimer(kind, name);
  Emit(UpdateEvent::Kind::kAttempt, kind, name);
  absl::StatusOr<FileResources> read = ReadResourceFile(file.path, TypeOf(kind).type_url);
  if (!read.ok()) {
    Emit(UpdateEvent::Kind::kFailure, kind, name, "", std::string(read.status().message()));
    if (kind != ResourceKind::kCluster && kind != ResourceKind::kListener)
      catalog_->OnFetchTimeout(kind, name);
    FirstAnswer(kind);
    return;
  }
  for (const std::string& warning : read->warnings) {
    Emit(UpdateEvent::Kind::kWarning, kind, name, read->version, warning);
  }
  Update update{kind, read->version, {}, TypeOf(kind).full_set, {}, {}};
  for (FileResources::Item& item : read->items) {
    update.items.push_back({std::move(item.name), std::move(item.resource), std::move(item.bytes)});
  }
  if (IsCollection(kind) || HoldsOne(name, &update)) {
    const auto refusals = catalog_->Apply(update, world_->WallClockMs());
    Report(update, refusals, /*from_stream=*/false);
    if (!refusals.empty() && !IsCollection(kind)) catalog_->OnFetchTimeout(kind, name);
  }
  FirstAnswer(kind);
}

void Subscriptions::Poll(ResourceKind kind, const std::string& name, const ConfigSource& source) {
  std::unique_ptr<RestPoller>& slot = pollers_[{kind, name}];
  if (slot != nullptr) return;
  if (!catalog_->Arrived(kind, name)) StartFetchTimer(kind, name, source.initial_fetch_timeout);
  // Set once the poller is there.
  const auto self = std::make_shared<RestPoller*>();
  RestPoller::Hooks hooks;
  hooks.on_attempt = [this, kind, name] { Emit(UpdateEvent::Kind::kAttempt, kind, name); };
  hooks.on_response = [this, kind, name, self](const Response& response) {
    OnPolled(**self, kind, name, response);
  };
  hooks.on_failure = [this, kind, name](const absl::Status& status) {
    Emit(UpdateEvent::Kind::kFailure, kind, name, "", std::string(status.message()));
  };
  slot = std::make_unique<RestPoller>(world_, kind, name, source.api, bootstrap_->node.original,
                                      std::move(hooks));
  *self = slot.get();
  slot->Start();
}

void Subscriptions::OnPolled(RestPoller& poller, ResourceKind kind, const std::string& name,
                             const Response& response) {
  StopFetchTimer(kind, name);
  Update update = Parse(TypeOf(kind), response);
  // What follows from the update may end the poller: it is told first.
  const bool good = std::all_of(update.items.begin(), update.items.end(),
                                [](const Update::Item& item) { return item.resource.ok(); });
  if (good) poller.Accept(response);
  if (IsCollection(kind) || HoldsOne(name, &update)) {
    const auto refusals = catalog_->Apply(update, world_->WallClockMs());
    Report(update, refusals, /*from_stream=*/false);
    if (!refusals.empty() && !IsCollection(kind)) catalog_->OnFetchTimeout(kind, name);
  }
  FirstAnswer(kind);
}

}  // namespace remora::xds
