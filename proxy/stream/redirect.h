#ifndef REMORA_PROXY_STREAM_REDIRECT_H_
#define REMORA_PROXY_STREAM_REDIRECT_H_

#include "absl/strings/string_view.h"
#include "filters/api/headers.h"
#include "xds/route.h"

namespace remora::proxy {

// Applies the path rewrite of a redirect to :path and keeps the old one in x-envoy-original-path.
void RewriteRedirectPath(const xds::Route& route, const xds::RedirectAction& redirect,
                         Headers& request);

// The Location of a redirect; text in the request's arena.
absl::string_view RedirectLocation(const xds::RedirectAction& redirect, const Headers& request);

// "https://" host path, for virtual hosts that require TLS.
absl::string_view TlsRedirectLocation(const Headers& request);

// Scheme, host and path as the request says: the Location of direct responses that carry one.
absl::string_view RequestUrl(const Headers& request);

}  // namespace remora::proxy

#endif  // REMORA_PROXY_STREAM_REDIRECT_H_
