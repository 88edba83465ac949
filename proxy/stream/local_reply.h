#ifndef REMORA_PROXY_STREAM_LOCAL_REPLY_H_
#define REMORA_PROXY_STREAM_LOCAL_REPLY_H_

#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"
#include "filters/api/filter.h"
#include "filters/api/headers.h"
#include "filters/api/stream_info.h"
#include "filters/runtime.h"
#include "proxy/stream/apply_mutations.h"
#include "xds/http_connection_manager.h"

namespace remora::proxy {

// The reason phrase that stands as a body where Envoy gives one ("Bad Request"); "" when unknown.
absl::string_view StatusText(int status);

struct LocalReplyContext {
  const xds::HttpConnectionManager& config;
  // Response headers of these levels are changed as for any response; empty for direct responses,
  // whose `edit` does it, and while no route is chosen.
  MutationLevels levels;
  const Runtime* runtime = nullptr;
  uint64_t random = 0;
  Arena& arena;
  StreamInfo& info;
  // Whether the client asked by gRPC, whatever filters made of the request; absent: as it is now.
  std::optional<bool> grpc = {};
};

struct PreparedReply {
  Headers* headers = nullptr;  // in the arena
  absl::string_view body;      // static or in the arena; empty for HEAD and gRPC
};

// Makes a reply of our own, as Envoy does: mutations of the route, the reply's own edits,
// local_reply_config (status, body, format, headers), then, for a gRPC request, trailers-only with
// the mapped status.
PreparedReply PrepareLocalReply(const LocalReply& reply, const LocalReplyContext& context);

}  // namespace remora::proxy

#endif  // REMORA_PROXY_STREAM_LOCAL_REPLY_H_
