#include "proxy/stream/redirect.h"

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace remora::proxy {
namespace {

absl::string_view PathOnly(absl::string_view path) {
  return path.substr(0, path.find_first_of("?#"));
}

// The host without its port where the redirect's scheme or port make it wrong.
absl::string_view HostFor(absl::string_view scheme, bool new_port, const Headers& request) {
  const absl::string_view host = request.authority();
  if (host.empty()) return host;
  size_t colon;
  if (host.front() == '[') {
    colon = host.rfind("]:");
    if (colon != absl::string_view::npos) ++colon;
  } else {
    colon = host.rfind(':');
  }
  if (colon == absl::string_view::npos) return host;
  const absl::string_view port = host.substr(colon);
  const absl::string_view protocol = request.Value(HeaderId::kXForwardedProto);
  bool remove = new_port;
  if (scheme != protocol) {
    remove =
        remove || (protocol == "https" && port == ":443") || (protocol == "http" && port == ":80");
  }
  return remove ? host.substr(0, colon) : host;
}

absl::string_view FinalPath(const xds::RedirectAction& redirect, const Headers& request) {
  const bool own_query = absl::StrContains(redirect.path, "?");
  absl::string_view path = request.path();
  if (!redirect.path.empty()) {
    const size_t mark = path.find('?');
    path = own_query || mark == absl::string_view::npos
               ? absl::string_view(redirect.path)
               : request.arena().Concat(redirect.path, path.substr(mark));
  }
  if (!own_query && redirect.strip_query) path = path.substr(0, path.find('?'));
  return path;
}

absl::string_view Join(const Headers& request, absl::string_view scheme, absl::string_view host,
                       absl::string_view port, absl::string_view path) {
  std::string location;
  absl::StrAppend(&location, scheme, "://", host, port, path);
  return request.arena().Copy(location);
}

}  // namespace

void RewriteRedirectPath(const xds::Route& route, const xds::RedirectAction& redirect,
                         Headers& request) {
  const absl::string_view path = request.path();
  std::string rewritten;
  if (redirect.has_prefix_rewrite) {
    const absl::string_view only = PathOnly(path);
    size_t matched = route.match.path().size();
    if (route.match.path_kind() == xds::RouteMatch::PathKind::kExact) matched = only.size();
    matched = std::min(matched, only.size());
    absl::StrAppend(&rewritten, redirect.prefix_rewrite, path.substr(matched));
  } else if (redirect.regex_rewrite) {
    const absl::string_view only = PathOnly(path);
    absl::StrAppend(&rewritten, redirect.regex_rewrite->Apply(only), path.substr(only.size()));
  } else {
    return;
  }
  request.Set(HeaderId::kXEnvoyOriginalPath, path);
  request.set_pseudo(HeaderId::kPath, rewritten);
}

absl::string_view RedirectLocation(const xds::RedirectAction& redirect, const Headers& request) {
  const absl::string_view scheme = !redirect.scheme.empty() ? absl::string_view(redirect.scheme)
                                   : redirect.https         ? "https"
                                                            : request.scheme();
  std::string port;
  if (redirect.port != 0) port = absl::StrCat(":", redirect.port);
  const absl::string_view host = redirect.host.empty()
                                     ? HostFor(scheme, redirect.port != 0, request)
                                     : absl::string_view(redirect.host);
  return Join(request, scheme, host, port, FinalPath(redirect, request));
}

absl::string_view TlsRedirectLocation(const Headers& request) {
  return Join(request, "https", request.authority(), "", request.path());
}

absl::string_view RequestUrl(const Headers& request) {
  return Join(request, request.scheme(), request.authority(), "", request.path());
}

}  // namespace remora::proxy
