// Discovery requests and responses as bytes: the only file besides mesh*.cc
// that knows their protos.
#ifndef REMORA_XDS_CONTROL_WIRE_H_
#define REMORA_XDS_CONTROL_WIRE_H_

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "xds/control/session.h"

namespace remora::control {

struct ParsedAsk {
  DiscoveryAsk ask;
  std::optional<std::string> node_id;  // with a stream's first request
  std::string user_agent;              // "envoy 1.40.0"
};

// DiscoveryRequest or DeltaDiscoveryRequest.
absl::StatusOr<ParsedAsk> ParseAsk(Spelling spelling, absl::string_view bytes);
// DiscoveryResponse or DeltaDiscoveryResponse.
std::string EncodeAnswer(Spelling spelling, const DiscoveryAnswer& answer);

// What a method of the discovery services speaks.
struct Method {
  Spelling spelling;
  std::optional<Type> only;  // nothing: aggregated, any type
};
// "/envoy.service.cluster.v3.ClusterDiscoveryService/DeltaClusters"; nothing
// for what is not served.
std::optional<Method> FindMethod(absl::string_view path);

}  // namespace remora::control

#endif  // REMORA_XDS_CONTROL_WIRE_H_
