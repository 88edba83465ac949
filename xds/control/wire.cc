#include "xds/control/wire.h"

#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "envoy/config/core/v3/base.pb.h"
#include "envoy/service/discovery/v3/discovery.pb.h"

namespace remora::control {
namespace {

namespace discovery = envoy::service::discovery::v3;

constexpr char kControlPlane[] = "remora-control";

template <typename Request>
void TakeCommon(const Request& request, ParsedAsk* out) {
  out->ask.type_url = request.type_url();
  out->ask.nonce = request.response_nonce();
  if (request.has_error_detail()) {
    out->ask.error = request.error_detail().message();
  }
  if (!request.has_node()) return;
  const auto& node = request.node();
  out->node_id = node.id();
  out->user_agent = node.user_agent_name();
  if (node.has_user_agent_build_version()) {
    const auto& version = node.user_agent_build_version().version();
    absl::StrAppend(&out->user_agent, " ", version.major_number(), ".", version.minor_number(), ".",
                    version.patch());
  } else if (!node.user_agent_version().empty()) {
    absl::StrAppend(&out->user_agent, " ", node.user_agent_version());
  }
}

absl::Status Malformed() { return absl::InvalidArgumentError("malformed discovery request"); }

}  // namespace

absl::StatusOr<ParsedAsk> ParseAsk(Spelling spelling, absl::string_view bytes) {
  ParsedAsk out;
  const int size = static_cast<int>(bytes.size());
  if (spelling == Spelling::kSotw) {
    discovery::DiscoveryRequest request;
    if (!request.ParseFromArray(bytes.data(), size)) return Malformed();
    TakeCommon(request, &out);
    out.ask.names.assign(request.resource_names().begin(), request.resource_names().end());
    return out;
  }
  discovery::DeltaDiscoveryRequest request;
  if (!request.ParseFromArray(bytes.data(), size)) return Malformed();
  TakeCommon(request, &out);
  out.ask.names.assign(request.resource_names_subscribe().begin(),
                       request.resource_names_subscribe().end());
  out.ask.unsubscribe.assign(request.resource_names_unsubscribe().begin(),
                             request.resource_names_unsubscribe().end());
  out.ask.known.insert(request.initial_resource_versions().begin(),
                       request.initial_resource_versions().end());
  return out;
}

std::string EncodeAnswer(Spelling spelling, const DiscoveryAnswer& answer) {
  const std::string url(TypeUrl(answer.type));
  if (spelling == Spelling::kSotw) {
    discovery::DiscoveryResponse response;
    response.set_version_info(answer.version);
    response.set_type_url(url);
    response.set_nonce(answer.nonce);
    response.mutable_control_plane()->set_identifier(kControlPlane);
    for (const auto& [name, resource] : answer.resources) {
      auto* any = response.add_resources();
      any->set_type_url(url);
      any->set_value(resource->body);
    }
    return response.SerializeAsString();
  }
  discovery::DeltaDiscoveryResponse response;
  response.set_system_version_info(answer.version);
  response.set_type_url(url);
  response.set_nonce(answer.nonce);
  response.mutable_control_plane()->set_identifier(kControlPlane);
  for (const auto& [name, resource] : answer.resources) {
    auto* entry = response.add_resources();
    entry->set_name(name);
    entry->set_version(resource->version);
    entry->mutable_resource()->set_type_url(url);
    entry->mutable_resource()->set_value(resource->body);
  }
  for (const std::string& name : answer.removed) {
    response.add_removed_resources(name);
  }
  return response.SerializeAsString();
}

std::optional<Method> FindMethod(absl::string_view path) {
  struct Row {
    absl::string_view service;
    absl::string_view resources;
    std::optional<Type> only;
  };
  static constexpr std::array<Row, 6> kServices = {{
      {"discovery.v3.AggregatedDiscoveryService", "AggregatedResources", std::nullopt},
      {"cluster.v3.ClusterDiscoveryService", "Clusters", Type::kCluster},
      {"endpoint.v3.EndpointDiscoveryService", "Endpoints", Type::kEndpoint},
      {"listener.v3.ListenerDiscoveryService", "Listeners", Type::kListener},
      {"route.v3.RouteDiscoveryService", "Routes", Type::kRoute},
      {"secret.v3.SecretDiscoveryService", "Secrets", Type::kSecret},
  }};
  for (const Row& row : kServices) {
    const std::string head = absl::StrCat("/envoy.service.", row.service, "/");
    if (path == absl::StrCat(head, "Stream", row.resources)) {
      return Method{Spelling::kSotw, row.only};
    }
    if (path == absl::StrCat(head, "Delta", row.resources)) {
      return Method{Spelling::kDelta, row.only};
    }
  }
  return std::nullopt;
}

}  // namespace remora::control
