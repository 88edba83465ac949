#ifndef REMORA_FILTERS_GRPC_COUNTS_H_
#define REMORA_FILTERS_GRPC_COUNTS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "filters/api/body.h"
#include "filters/api/filter.h"

namespace remora {

// What gRPC calls are counted under: "cluster.NAME.grpc.SERVICE.METHOD.success" and its kin.
// Threads: the stream's.

// The service and the method that a path names; text of the path.
struct GrpcMethod {
  absl::string_view service;
  absl::string_view method;

  static std::optional<GrpcMethod> Of(absl::string_view path);
};

// The cluster's name in the statistics and all before the number's own: "cluster.web.grpc.S.M.".
// Empty when the request goes to no cluster. `method` may be null.
std::string GrpcStatPrefix(FilterContext& context, absl::string_view protocol,
                           const GrpcMethod* method);
// Counts an answer by the grpc-status of headers or trailers; nothing without one.
void CountGrpcAnswer(FilterContext& context, absl::string_view prefix, const Headers& headers);

// Counts the messages of a gRPC body as their first bytes go by.
class GrpcMessageCounter {
 public:
  // The number of messages that began in `body`.
  uint64_t Inspect(const Body& body);
  uint64_t count() const { return count_; }

 private:
  uint64_t count_ = 0;
  uint64_t left_ = 0;    // of the message under way
  uint32_t length_ = 0;  // its length, while that is being read
  uint32_t header_ = 0;  // bytes of the frame's header seen
};

}  // namespace remora

#endif  // REMORA_FILTERS_GRPC_COUNTS_H_
