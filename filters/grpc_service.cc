#include "filters/grpc_service.h"

#include "absl/strings/ascii.h"
#include "envoy/config/core/v3/grpc_service.pb.h"
#include "filters/typed_config.h"

namespace remora {

absl::StatusOr<GrpcServiceTarget> GrpcServiceTarget::Parse(
    absl::string_view filter, const envoy::config::core::v3::GrpcService& proto) {
  if (!proto.has_envoy_grpc()) return NotSupported(filter, "google_grpc");
  GrpcServiceTarget out;
  out.cluster = proto.envoy_grpc().cluster_name();
  out.authority = proto.envoy_grpc().authority();
  out.timeout_ms = proto.timeout().seconds() * 1000 + proto.timeout().nanos() / 1000000;
  for (const auto& header : proto.initial_metadata()) {
    absl::StatusOr<std::shared_ptr<const Formatter>> value =
        Formatter::Parse(header.value(), Formatter::Missing::kEmpty);
    if (!value.ok()) return value.status();
    out.metadata.emplace_back(absl::AsciiStrToLower(header.key()), *std::move(value));
  }
  return out;
}

GrpcCall GrpcServiceTarget::Call(FilterContext& context, absl::string_view method) const {
  GrpcCall out;
  out.cluster = cluster;
  out.authority = authority;
  out.method = method;
  out.timeout_ms = timeout_ms;
  for (const auto& [name, value] : metadata) {
    out.metadata.emplace_back(name, value->Format(context.info(), context.arena()));
  }
  return out;
}

}  // namespace remora
