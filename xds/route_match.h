#ifndef REMORA_XDS_ROUTE_MATCH_H_
#define REMORA_XDS_ROUTE_MATCH_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "filters/matchers.h"
#include "filters/runtime.h"
#include "filters/uri_template.h"
#include "xds/parse_context.h"

namespace envoy::config::route::v3 {
class QueryParameterMatcher;
class RouteMatch;
}  // namespace envoy::config::route::v3

namespace remora {
class Headers;
struct FilterState;
struct StreamInfo;
struct TlsFacts;
}  // namespace remora

namespace remora::xds {

// One request as route matching sees it. Views and pointers must live for the call.
struct RouteQuery {
  // What a request is matched by; path and query are split from :path by SplitPath().
  explicit RouteQuery(const Headers& request);

  const Headers& headers;
  absl::string_view host;         // :authority, any case, port included
  absl::string_view path;         // without query and fragment
  absl::string_view query;        // behind the '?'; empty when there is none
  uint64_t random = 0;            // decides runtime fractions and weighted clusters of this request
  const TlsFacts* tls = nullptr;  // of the downstream connection
  const Runtime* runtime = nullptr;
  const Metadata* dynamic_metadata = nullptr;
  const FilterState* filter_state = nullptr;
  const StreamInfo* info = nullptr;  // for matcher trees; without it they find nothing
};

// A query parameter's condition. Values are compared as they are written, not decoded.
struct QueryParameterMatcher {
  std::string name;
  std::optional<StringMatcher> value;  // none: presence is asked for
  bool present = true;

  static QueryParameterMatcher Parse(const envoy::config::route::v3::QueryParameterMatcher& proto,
                                     ParseContext& context);
  bool Match(absl::string_view query) const;
};

// A cookie's condition.
struct CookieMatcher {
  std::string name;
  StringMatcher value;
  bool invert = false;  // an inverted one also matches when the cookie is missing
  bool Match(const Headers& headers) const;
};

// A condition on a text that filters noted.
struct FilterStateMatcher {
  std::string key;
  StringMatcher value;
  bool Match(const FilterState* state) const;
};

// The conditions of one route, compiled. Match() neither locks nor, short of joining repeated
// headers into the request's arena, allocates.
class RouteMatch {
 public:
  enum class PathKind { kPrefix, kExact, kRegex, kConnect, kSeparatedPrefix, kTemplate };

  static RouteMatch Parse(const envoy::config::route::v3::RouteMatch& proto, ParseContext& context);

  bool Match(const RouteQuery& query) const;

  PathKind path_kind() const { return path_kind_; }
  // The prefix, path, regex or template as configured.
  const std::string& path() const { return path_; }
  bool case_sensitive() const { return case_sensitive_; }
  const UriTemplate* uri_template() const { return template_.get(); }
  void set_ignore_path_parameters(bool value) { ignore_path_parameters_ = value; }

 private:
  void ParsePath(const envoy::config::route::v3::RouteMatch& proto, ParseContext& context);
  void ParseConditions(const envoy::config::route::v3::RouteMatch& proto, ParseContext& context);
  bool MatchPath(const RouteQuery& query) const;
  bool MatchTls(const RouteQuery& query) const;

  PathKind path_kind_ = PathKind::kPrefix;
  bool case_sensitive_ = true;
  bool ignore_path_parameters_ = false;
  bool grpc_ = false;
  bool plain_ = true;  // nothing but the path decides
  std::optional<bool> tls_presented_;
  std::optional<bool> tls_validated_;
  std::string path_;
  std::optional<Regex> regex_;
  std::shared_ptr<const UriTemplate> template_;
  std::vector<HeaderMatcher> headers_;
  std::vector<QueryParameterMatcher> query_parameters_;
  std::vector<CookieMatcher> cookies_;
  std::vector<MetadataMatcher> dynamic_metadata_;
  std::vector<FilterStateMatcher> filter_state_;
  std::optional<RuntimeFraction> runtime_fraction_;
};

}  // namespace remora::xds

#endif  // REMORA_XDS_ROUTE_MATCH_H_
