#include "xds/rest_encoding.h"

#include "envoy/service/discovery/v3/discovery.pb.h"
#include "google/protobuf/util/json_util.h"
#include "xds/config_text.h"

namespace remora::xds {

namespace discovery = ::envoy::service::discovery::v3;

absl::string_view RestPath(ResourceKind kind) {
  switch (kind) {
    case ResourceKind::kCluster:
      return "/v3/discovery:clusters";
    case ResourceKind::kEndpoints:
      return "/v3/discovery:endpoints";
    case ResourceKind::kListener:
      return "/v3/discovery:listeners";
    case ResourceKind::kRouteTable:
      return "/v3/discovery:routes";
    case ResourceKind::kSecret:
      return "/v3/discovery:secrets";
    case ResourceKind::kScopedRoute:
      return "/v3/discovery:scoped-routes";
    case ResourceKind::kExtension:
      return "/v3/discovery:extension_configs";
    case ResourceKind::kRuntime:
      return "/v3/discovery:runtime";
    case ResourceKind::kVirtualHost:
      break;  // comes piece by piece, never as a whole
  }
  return "";
}

std::string EncodeRest(const Request& request) {
  discovery::DiscoveryRequest out;
  out.set_type_url(request.type_url);
  out.set_version_info(request.version);
  if (!request.node.empty()) out.mutable_node()->ParseFromString(request.node);
  for (const std::string& name : request.names) out.add_resource_names(name);
  std::string json;
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  // Extensions that the node lists may be of any type, but are plain messages: this cannot fail.
  (void)google::protobuf::util::MessageToJsonString(out, &json, options);
  return json;
}

absl::StatusOr<Response> DecodeRest(absl::string_view body) {
  discovery::DiscoveryResponse in;
  ParseContext context(ParseContext::Origin::kDynamic);
  SourceMap source("response");
  context.set_source(&source);
  ReadInto(TextFormat::kJson, body, "response", &in, context, &source);
  if (!context.ok()) return context.status();
  return Decode(in.SerializeAsString(), Spelling::kSotw);
}

}  // namespace remora::xds
