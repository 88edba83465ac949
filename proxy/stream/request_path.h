#ifndef REMORA_PROXY_STREAM_REQUEST_PATH_H_
#define REMORA_PROXY_STREAM_REQUEST_PATH_H_

#include <cstdint>

#include "absl/strings/string_view.h"
#include "filters/api/headers.h"
#include "xds/http_connection_manager.h"

namespace remora::proxy {

// What became of a request's path before anything looks at it.
enum class PathVerdict : uint8_t { kContinue, kReject, kRedirect };

// Applies path normalisation (RFC 3986 dot segments), merged slashes and the escaped-slash action
// in Envoy's order; a fragment is refused in any case. kRedirect: :path holds the location to send
// the client to.
PathVerdict NormalizePath(const xds::HttpConnectionManager& config, Headers& request);

// Removes the port and a trailing dot of the host as configured. `local_port`: where the connection
// arrived. A CONNECT keeps its port.
void NormalizeHost(const xds::HttpConnectionManager& config, uint16_t local_port, bool connect,
                   Headers& request);

// True when :authority may stand as it is: no user info, no blanks, quotes or other characters that
// no host or port holds.
bool IsValidAuthority(absl::string_view authority);

}  // namespace remora::proxy

#endif  // REMORA_PROXY_STREAM_REQUEST_PATH_H_
