#ifndef REMORA_PROXY_MAIN_ADMIN_ADMIN_SERVICE_H_
#define REMORA_PROXY_MAIN_ADMIN_ADMIN_SERVICE_H_

#include <memory>

#include "absl/status/statusor.h"
#include "xds/bootstrap.h"
#include "xds/http_connection_manager.h"

namespace remora::proxy {

// The connection manager of the admin listener, as Envoy sets its own up: every path goes on to the
// end of the chain, requests get no id, access is logged as the bootstrap says.
absl::StatusOr<std::shared_ptr<const xds::HttpConnectionManager>> AdminConnectionManager(
    const xds::AdminConfig& admin);

}  // namespace remora::proxy

#endif  // REMORA_PROXY_MAIN_ADMIN_ADMIN_SERVICE_H_
