#ifndef REMORA_FILTERS_REQUEST_MATCH_H_
#define REMORA_FILTERS_REQUEST_MATCH_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "filters/api/headers.h"
#include "filters/matchers.h"
#include "filters/uri_template.h"

namespace envoy::config::route::v3 {
class RouteMatch;
}

namespace remora {

// The part of a RouteMatch that filters' own rules use: path, headers, query parameters.
//
// Threads: const after Parse, shared.
class RequestMatch {
 public:
  static absl::StatusOr<RequestMatch> Parse(const envoy::config::route::v3::RouteMatch& proto);
  bool Match(const Headers& request) const;

 private:
  enum class Kind { kPrefix, kPath, kRegex, kConnect, kSeparatedPrefix, kTemplate };
  struct Parameter {
    std::string name;
    std::optional<StringMatcher> value;  // none: presence is asked for
    bool present = true;
  };
  bool MatchPath(const Headers& request) const;

  Kind kind_ = Kind::kPrefix;
  std::string path_;
  bool case_sensitive_ = true;
  std::optional<Regex> regex_;
  std::optional<UriTemplate> template_;
  std::vector<HeaderMatcher> headers_;
  std::vector<Parameter> parameters_;
};

}  // namespace remora

#endif  // REMORA_FILTERS_REQUEST_MATCH_H_
