#include "xds/route_match.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "filters/api/filter_state.h"
#include "filters/api/headers.h"
#include "filters/api/stream_info.h"

namespace remora::xds {
namespace {

// "application/grpc" or "application/grpc+...", but not grpc-web.
bool IsGrpc(const Headers& headers) {
  constexpr absl::string_view kGrpc = "application/grpc";
  const absl::string_view type = headers.Value(HeaderId::kContentType);
  return absl::StartsWith(type, kGrpc) &&
         (type.size() == kGrpc.size() || type[kGrpc.size()] == '+');
}

absl::string_view Unquoted(absl::string_view value) {
  if (value.size() >= 2 && value.front() == '"' && value.back() == '"') {
    return value.substr(1, value.size() - 2);
  }
  return value;
}

// The value of a cookie in one Cookie header, if it is there.
std::optional<absl::string_view> FindCookie(absl::string_view header, absl::string_view name) {
  while (!header.empty()) {
    const size_t end = header.find(';');
    absl::string_view pair = header.substr(0, end);
    while (!pair.empty() && pair.front() == ' ') pair.remove_prefix(1);
    const size_t equals = pair.find('=');
    if (equals != absl::string_view::npos && pair.substr(0, equals) == name) {
      return Unquoted(pair.substr(equals + 1));
    }
    if (end == absl::string_view::npos) break;
    header.remove_prefix(end + 1);
  }
  return std::nullopt;
}

}  // namespace

RouteQuery::RouteQuery(const Headers& request)
    : headers(request), host(request.authority()), path(request.path()) {
  const size_t end = path.find_first_of("?#");
  if (end == absl::string_view::npos) return;
  if (path[end] == '?') {
    query = path.substr(end + 1);
    query = query.substr(0, query.find('#'));
  }
  path = path.substr(0, end);
}

bool QueryParameterMatcher::Match(absl::string_view query) const {
  // The first parameter of that name decides.
  std::optional<absl::string_view> found;
  while (!query.empty() && !found.has_value()) {
    const size_t end = query.find('&');
    const absl::string_view pair = query.substr(0, end);
    const size_t equals = pair.find('=');
    if (pair.substr(0, equals) == name) {
      found = equals == absl::string_view::npos ? "" : pair.substr(equals + 1);
    }
    if (end == absl::string_view::npos) break;
    query.remove_prefix(end + 1);
  }
  if (!value.has_value()) return found.has_value() == present;
  return found.has_value() && value->Match(*found);
}

bool CookieMatcher::Match(const Headers& headers) const {
  std::optional<absl::string_view> found;
  headers.ForEachValue(HeaderId::kCookie, [&](absl::string_view header) {
    if (!found.has_value()) found = FindCookie(header, name);
  });
  if (!found.has_value()) return invert;
  return value.Match(*found) != invert;
}

bool FilterStateMatcher::Match(const FilterState* state) const {
  const std::string* text = state == nullptr ? nullptr : state->Find(key);
  return text != nullptr && value.Match(*text);
}

bool RouteMatch::MatchPath(const RouteQuery& query) const {
  if (path_kind_ == PathKind::kConnect) {
    return query.headers.method() == "CONNECT";
  }
  absl::string_view path = query.path;
  if (path.empty()) return false;  // CONNECT without :path
  if (ignore_path_parameters_) path = path.substr(0, path.find(';'));
  switch (path_kind_) {
    case PathKind::kPrefix:
      return case_sensitive_ ? absl::StartsWith(path, path_)
                             : absl::StartsWithIgnoreCase(path, path_);
    case PathKind::kExact:
      return case_sensitive_ ? path == path_ : absl::EqualsIgnoreCase(path, path_);
    case PathKind::kSeparatedPrefix:
      return (case_sensitive_ ? absl::StartsWith(path, path_)
                              : absl::StartsWithIgnoreCase(path, path_)) &&
             (path.size() == path_.size() || path[path_.size()] == '/');
    case PathKind::kRegex:
      return regex_->Match(path);
    case PathKind::kTemplate:
      return template_->Match(path);
    case PathKind::kConnect:
      break;
  }
  return false;
}

bool RouteMatch::MatchTls(const RouteQuery& query) const {
  const bool presented = query.tls != nullptr && query.tls->peer_certificate_presented;
  const bool validated = query.tls != nullptr && query.tls->peer_certificate_validated;
  return tls_presented_.value_or(presented) == presented &&
         tls_validated_.value_or(validated) == validated;
}

bool RouteMatch::Match(const RouteQuery& query) const {
  if (!MatchPath(query)) return false;
  if (!plain_) {
    if (runtime_fraction_.has_value() &&
        !runtime_fraction_->Includes(query.runtime, query.random)) {
      return false;
    }
    if (grpc_ && !IsGrpc(query.headers)) return false;
    if (!MatchTls(query)) return false;
    if (!MatchAll(headers_, query.headers)) return false;
    for (const QueryParameterMatcher& matcher : query_parameters_) {
      if (!matcher.Match(query.query)) return false;
    }
    for (const CookieMatcher& matcher : cookies_) {
      if (!matcher.Match(query.headers)) return false;
    }
    static const Metadata* const kNone = new Metadata;
    const Metadata& metadata = query.dynamic_metadata == nullptr ? *kNone : *query.dynamic_metadata;
    for (const MetadataMatcher& matcher : dynamic_metadata_) {
      if (!matcher.Match(metadata)) return false;
    }
    for (const FilterStateMatcher& matcher : filter_state_) {
      if (!matcher.Match(query.filter_state)) return false;
    }
  }
  return true;
}

}  // namespace remora::xds
