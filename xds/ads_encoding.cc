#include "xds/ads_encoding.h"

#include "envoy/service/discovery/v3/discovery.pb.h"
#include "xds/durations.h"

namespace remora::xds {
namespace {

namespace discovery = ::envoy::service::discovery::v3;

// gRPC's INVALID_ARGUMENT, as servers expect in a refusal.
constexpr int kInvalidArgument = 3;

template <typename Message>
void SetCommon(const Request& request, Message& out) {
  out.set_type_url(request.type_url);
  out.set_response_nonce(request.nonce);
  if (!request.node.empty()) out.mutable_node()->ParseFromString(request.node);
  if (request.error.empty()) return;
  out.mutable_error_detail()->set_code(kInvalidArgument);
  out.mutable_error_detail()->set_message(request.error);
}

std::string EncodeSotw(const Request& request) {
  discovery::DiscoveryRequest out;
  SetCommon(request, out);
  out.set_version_info(request.version);
  for (const std::string& name : request.names) out.add_resource_names(name);
  return out.SerializeAsString();
}

std::string EncodeDelta(const Request& request) {
  discovery::DeltaDiscoveryRequest out;
  SetCommon(request, out);
  for (const std::string& name : request.subscribe) out.add_resource_names_subscribe(name);
  for (const std::string& name : request.unsubscribe) out.add_resource_names_unsubscribe(name);
  for (const auto& [name, version] : request.initial_versions) {
    (*out.mutable_initial_resource_versions())[name] = version;
  }
  return out.SerializeAsString();
}

WireResource FromEnvelope(const discovery::Resource& envelope) {
  WireResource resource;
  resource.name = envelope.name();
  resource.version = envelope.version();
  resource.heartbeat = !envelope.has_resource();
  if (envelope.has_ttl()) resource.ttl = FromProto(envelope.ttl());
  resource.type_url = envelope.resource().type_url();
  resource.bytes = envelope.resource().value();
  return resource;
}

absl::StatusOr<Response> DecodeSotw(absl::string_view bytes) {
  discovery::DiscoveryResponse in;
  if (!in.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return absl::InvalidArgumentError("malformed DiscoveryResponse");
  }
  Response response;
  response.type_url = in.type_url();
  response.version = in.version_info();
  response.nonce = in.nonce();
  response.control_plane = in.control_plane().identifier();
  for (const auto& any : in.resources()) {
    discovery::Resource envelope;
    if (any.Is<discovery::Resource>() && any.UnpackTo(&envelope)) {
      response.resources.push_back(FromEnvelope(envelope));
      continue;
    }
    WireResource resource;
    resource.type_url = any.type_url();
    resource.bytes = any.value();
    response.resources.push_back(std::move(resource));
  }
  return response;
}

absl::StatusOr<Response> DecodeDelta(absl::string_view bytes) {
  discovery::DeltaDiscoveryResponse in;
  if (!in.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return absl::InvalidArgumentError("malformed DeltaDiscoveryResponse");
  }
  Response response;
  response.type_url = in.type_url();
  response.version = in.system_version_info();
  response.nonce = in.nonce();
  response.control_plane = in.control_plane().identifier();
  for (const auto& envelope : in.resources()) response.resources.push_back(FromEnvelope(envelope));
  response.removed.assign(in.removed_resources().begin(), in.removed_resources().end());
  return response;
}

}  // namespace

std::string Encode(const Request& request, Spelling spelling) {
  return spelling == Spelling::kSotw ? EncodeSotw(request) : EncodeDelta(request);
}

absl::StatusOr<Response> Decode(absl::string_view bytes, Spelling spelling) {
  return spelling == Spelling::kSotw ? DecodeSotw(bytes) : DecodeDelta(bytes);
}

absl::string_view AggregatedMethod(Spelling spelling) {
  return spelling == Spelling::kSotw
             ? "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"
             : "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
}

}  // namespace remora::xds
