#include "proxy/stream/router_headers.h"

#include <algorithm>
#include <charconv>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "filters/formatter.h"

namespace remora::proxy {
namespace {

constexpr size_t kMostTimeoutDigits = 8;

int64_t Ms(absl::Duration duration) { return absl::ToInt64Milliseconds(duration); }

std::optional<int64_t> TakeMs(HeaderId id, Headers& request) {
  const auto text = request.Get(id);
  if (!text.has_value()) return std::nullopt;
  int64_t value = 0;
  const bool good = absl::SimpleAtoi(*text, &value) && value >= 0;
  request.Remove(id);
  return good ? std::optional<int64_t>(value) : std::nullopt;
}

absl::string_view NumberText(int64_t value, Arena& arena) {
  constexpr size_t kMost = 24;
  char* text = arena.AllocateChars(kMost);
  char* end = std::to_chars(text, text + kMost, value).ptr;
  return {text, static_cast<size_t>(end - text)};
}

// "5S", "200m": the largest unit that needs no more than eight digits.
absl::string_view GrpcTimeoutText(int64_t ms, Arena& arena) {
  constexpr int64_t kMost = 99999999;
  char unit = 'm';
  int64_t value = ms;
  if (value > kMost) {
    value /= 1000;
    unit = 'S';
  }
  if (unit == 'S' && value > kMost) {
    value /= 60;
    unit = 'M';
  }
  if (unit == 'M' && value > kMost) {
    value /= 60;
    unit = 'H';
  }
  value = std::min(value, kMost);
  return arena.Concat(NumberText(value, arena), absl::string_view(&unit, 1));
}

int64_t GrpcGlobalTimeout(const xds::GrpcTimeoutRule& rule, const Headers& request) {
  int64_t timeout = GrpcTimeoutMs(request).value_or(0);
  if (rule.header_offset.has_value()) {
    const int64_t offset = Ms(*rule.header_offset);
    // An offset that leaves nothing would mean "no limit".
    if (offset < timeout) timeout -= offset;
  }
  const int64_t most = Ms(*rule.header_max);
  if (most != 0 && (timeout == 0 || timeout > most)) timeout = most;
  return timeout;
}

void SplitQuery(absl::string_view path, absl::string_view* before, absl::string_view* rest) {
  const size_t end = path.find_first_of("?#");
  *before = path.substr(0, end);
  *rest = end == absl::string_view::npos ? absl::string_view() : path.substr(end);
}

}  // namespace

std::optional<int64_t> GrpcTimeoutMs(const Headers& request) {
  absl::string_view text = request.Value(HeaderId::kGrpcTimeout);
  if (text.size() < 2 || text.size() > kMostTimeoutDigits + 1) return std::nullopt;
  int64_t value = 0;
  if (!absl::SimpleAtoi(text.substr(0, text.size() - 1), &value) || value < 0) return std::nullopt;
  switch (text.back()) {
    case 'H':
      return value * 3600 * 1000;
    case 'M':
      return value * 60 * 1000;
    case 'S':
      return value * 1000;
    case 'm':
      return value;
    case 'u':
      return (value + 999) / 1000;
    case 'n':
      return (value + 999999) / 1000000;
    default:
      return std::nullopt;
  }
}

std::optional<int64_t> LimitStream(const xds::ForwardAction& action,
                                   const std::optional<absl::Duration>& otherwise,
                                   Headers& request) {
  const xds::StreamDuration none;
  const xds::StreamDuration& rule = action.stream_duration ? *action.stream_duration : none;
  const std::optional<int64_t> asked = GrpcTimeoutMs(request);
  int64_t limit = 0;
  if (asked.has_value() && rule.grpc.header_max.has_value()) {
    const int64_t most = Ms(*rule.grpc.header_max);
    limit = most != 0 ? std::min(*asked, most) : *asked;
    if (rule.grpc.header_offset.has_value()) {
      limit = std::max<int64_t>(limit - Ms(*rule.grpc.header_offset), 0);
    }
  } else {
    const std::optional<absl::Duration>& most = rule.most.has_value() ? rule.most : otherwise;
    if (!most.has_value() || *most == absl::ZeroDuration()) return std::nullopt;
    limit = Ms(*most);
  }
  if (asked.has_value()) {
    request.SetReference(HeaderId::kGrpcTimeout, GrpcTimeoutText(limit, request.arena()));
  }
  return limit;
}

RequestTimeouts ReadTimeouts(const xds::ForwardAction& action, const xds::RetryPolicy* retry,
                             bool respect_expected, Headers& request, bool grpc) {
  RequestTimeouts timeouts;
  // With max_stream_duration the connection limits the stream; grpc-timeout is its business.
  const bool by_stream = action.stream_duration.has_value();
  if (grpc && action.grpc_timeout.header_max.has_value() && !by_stream) {
    timeouts.global_ms = GrpcGlobalTimeout(action.grpc_timeout, request);
  } else {
    timeouts.global_ms = Ms(action.timeout);
  }
  if (retry != nullptr) {
    timeouts.per_try_ms = Ms(retry->per_try_timeout);
    timeouts.per_try_idle_ms = Ms(retry->per_try_idle_timeout);
  }
  if (respect_expected && request.Has(HeaderId::kXEnvoyExpectedRqTimeoutMs)) {
    timeouts.global_ms =
        TakeMs(HeaderId::kXEnvoyExpectedRqTimeoutMs, request).value_or(timeouts.global_ms);
  } else if (const auto ms = TakeMs(HeaderId::kXEnvoyUpstreamRqTimeoutMs, request)) {
    timeouts.global_ms = *ms;
  }
  if (const auto ms = TakeMs(HeaderId::kXEnvoyUpstreamRqPerTryTimeoutMs, request)) {
    timeouts.per_try_ms = *ms;
  }
  if (timeouts.global_ms != 0 && timeouts.per_try_ms >= timeouts.global_ms) timeouts.per_try_ms = 0;
  if (request.Remove(HeaderId::kXEnvoyUpstreamRqTimeoutAltResponse) != 0) timeouts.status = 204;
  return timeouts;
}

void WriteTimeouts(const RequestTimeouts& timeouts, const xds::ForwardAction& action,
                   int64_t elapsed_ms, bool write_expected, bool grpc, Headers& request) {
  int64_t expected = timeouts.per_try_ms != 0 ? timeouts.per_try_ms : timeouts.global_ms;
  if (expected == 0) return;
  if (timeouts.global_ms != 0) {
    // Zero would tell the upstream that there is no limit.
    expected =
        elapsed_ms >= timeouts.global_ms ? 1 : std::min(expected, timeouts.global_ms - elapsed_ms);
  }
  Arena& arena = request.arena();
  if (write_expected) {
    request.SetReference(HeaderId::kXEnvoyExpectedRqTimeoutMs, NumberText(expected, arena));
  }
  if (grpc && action.grpc_timeout.header_max.has_value() && !action.stream_duration.has_value()) {
    request.SetReference(HeaderId::kGrpcTimeout, GrpcTimeoutText(expected, arena));
  }
}

void SetAuthority(absl::string_view host, bool append_forwarded_host, bool keep_original,
                  Headers& request) {
  const absl::string_view old = request.authority();
  if (append_forwarded_host && !old.empty()) {
    const absl::string_view chain = request.Value(HeaderId::kXForwardedHost);
    if (chain != old && !absl::EndsWith(chain, absl::StrCat(",", old))) {
      request.AppendValue(HeaderId::kXForwardedHost, old, ",");
    }
  }
  if (keep_original && !old.empty() && !request.Has(HeaderId::kXEnvoyOriginalHost)) {
    request.Set(HeaderId::kXEnvoyOriginalHost, old);
  }
  request.set_pseudo(HeaderId::kAuthority, host);
}

void RewriteHost(const xds::ForwardAction& action, const xds::WeightedCluster* weighted,
                 const StreamInfo& info, bool keep_original, Headers& request) {
  const auto set = [&](absl::string_view host) {
    SetAuthority(host, action.append_x_forwarded_host, keep_original, request);
  };
  if (weighted != nullptr && !weighted->host_rewrite.empty()) return set(weighted->host_rewrite);
  if (!action.host_rewrite_literal.empty()) return set(action.host_rewrite_literal);
  if (!action.host_rewrite_header.empty()) {
    const auto value = request.Get(action.host_rewrite_header);
    if (value.has_value() && !value->empty()) set(*value);
    return;
  }
  if (action.host_rewrite_path_regex.has_value()) {
    absl::string_view path, rest;
    SplitQuery(request.path(), &path, &rest);
    return set(action.host_rewrite_path_regex->Apply(path));
  }
  if (action.host_rewrite != nullptr)
    return set(action.host_rewrite->Format(info, request.arena()));
  if (!action.host_rewrite_text.empty()) set(action.host_rewrite_text);
}

void RewritePath(const xds::Route& route, const StreamInfo& info, bool keep_original,
                 Headers& request) {
  const xds::ForwardAction& action = *route.forward();
  const bool by_prefix = !action.prefix_rewrite.empty();
  const bool by_text = action.path_rewrite != nullptr || !action.path_rewrite_text.empty();
  if (!by_prefix && !action.regex_rewrite.has_value() && action.template_rewrite.empty() &&
      !by_text) {
    return;
  }
  const absl::string_view old = request.path();
  if (old.empty()) return;  // CONNECT
  Arena& arena = request.arena();
  absl::string_view path, rest;
  SplitQuery(old, &path, &rest);
  absl::string_view changed;
  if (by_prefix) {
    using Kind = xds::RouteMatch::PathKind;
    const Kind kind = route.match.path_kind();
    const bool fixed =
        kind == Kind::kPrefix || kind == Kind::kExact || kind == Kind::kSeparatedPrefix;
    const size_t matched = fixed ? std::min(route.match.path().size(), old.size()) : path.size();
    changed = arena.Concat(action.prefix_rewrite, old.substr(matched));
  } else if (action.regex_rewrite.has_value()) {
    changed = arena.Concat(action.regex_rewrite->Apply(path), rest);
  } else if (!action.template_rewrite.empty()) {
    const UriTemplate* pattern = route.match.uri_template();
    if (pattern == nullptr) return;
    changed = arena.Concat(pattern->Rewrite(path, action.template_rewrite), rest);
  } else {
    const absl::string_view text = action.path_rewrite != nullptr
                                       ? action.path_rewrite->Format(info, arena)
                                       : absl::string_view(action.path_rewrite_text);
    changed = arena.Concat(text, rest);
  }
  if (keep_original) request.Set(HeaderId::kXEnvoyOriginalPath, old);
  request.set_pseudo(HeaderId::kPath, changed);
}

void EnsureScheme(bool downstream_tls, Headers& request) {
  const absl::string_view scheme = request.scheme();
  if (scheme == "http" || scheme == "https") return;
  const absl::string_view forwarded = request.Value(HeaderId::kXForwardedProto);
  if (forwarded == "http" || forwarded == "https") {
    request.set_pseudo(HeaderId::kScheme, forwarded);
    return;
  }
  request.set_pseudo_static(HeaderId::kScheme, downstream_tls ? "https" : "http");
}

int HttpStatusOfGrpc(int grpc_status) {
  switch (grpc_status) {
    case 0:
      return 200;
    case 1:
      return 499;
    case 2:
    case 13:
    case 15:
      return 500;
    case 3:
    case 9:
    case 11:
      return 400;
    case 4:
      return 504;
    case 5:
      return 404;
    case 6:
    case 10:
      return 409;
    case 7:
      return 403;
    case 8:
      return 429;
    case 12:
      return 501;
    case 14:
      return 503;
    case 16:
      return 401;
    default:
      return 500;
  }
}

}  // namespace remora::proxy
