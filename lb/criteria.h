// Labels of endpoints and what requests ask of them: metadata `envoy.lb` on either side, with
// values in one canonical spelling (compact JSON), so that comparing text is comparing values.

#ifndef REMORA_LB_CRITERIA_H_
#define REMORA_LB_CRITERIA_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace remora::lb {

// One member of an endpoint's metadata.
struct Label {
  std::string key;
  std::string value;
  // The members of a list, for subsets that take a list as "any of these"; absent for other values.
  std::optional<std::vector<std::string>> elements;

  bool operator==(const Label&) const = default;
};

// One thing that a request asks for.
struct Criterion {
  std::string key;
  std::string value;
};

// All that a request asks for. Const once made; shared by the requests of a route.
struct Criteria {
  static constexpr absl::string_view kFallbackList = "fallback_list";

  std::vector<Criterion> all;  // by key
  // The structs inside the member `fallback_list`, each tried in turn over the rest of `all`;
  // absent when there is no such member.
  std::optional<std::vector<std::vector<Criterion>>> fallbacks;
};

}  // namespace remora::lb

#endif  // REMORA_LB_CRITERIA_H_
