#include "xds/config_dump.h"

#include <re2/re2.h>

#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "envoy/admin/v3/config_dump.pb.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "google/protobuf/util/field_mask_util.h"
#include "google/protobuf/util/json_util.h"
#include "google/protobuf/util/time_util.h"
#include "xds/http_connection_manager.h"
#include "xds/redact.h"

namespace remora::xds {
namespace {

namespace admin = ::envoy::admin::v3;
using google::protobuf::Any;
using google::protobuf::Message;
using google::protobuf::util::TimeUtil;

// Lets a resource through by its name.
class NameFilter {
 public:
  explicit NameFilter(const std::string& regex) {
    if (!regex.empty()) regex_ = std::make_unique<re2::RE2>(regex, re2::RE2::Quiet);
  }
  bool ok() const { return regex_ == nullptr || regex_->ok(); }
  bool Passes(const std::string& name) const { return regex_ == nullptr || re2::RE2::FullMatch(name, *regex_); }

 private:
  std::unique_ptr<re2::RE2> regex_;
};

const std::string& BytesOf(const Resource& resource) {
  switch (resource.kind) {
    case ResourceKind::kCluster:
      return std::get<std::shared_ptr<const Cluster>>(resource.value)->original;
    case ResourceKind::kEndpoints:
      return std::get<std::shared_ptr<const ClusterLoadAssignment>>(resource.value)->original;
    case ResourceKind::kListener:
      return std::get<std::shared_ptr<const Listener>>(resource.value)->original;
    case ResourceKind::kRouteTable:
      return std::get<std::shared_ptr<const RouteTable>>(resource.value)->original();
    case ResourceKind::kSecret:
      break;
  }
  return std::get<std::shared_ptr<const Secret>>(resource.value)->original;
}

void SetAny(const Resource& resource, Any* out) {
  out->set_type_url(std::string(TypeOf(resource.kind).type_url));
  out->set_value(BytesOf(resource));
}

void SetFailure(const Catalog::Failure& failure, admin::UpdateFailureState* out) {
  out->set_details(failure.details);
  out->set_version_info(failure.version);
  *out->mutable_last_update_attempt() = TimeUtil::MillisecondsToTimestamp(failure.time_ms);
}

// The fields that most entries share.
template <typename Entry>
void SetCommon(const Catalog::Status& status, Entry* out) {
  if (!status.version.empty()) out->set_version_info(status.version);
  if (status.updated_ms > 0) *out->mutable_last_updated() = TimeUtil::MillisecondsToTimestamp(status.updated_ms);
  if (status.failure != nullptr) SetFailure(*status.failure, out->mutable_error_state());
}

struct Dump {
  const Bootstrap& bootstrap;
  const Catalog& catalog;
  const NameFilter& names;
  google::protobuf::Timestamp start;
};

admin::BootstrapConfigDump DumpBootstrap(const Dump& dump) {
  admin::BootstrapConfigDump out;
  out.mutable_bootstrap()->ParseFromString(dump.bootstrap.original);
  *out.mutable_last_updated() = dump.start;
  return out;
}

admin::ClustersConfigDump DumpClusters(const Dump& dump) {
  admin::ClustersConfigDump out;
  out.set_version_info(dump.catalog.version(ResourceKind::kCluster));
  for (const Catalog::Status& status : dump.catalog.Statuses(ResourceKind::kCluster)) {
    if (!dump.names.Passes(status.name)) continue;
    if (status.is_static) {
      auto* entry = out.add_static_clusters();
      SetAny(*status.resource, entry->mutable_cluster());
      *entry->mutable_last_updated() = dump.start;
      continue;
    }
    const bool warming = status.stage == Catalog::Stage::kWarming || status.resource == nullptr;
    auto* entry = warming ? out.add_dynamic_warming_clusters() : out.add_dynamic_active_clusters();
    if (status.resource != nullptr) SetAny(*status.resource, entry->mutable_cluster());
    SetCommon(status, entry);
  }
  return out;
}

admin::EndpointsConfigDump DumpEndpoints(const Dump& dump) {
  admin::EndpointsConfigDump out;
  for (const Catalog::Status& status : dump.catalog.Statuses(ResourceKind::kCluster)) {
    if (status.resource == nullptr || !dump.names.Passes(status.name)) continue;
    const auto& cluster = std::get<std::shared_ptr<const Cluster>>(status.resource->value);
    if (cluster->load_assignment == nullptr) continue;
    auto* any = out.add_static_endpoint_configs()->mutable_endpoint_config();
    any->set_type_url(std::string(TypeOf(ResourceKind::kEndpoints).type_url));
    any->set_value(cluster->load_assignment->original);
  }
  for (const Catalog::Status& status : dump.catalog.Statuses(ResourceKind::kEndpoints)) {
    if (status.resource == nullptr || !dump.names.Passes(status.name)) continue;
    auto* entry = out.add_dynamic_endpoint_configs();
    SetAny(*status.resource, entry->mutable_endpoint_config());
    SetCommon(status, entry);
  }
  return out;
}

void SetListenerState(const Catalog::Status& status, admin::ListenersConfigDump::DynamicListenerState* out) {
  out->set_version_info(status.version);
  SetAny(*status.resource, out->mutable_listener());
  *out->mutable_last_updated() = TimeUtil::MillisecondsToTimestamp(status.updated_ms);
}

admin::ListenersConfigDump DumpListeners(const Dump& dump) {
  admin::ListenersConfigDump out;
  out.set_version_info(dump.catalog.version(ResourceKind::kListener));
  std::map<std::string, admin::ListenersConfigDump::DynamicListener*> by_name;
  for (const Catalog::Status& status : dump.catalog.Statuses(ResourceKind::kListener)) {
    if (!dump.names.Passes(status.name)) continue;
    if (status.is_static) {
      auto* entry = out.add_static_listeners();
      SetAny(*status.resource, entry->mutable_listener());
      *entry->mutable_last_updated() = dump.start;
      continue;
    }
    auto*& entry = by_name[status.name];
    if (entry == nullptr) entry = out.add_dynamic_listeners();
    entry->set_name(status.name);
    if (status.failure != nullptr) SetFailure(*status.failure, entry->mutable_error_state());
    if (status.resource == nullptr) continue;
    const bool warming = status.stage == Catalog::Stage::kWarming;
    SetListenerState(status, warming ? entry->mutable_warming_state() : entry->mutable_active_state());
  }
  return out;
}

// Inline tables of the connection managers of one listener.
void CollectInlineTables(const Listener& listener, std::vector<std::shared_ptr<const RouteTable>>* out) {
  const auto collect = [out](const FilterChain& chain) {
    for (const NetworkFilter& filter : chain.filters) {
      if (filter.http != nullptr && filter.http->route_table != nullptr) out->push_back(filter.http->route_table);
    }
  };
  for (const auto& chain : listener.filter_chains) collect(*chain);
  if (listener.default_filter_chain != nullptr) collect(*listener.default_filter_chain);
}

admin::RoutesConfigDump DumpRoutes(const Dump& dump) {
  admin::RoutesConfigDump out;
  for (const Catalog::Status& status : dump.catalog.Statuses(ResourceKind::kListener)) {
    if (status.resource == nullptr) continue;
    std::vector<std::shared_ptr<const RouteTable>> tables;
    CollectInlineTables(*std::get<std::shared_ptr<const Listener>>(status.resource->value), &tables);
    for (const auto& table : tables) {
      if (!dump.names.Passes(table->name())) continue;
      auto* entry = out.add_static_route_configs();
      entry->mutable_route_config()->set_type_url(std::string(TypeOf(ResourceKind::kRouteTable).type_url));
      entry->mutable_route_config()->set_value(table->original());
      *entry->mutable_last_updated() = dump.start;
    }
  }
  for (const Catalog::Status& status : dump.catalog.Statuses(ResourceKind::kRouteTable)) {
    if (!dump.names.Passes(status.name)) continue;
    auto* entry = out.add_dynamic_route_configs();
    if (status.resource != nullptr) SetAny(*status.resource, entry->mutable_route_config());
    SetCommon(status, entry);
  }
  return out;
}

admin::SecretsConfigDump DumpSecrets(const Dump& dump) {
  admin::SecretsConfigDump out;
  for (const Catalog::Status& status : dump.catalog.Statuses(ResourceKind::kSecret)) {
    if (!dump.names.Passes(status.name)) continue;
    if (status.is_static) {
      auto* entry = out.add_static_secrets();
      entry->set_name(status.name);
      SetAny(*status.resource, entry->mutable_secret());
      *entry->mutable_last_updated() = dump.start;
      continue;
    }
    const bool warming = status.resource == nullptr;
    auto* entry = warming ? out.add_dynamic_warming_secrets() : out.add_dynamic_active_secrets();
    entry->set_name(status.name);
    if (!warming) SetAny(*status.resource, entry->mutable_secret());
    SetCommon(status, entry);
  }
  return out;
}

std::vector<std::unique_ptr<Message>> Collect(const Dump& dump, bool include_eds) {
  std::vector<std::unique_ptr<Message>> all;
  const auto add = [&all](auto message) { all.push_back(std::make_unique<decltype(message)>(std::move(message))); };
  add(DumpBootstrap(dump));
  add(DumpClusters(dump));
  if (include_eds) add(DumpEndpoints(dump));
  add(DumpListeners(dump));
  add(admin::ScopedRoutesConfigDump());
  add(DumpRoutes(dump));
  add(DumpSecrets(dump));
  return all;
}

// The elements of the one list that was asked for.
absl::Status AddResource(const std::vector<std::unique_ptr<Message>>& all, const ConfigDumpQuery& query,
                         admin::ConfigDump* out) {
  for (const auto& message : all) {
    const auto* field = message->GetDescriptor()->FindFieldByName(query.resource);
    if (field == nullptr) continue;
    if (!field->is_repeated()) {
      return absl::InvalidArgumentError(
          absl::StrCat(query.resource, " is not a repeated field. Use ?mask={", query.resource, "} to get only this field\n"));
    }
    const auto* reflection = message->GetReflection();
    for (int i = 0; i < reflection->FieldSize(*message, field); ++i) {
      std::unique_ptr<Message> element(message->New());
      element.reset(reflection->GetRepeatedMessage(*message, field, i).New());
      element->CopyFrom(reflection->GetRepeatedMessage(*message, field, i));
      if (!query.mask.empty()) {
        google::protobuf::FieldMask mask;
        google::protobuf::util::FieldMaskUtil::FromString(query.mask, &mask);
        google::protobuf::util::FieldMaskUtil::TrimMessage(mask, element.get());
      }
      out->add_configs()->PackFrom(*element);
    }
    return absl::OkStatus();
  }
  return absl::NotFoundError(absl::StrCat(query.resource, " not found in config dump"));
}

}  // namespace

absl::StatusOr<std::string> RenderConfigDump(const Bootstrap& bootstrap, const Catalog& catalog,
                                             const ConfigDumpQuery& query, int64_t start_ms) {
  const NameFilter names(query.name_regex);
  if (!names.ok()) return absl::InvalidArgumentError("Error while parsing name_regex from " + query.name_regex);
  const Dump dump{bootstrap, catalog, names, TimeUtil::MillisecondsToTimestamp(start_ms)};
  const std::vector<std::unique_ptr<Message>> all = Collect(dump, query.include_eds);
  admin::ConfigDump out;
  if (!query.resource.empty()) {
    const absl::Status status = AddResource(all, query, &out);
    if (!status.ok()) return status;
  } else {
    for (const auto& message : all) {
      if (!query.mask.empty()) {
        google::protobuf::FieldMask mask;
        google::protobuf::util::FieldMaskUtil::FromString(query.mask, &mask);
        google::protobuf::util::FieldMaskUtil::TrimMessage(mask, message.get());
      }
      out.add_configs()->PackFrom(*message);
    }
  }
  Redact(&out);
  return ToJson(out);
}

}  // namespace remora::xds
