// Configuration as it is in force: dumps, listeners, certificates, what is still awaited.

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "envoy/admin/v3/certs.pb.h"
#include "envoy/admin/v3/init_dump.pb.h"
#include "envoy/admin/v3/listeners.pb.h"
#include "google/protobuf/util/time_util.h"
#include "proxy/main/admin/endpoints_in_force.h"
#include "proxy/main/admin/page_handlers.h"
#include "proxy/main/admin/proto_address.h"
#include "xds/config_dump.h"

namespace remora::proxy {
namespace {

namespace admin = ::envoy::admin::v3;
using google::protobuf::util::TimeUtil;

constexpr int64_t kSecondsPerDay = 86400;

AdminResponse Json(const google::protobuf::Message& message) {
  AdminResponse response;
  response.content_type = kAdminJson;
  response.body = xds::ToJson(message);
  return response;
}

std::string Value(const AdminRequest& request, absl::string_view name) {
  const std::string* value = request.Find(name);
  return value == nullptr ? "" : *value;
}

void Describe(const CertificateFacts& facts, int64_t now_s, admin::CertificateDetails* out) {
  out->set_path(facts.path);
  out->set_serial_number(facts.serial);
  for (const auto& [kind, name] : facts.subject_alt_names) {
    auto* san = out->add_subject_alt_names();
    switch (kind) {
      case CertificateFacts::NameKind::kDns:
        san->set_dns(name);
        break;
      case CertificateFacts::NameKind::kUri:
        san->set_uri(name);
        break;
      case CertificateFacts::NameKind::kIpAddress:
        san->set_ip_address(name);
        break;
    }
  }
  const int64_t left = facts.expires_s - now_s;
  out->set_days_until_expiration(left > 0 ? static_cast<uint64_t>(left / kSecondsPerDay) : 0);
  *out->mutable_valid_from() = TimeUtil::SecondsToTimestamp(facts.valid_from_s);
  *out->mutable_expiration_time() = TimeUtil::SecondsToTimestamp(facts.expires_s);
}

AdminResponse ListenersJson(const std::vector<AdminListener>& listeners) {
  admin::Listeners out;
  for (const AdminListener& listener : listeners) {
    auto* status = out.add_listener_statuses();
    status->set_name(listener.name);
    for (size_t i = 0; i < listener.addresses.size(); ++i) {
      SetProtoAddress(listener.addresses[i], i == 0 ? status->mutable_local_address()
                                                    : status->add_additional_local_addresses());
    }
  }
  return Json(out);
}

}  // namespace

AdminResponse ConfigDumpPage(AdminPages& pages, const AdminRequest& request) {
  xds::ConfigDumpQuery query;
  query.resource = Value(request, "resource");
  query.mask = Value(request, "mask");
  query.name_regex = Value(request, "name_regex");
  query.include_eds = request.Has("include_eds") && Value(request, "include_eds") != "false";
  AdminState& state = pages.state();
  if (query.include_eds) {
    for (const AdminCluster& shown : state.clusters()) {
      query.endpoints.push_back(
          {shown.cluster->name(), EndpointsInForce(*shown.cluster), shown.added_via_api});
    }
  }
  const std::vector<xds::ListenerResource> draining = state.draining_listeners();
  for (const xds::ListenerResource& listener : draining) {
    if (!listener.added_via_api) continue;
    query.draining.push_back(
        {listener.config->name, listener.version, &listener.config->original, listener.updated_ms});
  }
  absl::StatusOr<std::string> dump =
      xds::RenderConfigDump(state.bootstrap(), state.catalog(), query, state.start_ms());
  AdminResponse response;
  if (dump.ok()) {
    response.content_type = kAdminJson;
    response.body = *std::move(dump);
    return response;
  }
  response.status = absl::IsNotFound(dump.status()) ? 404 : 400;
  response.content_type = kAdminPlain;
  response.body = std::string(dump.status().message());
  return response;
}

AdminResponse InitDumpPage(AdminPages& pages, const AdminRequest& request) {
  admin::UnreadyTargetsDumps out;
  const std::string mask = Value(request, "mask");
  if (mask.empty() || mask == "listener") {
    for (const auto& [listener, names] : pages.state().catalog().UnreadyListeners()) {
      auto* dump = out.add_unready_targets_dumps();
      dump->set_name(absl::StrCat("init manager Listener-local-init-manager ", listener));
      for (const std::string& name : names) dump->add_target_names(name);
    }
  }
  return Json(out);
}

AdminResponse ListenersPage(AdminPages& pages, const AdminRequest& request) {
  const std::vector<AdminListener> listeners = pages.state().listeners();
  if (Value(request, "format") == "json") return ListenersJson(listeners);
  AdminResponse response;
  for (const AdminListener& listener : listeners) {
    for (const Address& address : listener.addresses) {
      absl::StrAppend(&response.body, listener.name, "::", address.ToString(), "\n");
    }
  }
  return response;
}

AdminResponse CertsPage(AdminPages& pages, const AdminRequest& /*request*/) {
  admin::Certificates out;
  const int64_t now_s = pages.state().now_s();
  for (const ContextCertificates& context : pages.state().certificates()) {
    auto* certificate = out.add_certificates();
    for (const CertificateFacts& facts : context.trusted)
      Describe(facts, now_s, certificate->add_ca_cert());
    for (const CertificateFacts& facts : context.chain)
      Describe(facts, now_s, certificate->add_cert_chain());
  }
  AdminResponse response;
  response.content_type = kAdminJson;
  response.body = xds::ToJson(out, /*always_print_primitives=*/true);
  return response;
}

}  // namespace remora::proxy
