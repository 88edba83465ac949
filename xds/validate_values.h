#ifndef REMORA_XDS_VALIDATE_VALUES_H_
#define REMORA_XDS_VALIDATE_VALUES_H_

#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace google::protobuf {
class Duration;
}
namespace validate {
class BytesRules;
class DurationRules;
class StringRules;
}  // namespace validate

namespace remora::xds {

// The rules on single values. Each returns what is wrong, or "".

std::string CheckString(const std::string& value, const validate::StringRules& rules);
std::string CheckBytes(const std::string& value, const validate::BytesRules& rules);
std::string CheckDuration(int64_t seconds, int32_t nanos, const validate::DurationRules& rules);

// Rules of every numeric type have the same shape.
template <typename T, typename Rules>
std::string CheckNumber(T value, const Rules& rules) {
  using absl::StrCat;
  if (rules.has_ignore_empty() && rules.ignore_empty() && value == T()) {
    return "";
  }
  if (rules.has_const_() && value != rules.const_()) {
    return StrCat("value must equal ", rules.const_());
  }
  if (rules.has_lt() && !(value < rules.lt())) {
    return StrCat("value must be less than ", rules.lt());
  }
  if (rules.has_lte() && !(value <= rules.lte())) {
    return StrCat("value must be less than or equal to ", rules.lte());
  }
  if (rules.has_gt() && !(value > rules.gt())) {
    return StrCat("value must be greater than ", rules.gt());
  }
  if (rules.has_gte() && !(value >= rules.gte())) {
    return StrCat("value must be greater than or equal to ", rules.gte());
  }
  for (const T excluded : rules.not_in()) {
    if (value == excluded) {
      return StrCat("value must not be in list [", absl::StrJoin(rules.not_in(), ", "), "]");
    }
  }
  if (rules.in_size() == 0) return "";
  for (const T allowed : rules.in()) {
    if (value == allowed) return "";
  }
  return StrCat("value must be in list [", absl::StrJoin(rules.in(), ", "), "]");
}

}  // namespace remora::xds

#endif  // REMORA_XDS_VALIDATE_VALUES_H_
