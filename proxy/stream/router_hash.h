#ifndef REMORA_PROXY_STREAM_ROUTER_HASH_H_
#define REMORA_PROXY_STREAM_ROUTER_HASH_H_

#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "filters/api/headers.h"
#include "filters/api/stream_info.h"
#include "xds/route.h"

namespace remora::proxy {

// Cookies that the response must set because a hash policy made them up.
struct CookiesToSet {
  static constexpr size_t kMost = 4;
  absl::string_view values[kMost];  // whole Set-Cookie values, in the request's arena
  size_t count = 0;
};

// The key that a route's hash policies give a request, as Envoy's; nothing when no policy found a
// value (the picker then draws at random).
std::optional<uint64_t> HashOfRequest(absl::Span<const xds::HashPolicy> policies,
                                      const Headers& request, const StreamInfo& info,
                                      CookiesToSet* cookies);

// The value of a cookie of the request, without quotes; nothing when it is not there.
std::optional<absl::string_view> CookieValue(const Headers& request, absl::string_view name);

}  // namespace remora::proxy

#endif  // REMORA_PROXY_STREAM_ROUTER_HASH_H_
