#include "xds/config_dump.h"

#include <re2/re2.h>

#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "envoy/admin/v3/config_dump.pb.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"
#include "google/protobuf/util/field_mask_util.h"
#include "google/protobuf/util/json_util.h"
#include "google/protobuf/util/time_util.h"
#include "xds/extension_config.h"
#include "xds/http_connection_manager.h"
#include "xds/redact.h"
#include "xds/scoped_route.h"
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

void SetAny(const Resource& resource, Any* out) {
  out->set_type_url(std::string(TypeOf(resource.kind).type_url));
  out->set_value(OriginalOf(resource));
}

void SetFailure(ResourceKind kind, const Catalog::Failure& failure,
                admin::UpdateFailureState* out) {
  if (!failure.bytes.empty()) {
    out->mutable_failed_configuration()->set_type_url(std::string(TypeOf(kind).type_url));
    out->mutable_failed_configuration()->set_value(failure.bytes);
  }
  out->set_details(failure.details);
  if (failure.time_ms > 0)
    *out->mutable_last_update_attempt() = TimeUtil::MillisecondsToTimestamp(failure.time_ms);
}

// The fields that most entries share.
template <typename Entry>
void SetCommon(const Catalog::Status& status, Entry* out) {
  if (!status.version.empty()) out->set_version_info(status.version);
  if (status.updated_ms > 0)
    *out->mutable_last_updated() = TimeUtil::MillisecondsToTimestamp(status.updated_ms);
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
    const bool warming = status.stage == Catalog::Stage::kWarming;
    auto* entry = warming ? out.add_dynamic_warming_clusters() : out.add_dynamic_active_clusters();
    if (status.resource != nullptr) SetAny(*status.resource, entry->mutable_cluster());
    SetCommon(status, entry);
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

admin::ListenersConfigDump DumpListeners(
    const Dump& dump, const std::vector<ConfigDumpQuery::Draining>& draining_listeners) {
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
  for (const ConfigDumpQuery::Draining& draining : draining_listeners) {
    if (!dump.names.Passes(draining.name)) continue;
    auto*& entry = by_name[draining.name];
    if (entry == nullptr) entry = out.add_dynamic_listeners();
    if (entry->has_draining_state()) continue;  // the oldest is shown
    entry->set_name(draining.name);
    auto* state = entry->mutable_draining_state();
    state->set_version_info(draining.version);
    state->mutable_listener()->set_type_url(std::string(TypeOf(ResourceKind::kListener).type_url));
    state->mutable_listener()->set_value(*draining.original);
    *state->mutable_last_updated() = TimeUtil::MillisecondsToTimestamp(draining.updated_ms);
  }
  for (const Catalog::Failure& failure : dump.catalog.listener_failures())
    SetFailure(ResourceKind::kListener, failure,
               out.add_dynamic_listeners()->mutable_error_state());
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
    SetCommon(status, entry);
  }
  return out;
}

// The connection managers of one listener.
std::vector<const HttpConnectionManager*> HttpOf(const Listener& listener) {
  std::vector<const HttpConnectionManager*> out;
  const auto collect = [&out](const FilterChain& chain) {
    for (const NetworkFilter& filter : chain.filters) {
      if (filter.http != nullptr) out.push_back(filter.http.get());
    }
  };
  for (const auto& chain : listener.filter_chains) collect(*chain);
  if (listener.default_filter_chain != nullptr) collect(*listener.default_filter_chain);
  return out;
}

std::vector<const HttpConnectionManager*> AllHttp(const Dump& dump) {
  std::vector<const HttpConnectionManager*> out;
  for (const Catalog::Status& status : dump.catalog.Statuses(ResourceKind::kListener)) {
    if (status.resource == nullptr) continue;
    for (const auto* http :
         HttpOf(*std::get<std::shared_ptr<const Listener>>(status.resource->value)))
      out.push_back(http);
  }
  return out;
}

void AddInlineScopes(const Dump& dump, const ScopedRoutes& scoped,
                     admin::ScopedRoutesConfigDump* out) {
  std::map<std::string, const ScopedRoute*> by_name;
  for (const auto& [key, scope] : scoped.inline_scopes) by_name[scope->name] = scope.get();
  auto* entry = out->add_inline_scoped_route_configs();
  entry->set_name(scoped.name);
  *entry->mutable_last_updated() = dump.start;
  for (const auto& [name, scope] : by_name) {
    auto* any = entry->add_scoped_route_configs();
    any->set_type_url(std::string(TypeOf(ResourceKind::kScopedRoute).type_url));
    any->set_value(scope->original);
  }
}

admin::ScopedRoutesConfigDump DumpScopes(const Dump& dump) {
  admin::ScopedRoutesConfigDump out;
  std::set<std::string> seen;
  for (const HttpConnectionManager* http : AllHttp(dump)) {
    if (http->scoped == nullptr || !dump.names.Passes(http->scoped->name) ||
        !seen.insert(http->scoped->name).second)
      continue;
    if (!http->scoped->dynamic()) {
      AddInlineScopes(dump, *http->scoped, &out);
      continue;
    }
    auto* entry = out.add_dynamic_scoped_route_configs();
    entry->set_name(http->scoped->name);
    entry->set_version_info(dump.catalog.version(ResourceKind::kScopedRoute));
    int64_t updated = 0;
    for (const Catalog::Status& status : dump.catalog.Statuses(ResourceKind::kScopedRoute)) {
      if (status.resource == nullptr) continue;
      SetAny(*status.resource, entry->add_scoped_route_configs());
      updated = std::max(updated, status.updated_ms);
    }
    *entry->mutable_last_updated() = TimeUtil::MillisecondsToTimestamp(updated);
  }
  return out;
}

// Filters whose configuration comes by ECDS.
std::set<std::string> AllDiscovered(const Dump& dump) {
  std::set<std::string> out;
  for (const HttpConnectionManager* http : AllHttp(dump)) {
    for (const HttpFilterConfig& filter : http->filters) {
      if (filter.discovery != nullptr) out.insert(filter.discovery->name);
    }
  }
  return out;
}

admin::EcdsConfigDump DumpExtensions(const Dump& dump) {
  admin::EcdsConfigDump out;
  for (const Catalog::Status& status : dump.catalog.Statuses(ResourceKind::kExtension)) {
    if (status.resource == nullptr || !dump.names.Passes(status.name)) continue;
    auto* entry = out.add_ecds_filters();
    SetAny(*status.resource, entry->mutable_ecds_filter());
    SetCommon(status, entry);
  }
  return out;
}

void Inline(const DataSource& source, envoy::config::core::v3::DataSource* out) {
  if (!source.file.empty()) out->set_inline_bytes(source.bytes);
}

// A secret with the contents of its files in their place, as it is in force.
std::string Loaded(const Secret& secret) {
  envoy::extensions::transport_sockets::tls::v3::Secret proto;
  proto.ParseFromString(secret.original);
  if (const auto* certificate = std::get_if<TlsCertificate>(&secret.value)) {
    auto* out = proto.mutable_tls_certificate();
    Inline(certificate->certificate_chain, out->mutable_certificate_chain());
    Inline(certificate->private_key, out->mutable_private_key());
    if (out->has_pkcs12()) Inline(certificate->pkcs12, out->mutable_pkcs12());
    if (!certificate->certificate_chain) out->clear_certificate_chain();
    if (!certificate->private_key) out->clear_private_key();
  } else if (const auto* validation = std::get_if<ValidationContext>(&secret.value)) {
    auto* out = proto.mutable_validation_context();
    if (out->has_trusted_ca()) Inline(validation->trusted_ca, out->mutable_trusted_ca());
    if (out->has_crl()) Inline(validation->crl, out->mutable_crl());
  }
  return proto.SerializeAsString();
}

// Secrets that are asked for and not here yet.
void AddAwaited(const Dump& dump, admin::SecretsConfigDump* out) {
  for (const auto& [name, source] : dump.catalog.Wanted(ResourceKind::kSecret)) {
    if (dump.catalog.Has(ResourceKind::kSecret, name) || !dump.names.Passes(name)) continue;
    envoy::extensions::transport_sockets::tls::v3::Secret proto;
    proto.set_name(name);
    auto* entry = out->add_dynamic_warming_secrets();
    entry->set_name(name);
    entry->set_version_info("uninitialized");
    *entry->mutable_last_updated() = dump.start;
    entry->mutable_secret()->PackFrom(proto);
  }
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
    auto* entry = out.add_dynamic_active_secrets();
    entry->set_name(status.name);
    SetAny(*status.resource, entry->mutable_secret());
    entry->mutable_secret()->set_value(
        Loaded(*std::get<std::shared_ptr<const Secret>>(status.resource->value)));
    SetCommon(status, entry);
  }
  AddAwaited(dump, &out);
  return out;
}

std::vector<std::unique_ptr<Message>> Collect(const Dump& dump, const ConfigDumpQuery& query) {
  std::vector<std::unique_ptr<Message>> all;
  const auto add = [&all](auto message) {
    all.push_back(std::make_unique<decltype(message)>(std::move(message)));
  };
  add(DumpBootstrap(dump));
  add(DumpClusters(dump));
  if (!AllDiscovered(dump).empty()) add(DumpExtensions(dump));
  if (query.include_eds) add(DumpEndpoints(dump, query.endpoints));
  add(DumpListeners(dump, query.draining));
  add(DumpScopes(dump));
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
