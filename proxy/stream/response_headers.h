#ifndef REMORA_PROXY_STREAM_RESPONSE_HEADERS_H_
#define REMORA_PROXY_STREAM_RESPONSE_HEADERS_H_

#include "absl/strings/string_view.h"
#include "filters/api/headers.h"
#include "filters/api/stream_info.h"
#include "xds/http_connection_manager.h"

namespace remora::proxy {

// Completes response headers on their way to the client, the last step before the codec: date,
// server, hop-by-hop fields, request id, via, Proxy-Status. `request` may be null. `upgrade`: the
// response accepts an upgrade and keeps its upgrade field. `local`: Remora made it itself.
void PrepareResponseHeaders(const xds::HttpConnectionManager& config, const Headers* request,
                            absl::string_view date, bool upgrade, bool local,
                            const StreamInfo& info, const std::string& node_id, Headers& response);

}  // namespace remora::proxy

#endif  // REMORA_PROXY_STREAM_RESPONSE_HEADERS_H_
