#ifndef REMORA_FILTERS_GRPC_STATUS_H_
#define REMORA_FILTERS_GRPC_STATUS_H_

#include <string>

#include "absl/strings/string_view.h"
#include "filters/api/stream_info.h"

namespace remora {

class Headers;

// content-type is application/grpc, alone or with a "+codec" or ";" parameter behind it.
bool IsGrpcRequest(const Headers& request);

// The gRPC status of an HTTP status (the mapping of gRPC's HTTP/2 specification).
int GrpcStatusOfHttp(int http_status);

// The status of a finished gRPC exchange: trailers, else headers, else mapped from the HTTP status.
int GrpcStatusOf(const StreamInfo& info);

// "DeadlineExceeded" and "DEADLINE_EXCEEDED"; empty for numbers that are no status.
absl::string_view GrpcStatusName(int status);
absl::string_view GrpcStatusSnakeName(int status);
// The number of "DEADLINE_EXCEEDED"; -1 when there is none.
int GrpcStatusNumber(absl::string_view snake_name);

// grpc-message's percent-encoding.
void AppendGrpcMessage(absl::string_view text, std::string* out);

}  // namespace remora

#endif  // REMORA_FILTERS_GRPC_STATUS_H_
