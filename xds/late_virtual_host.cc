#include "xds/late_virtual_host.h"

#include "envoy/config/route/v3/route_components.pb.h"
#include "xds/route.h"
#include "xds/type_registry.h"

namespace remora::xds {

absl::StatusOr<std::shared_ptr<const LateVirtualHost>> LateVirtualHost::Parse(
    const envoy::config::route::v3::VirtualHost& proto, ParseContext& context) {
  const size_t before = context.error_count();
  VirtualHost::Parse(proto, context);
  absl::Status status = context.StatusSince(before);
  if (!status.ok()) return status;
  auto out = std::make_shared<LateVirtualHost>();
  out->original = SerializeDeterministically(proto);
  return out;
}

absl::string_view TableOfVirtualHost(absl::string_view resource_name) {
  const size_t slash = resource_name.rfind('/');
  return slash == absl::string_view::npos ? "" : resource_name.substr(0, slash);
}

}  // namespace remora::xds
