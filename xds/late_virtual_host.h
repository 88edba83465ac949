#ifndef REMORA_XDS_LATE_VIRTUAL_HOST_H_
#define REMORA_XDS_LATE_VIRTUAL_HOST_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "xds/parse_context.h"

namespace envoy::config::route::v3 {
class VirtualHost;
}

namespace remora::xds {

// A virtual host that comes after its table (VHDS). Its resource is named TABLE/HOST.
struct LateVirtualHost {
  std::string original;  // the serialized proto

  // Checks it on its own; RouteTable::With() puts it into its table.
  static absl::StatusOr<std::shared_ptr<const LateVirtualHost>> Parse(
      const envoy::config::route::v3::VirtualHost& proto, ParseContext& context);
};

// The table that a resource of this name belongs to: what stands before the last slash.
absl::string_view TableOfVirtualHost(absl::string_view resource_name);

}  // namespace remora::xds

#endif  // REMORA_XDS_LATE_VIRTUAL_HOST_H_
