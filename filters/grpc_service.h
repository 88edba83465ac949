#ifndef REMORA_FILTERS_GRPC_SERVICE_H_
#define REMORA_FILTERS_GRPC_SERVICE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "filters/api/filter.h"
#include "filters/formatter.h"

namespace envoy::config::core::v3 {
class GrpcService;
}

namespace remora {

// A service that filters call over gRPC, as GrpcService names it. Threads: const after Parse.
struct GrpcServiceTarget {
  std::string cluster;
  std::string authority;
  int64_t timeout_ms = 0;  // 0: none given
  std::vector<std::pair<std::string, std::shared_ptr<const Formatter>>> metadata;

  // `filter` is named in errors.
  static absl::StatusOr<GrpcServiceTarget> Parse(absl::string_view filter,
                                                 const envoy::config::core::v3::GrpcService& proto);

  // A call with all but its message.
  GrpcCall Call(FilterContext& context, absl::string_view method) const;
};

}  // namespace remora

#endif  // REMORA_FILTERS_GRPC_SERVICE_H_
