#ifndef REMORA_FILTERS_URI_TEMPLATE_H_
#define REMORA_FILTERS_URI_TEMPLATE_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "filters/matchers.h"

namespace remora {

// A path pattern with variables, as path_match_policy's UriTemplateMatchConfig:
// "/users/{id}/{rest=**}". Compiled to one regular expression.
class UriTemplate {
 public:
  static absl::StatusOr<UriTemplate> Compile(absl::string_view pattern);

  bool Match(absl::string_view path) const { return regex_.Match(path); }
  // `path` in the shape of `rewrite` ("/new/{id}"), or nothing when it does not match.
  std::string Rewrite(absl::string_view path, absl::string_view rewrite) const;
  // OK when `rewrite` uses only variables of this pattern.
  absl::Status CheckRewrite(absl::string_view rewrite) const;

 private:
  Regex regex_;
  std::vector<std::string> variables_;  // in the order of their groups
};

}  // namespace remora

#endif  // REMORA_FILTERS_URI_TEMPLATE_H_
