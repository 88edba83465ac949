#ifndef REMORA_XDS_REST_ENCODING_H_
#define REMORA_XDS_REST_ENCODING_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "xds/ads_encoding.h"
#include "xds/resource_types.h"

namespace remora::xds {

// The third spelling of the discovery protocol: requests and responses as JSON, one POST for each
// look. What is said is the state of the world's.

// Where a kind is asked for: "/v3/discovery:clusters". Empty: that kind is not served so.
absl::string_view RestPath(ResourceKind kind);

std::string EncodeRest(const Request& request);
// `body` is a DiscoveryResponse as JSON.
absl::StatusOr<Response> DecodeRest(absl::string_view body);

}  // namespace remora::xds

#endif  // REMORA_XDS_REST_ENCODING_H_
