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
#include "xds/type_registry.h"

namespace remora::xds {
namespace {

namespace admin = ::envoy::admin::v3;
using google::protobuf::Any;
using google::protobuf::FieldMask;
using google::protobuf::Message;
using google::protobuf::util::FieldMaskUtil;
using google::protobuf::util::TimeUtil;

// Lets a resource through by its name.
class NameFilter {
 public:
  explicit NameFilter(const std::string& regex) {
    if (!regex.empty()) regex_ = std::make_unique<re2::RE2>(regex, re2::RE2::Quiet);
  }
  bool ok() const { return regex_ == nullptr || regex_->ok(); }
  const std::string& error() const { return regex_->error(); }
  bool Passes(const std::string& name) const {
    return regex_ == nullptr || re2::RE2::FullMatch(name, *regex_);
  }

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

void SetFailure(ResourceKind kind, const Catalog::Failure& failure,
                admin::UpdateFailureState* out) {
  if (!failure.bytes.empty()) {
    out->mutable_failed_configuration()->set_type_url(std::string(TypeOf(kind).type_url));
    out->mutable_failed_configuration()->set_value(failure.bytes);
  }
  out->set_details(failure.details);
  out->set_version_info(failure.version);
  *out->mutable_last_update_attempt() = TimeUtil::MillisecondsToTimestamp(failure.time_ms);
}

// The fields that most entries share.
template <typename Entry>
void SetCommon(ResourceKind kind, const Catalog::Status& status, Entry* out) {
  if (!status.version.empty()) out->set_version_info(status.version);
  if (status.updated_ms > 0)
    *out->mutable_last_updated() = TimeUtil::MillisecondsToTimestamp(status.updated_ms);
  if (status.failure != nullptr) SetFailure(kind, *status.failure, out->mutable_error_state());
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
  // As a control plane sees it.
  out.mutable_bootstrap()->mutable_node()->ParseFromString(dump.bootstrap.node.original);
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
    SetCommon(ResourceKind::kCluster, status, entry);
  }
  return out;
}

admin::EndpointsConfigDump DumpEndpoints(const Dump& dump,
                                         const std::vector<ConfigDumpQuery::Endpoints>& all) {
  admin::EndpointsConfigDump out;
  for (const ConfigDumpQuery::Endpoints& endpoints : all) {
    if (!dump.names.Passes(endpoints.cluster)) continue;
    Any* any = endpoints.added_via_api
                   ? out.add_dynamic_endpoint_configs()->mutable_endpoint_config()
                   : out.add_static_endpoint_configs()->mutable_endpoint_config();
    any->set_type_url(std::string(TypeOf(ResourceKind::kEndpoints).type_url));
    any->set_value(endpoints.assignment);
  }
  return out;
}

void SetListenerState(const Catalog::Status& status,
                      admin::ListenersConfigDump::DynamicListenerState* out) {
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
    if (status.failure != nullptr)
      SetFailure(ResourceKind::kListener, *status.failure, entry->mutable_error_state());
    if (status.resource == nullptr) continue;
    const bool warming = status.stage == Catalog::Stage::kWarming;
    SetListenerState(status,
                     warming ? entry->mutable_warming_state() : entry->mutable_active_state());
  }
  return out;
}

// Inline tables of the connection managers of one listener.
void CollectInlineTables(const Listener& listener,
                         std::vector<std::shared_ptr<const RouteTable>>* out) {
  const auto collect = [out](const FilterChain& chain) {
    for (const NetworkFilter& filter : chain.filters) {
      if (filter.http != nullptr && filter.http->route_table != nullptr)
        out->push_back(filter.http->route_table);
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
    CollectInlineTables(*std::get<std::shared_ptr<const Listener>>(status.resource->value),
                        &tables);
    for (const auto& table : tables) {
      if (!dump.names.Passes(table->name())) continue;
      auto* entry = out.add_static_route_configs();
      entry->mutable_route_config()->set_type_url(
          std::string(TypeOf(ResourceKind::kRouteTable).type_url));
      entry->mutable_route_config()->set_value(table->original());
      *entry->mutable_last_updated() = dump.start;
    }
  }
  for (const Catalog::Status& status : dump.catalog.Statuses(ResourceKind::kRouteTable)) {
    if (!dump.names.Passes(status.name)) continue;
    auto* entry = out.add_dynamic_route_configs();
    if (status.resource != nullptr) SetAny(*status.resource, entry->mutable_route_config());
    SetCommon(ResourceKind::kRouteTable, status, entry);
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
    SetCommon(ResourceKind::kSecret, status, entry);
  }
  return out;
}

std::vector<std::unique_ptr<Message>> Collect(const Dump& dump, const ConfigDumpQuery& query) {
  std::vector<std::unique_ptr<Message>> all;
  const auto add = [&all](auto message) {
    all.push_back(std::make_unique<decltype(message)>(std::move(message)));
  };
  add(DumpBootstrap(dump));
  add(DumpClusters(dump));
  if (query.include_eds) add(DumpEndpoints(dump, query.endpoints));
  add(DumpListeners(dump));
  add(admin::ScopedRoutesConfigDump());
  add(DumpRoutes(dump));
  add(DumpSecrets(dump));
  return all;
}

FieldMask ParseMask(const std::string& text) {
  FieldMask mask;
  FieldMaskUtil::FromString(text, &mask);
  return mask;
}

// False when a path of the mask leads nowhere in this message.
bool Trim(const FieldMask& mask, Message* message) {
  for (const std::string& path : mask.paths()) {
    if (!FieldMaskUtil::GetFieldDescriptors(message->GetDescriptor(), path, nullptr)) return false;
  }
  FieldMaskUtil::TrimMessage(mask, message);
  return true;
}

// A mask over one element of a list reaches into the resource: "cluster.name".
void TrimElement(const FieldMask& mask, Message* element) {
  FieldMask outer;
  FieldMask inner;
  Any* any = nullptr;
  for (const std::string& path : mask.paths()) {
    const std::pair<std::string, std::string> parts = absl::StrSplit(path, absl::MaxSplits('.', 1));
    const auto* field = element->GetDescriptor()->FindFieldByName(parts.first);
    const bool is_any = field != nullptr && field->message_type() != nullptr &&
                        !field->is_repeated() &&
                        field->message_type()->full_name() == "google.protobuf.Any";
    outer.add_paths(is_any ? parts.first : path);
    if (!is_any || parts.second.empty() || !element->GetReflection()->HasField(*element, field))
      continue;
    inner.add_paths(parts.second);
    any = dynamic_cast<Any*>(element->GetReflection()->MutableMessage(element, field));
  }
  if (any != nullptr) {
    const std::unique_ptr<Message> resource = NewMessage(TypeName(any->type_url()));
    if (resource != nullptr && resource->ParseFromString(any->value())) {
      FieldMaskUtil::TrimMessage(inner, resource.get());
      any->set_value(SerializeDeterministically(*resource));
    }
  }
  FieldMaskUtil::TrimMessage(outer, element);
}

// The elements of the one list that was asked for.
absl::Status AddResource(const std::vector<std::unique_ptr<Message>>& all,
                         const ConfigDumpQuery& query, admin::ConfigDump* out) {
  for (const auto& message : all) {
    const auto* field = message->GetDescriptor()->FindFieldByName(query.resource);
    if (field == nullptr) continue;
    if (!field->is_repeated()) {
      return absl::InvalidArgumentError(
          absl::StrCat(query.resource, " is not a repeated field. Use ?mask=", query.resource,
                       " to get only this field"));
    }
    const auto* reflection = message->GetReflection();
    for (int i = 0; i < reflection->FieldSize(*message, field); ++i) {
      const Message& from = reflection->GetRepeatedMessage(*message, field, i);
      const std::unique_ptr<Message> element(from.New());
      element->CopyFrom(from);
      if (!query.mask.empty()) TrimElement(ParseMask(query.mask), element.get());
      out->add_configs()->PackFrom(*element);
    }
    return absl::OkStatus();
  }
  return absl::NotFoundError(absl::StrCat(query.resource, " not found in config dump"));
}

absl::Status AddAll(const std::vector<std::unique_ptr<Message>>& all, const ConfigDumpQuery& query,
                    admin::ConfigDump* out) {
  for (const auto& message : all) {
    // Each part has fields of its own: one that the mask does not fit is left out.
    if (!query.mask.empty() && !Trim(ParseMask(query.mask), message.get())) continue;
    out->add_configs()->PackFrom(*message);
  }
  if (out->configs().empty() && !query.mask.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "FieldMask ", query.mask, " could not be successfully applied to any configs."));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> RenderConfigDump(const Bootstrap& bootstrap, const Catalog& catalog,
                                             const ConfigDumpQuery& query, int64_t start_ms) {
  const NameFilter names(query.name_regex);
  if (!names.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("INVALID_ARGUMENT: Error while parsing name_regex from ", query.name_regex,
                     ": ", names.error()));
  }
  const Dump dump{bootstrap, catalog, names, TimeUtil::MillisecondsToTimestamp(start_ms)};
  const std::vector<std::unique_ptr<Message>> all = Collect(dump, query);
  admin::ConfigDump out;
  const absl::Status status =
      query.resource.empty() ? AddAll(all, query, &out) : AddResource(all, query, &out);
  if (!status.ok()) return status;
  Redact(&out);
  return ToJson(out);
}

}  // namespace remora::xds
