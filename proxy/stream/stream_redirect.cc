// Answers that send a request on inside the proxy: the request begins anew, as the answer says.
#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "proxy/stream/http_connection.h"
#include "proxy/stream/http_service.h"
#include "proxy/stream/http_worker.h"
#include "proxy/stream/stream.h"

namespace remora::proxy {
namespace {

// An absolute URL, taken apart.
struct Url {
  bool http = true;  // else https
  absl::string_view authority;
  absl::string_view path;  // with its query, without fragment; "" for none
};

bool ParseUrl(absl::string_view text, Url* out) {
  const size_t end = text.find("://");
  if (end == absl::string_view::npos) return false;
  out->http = absl::EqualsIgnoreCase(text.substr(0, end), "http");
  if (!out->http && !absl::EqualsIgnoreCase(text.substr(0, end), "https")) return false;
  text = text.substr(end + 3);
  text = text.substr(0, text.find('#'));
  const size_t path = text.find_first_of("/?");
  out->authority = text.substr(0, path);
  if (path != absl::string_view::npos) out->path = text.substr(path);
  return !out->authority.empty();
}

void CopyHeaders(const std::vector<std::string>& names, const Headers& from, Headers& to) {
  for (const std::string& name : names) {
    to.Remove(name);
    from.ForEach([&](const Header& header) {
      if (header.name == name) to.Add(name, header.value);
    });
  }
}

}  // namespace

bool Stream::AcceptRedirectRoute(const xds::InternalRedirectPolicy& policy, const xds::Route& from,
                                 bool from_http, bool to_http) {
  using Kind = xds::RedirectPredicate::Kind;
  const std::string& name = levels_.route->name;
  for (const xds::RedirectPredicate& predicate : policy.predicates) {
    switch (predicate.kind) {
      case Kind::kSafeScheme:
        if (from_http && !to_http) return false;
        break;
      case Kind::kAllowed:
        if (std::find(predicate.names.begin(), predicate.names.end(), name) ==
            predicate.names.end()) {
          return false;
        }
        break;
      case Kind::kNotTakenBefore: {
        const std::pair<const xds::Route*, absl::string_view> way(&from, name);
        if (std::find(redirects_taken_.begin(), redirects_taken_.end(), way) !=
            redirects_taken_.end()) {
          return false;
        }
        redirects_taken_.push_back(way);
        break;
      }
    }
  }
  return true;
}

bool Stream::PrepareInternalRedirect(const xds::InternalRedirectPolicy& policy, Headers& response) {
  const StatScope<HttpStat>& stats = connection_->stats();
  Headers& request = *request_headers_;
  Url url;
  if (!ParseUrl(arena_.Copy(response.Value(HeaderId::kLocation)), &url)) {
    stats.Add(HttpStat::kInternalRedirectBadLocation);
    return false;
  }
  const bool from_http = request.scheme() == "http" || info_.downstream->tls == nullptr;
  if (!policy.allow_cross_scheme && from_http != url.http) {
    stats.Add(HttpStat::kInternalRedirectUnsafeScheme);
    return false;
  }
  if (internal_redirects_ >= policy.max_redirects) {
    stats.Add(HttpStat::kInternalRedirectTooMany);
    return false;
  }
  const Headers& saved = *request.CopyTo(&arena_);
  const Levels before = levels_;
  CopyHeaders(policy.response_headers_to_copy, response, request);
  request.set_pseudo_static(HeaderId::kScheme, url.http ? "http" : "https");
  request.set_pseudo_static(HeaderId::kAuthority, url.authority);
  request.set_pseudo_static(HeaderId::kPath, url.path.empty()     ? "/"
                                             : url.path[0] == '/' ? url.path
                                                                  : arena_.Concat("/", url.path));
  info_.upstream_cluster = info_.upstream_cluster_raw = {};
  ChooseRoute();
  const bool found = levels_.route != nullptr;
  if (!found || !AcceptRedirectRoute(policy, *before.route, from_http, url.http)) {
    stats.Add(found ? HttpStat::kInternalRedirectPredicate : HttpStat::kInternalRedirectNoRoute);
    CopyHeaders(policy.response_headers_to_copy, saved, request);
    request.set_pseudo_static(HeaderId::kScheme, saved.scheme());
    request.set_pseudo_static(HeaderId::kAuthority, saved.authority());
    request.set_pseudo_static(HeaderId::kPath, saved.path());
    levels_ = before;
    return false;
  }
  // RFC 9110 section 15.4.4.
  if (response.status() == 303 && request.method() != "GET" && request.method() != "HEAD") {
    request.set_pseudo_static(HeaderId::kMethod, "GET");
    request.Remove(HeaderId::kContentLength);
  }
  ++internal_redirects_;
  constexpr absl::string_view kOriginalUrl = "x-envoy-original-url";
  request.Remove(kOriginalUrl);
  request.Add(kOriginalUrl,
              arena_.Concat(from_http ? "http://" : "https://", saved.authority(), saved.path()));
  return true;
}

void Stream::RestartRequest(Headers& response, Body& body, bool has_body, Headers* trailers) {
  if (ended_) return;
  Headers* request = request_headers_;
  const bool emptied = response.status() == 303;
  Loop& loop = worker_->loop();
  info_.response_code = response.status();
  info_.response_code_details = "internal_redirect";
  info_.response_headers = &response;
  info_.timing.end_ns = loop.now_ns();
  Log(LogMoment::kDownstreamEnd);
  chain_.Stop();
  router_->Cancel();
  chain_.End();

  StreamInfo info;
  info.downstream = info_.downstream;
  info.remote = info_.remote;
  info.filter_state = info_.filter_state;
  info.timing.start_ns = info.timing.request_end_ns = loop.now_ns();
  info.timing.start_system_ns = loop.system_now_ns();
  info.protocol = info_.protocol;
  info.stream_id = worker_->NextStreamId();
  info.request_id = info_.request_id;
  info.internal_request = info_.internal_request;
  info.bytes_received = info_.bytes_received;
  info.request_headers = request;
  info_ = info;
  if (!dynamic_metadata_.empty()) dynamic_metadata_ = Metadata();
  host_override_ = HostOverride();
  response_headers_ = nullptr;
  routed_ = local_reply_ = false;
  const StatScope<HttpStat>& stats = connection_->stats();
  stats.Add(HttpStat::kRqTotal);
  stats.Add(connection_->is_http2() ? HttpStat::kRqHttp2Total : HttpStat::kRqHttp1Total);
  idle_ns_ = absl::ToInt64Nanoseconds(connection_->service().config().stream_idle_timeout);
  TouchIdleTimer();
  ++info_.route_resolutions;
  NoteRoute();

  if (emptied) body.Clear();
  const bool end = !has_body || (emptied && trailers == nullptr);
  if (!BuildChain()) return;
  chain_.RequestHeaders(request, end);
  if (end || ended_) return;
  if (!body.empty() || trailers == nullptr) {
    info_.bytes_received += body.size();
    chain_.RequestBody(body, /*end=*/trailers == nullptr);
  }
  if (trailers != nullptr && !ended_) chain_.RequestTrailers(trailers);
}

}  // namespace remora::proxy
